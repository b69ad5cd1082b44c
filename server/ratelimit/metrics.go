package ratelimit

import "github.com/prometheus/client_golang/prometheus"

// Metrics of the limits; never a user or an address as a label.
type Metrics struct {
	limited *prometheus.CounterVec
	local   prometheus.Gauge
}

// NewMetrics makes the metrics, registered nowhere.
func NewMetrics() *Metrics {
	m := &Metrics{
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_http_rate_limited_total", Help: "Requests refused because somebody asks too often.",
		}, []string{"scope"}),
		local: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kizo_http_rate_limit_local", Help: "1 while Redis is away and each process limits by itself.",
		}),
	}
	for _, scope := range []string{"user", "address"} {
		m.limited.WithLabelValues(scope) // so that a rate can be taken of the first one
	}
	return m
}

// Collectors are what to register.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.limited, m.local}
}
