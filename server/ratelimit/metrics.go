package ratelimit

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the metrics of a [Limiter]. No label contains a user or an address.
type Metrics struct {
	limited *prometheus.CounterVec
	local   prometheus.Gauge
}

// NewMetrics returns metrics that are not registered yet; see [Metrics.Collectors].
func NewMetrics() *Metrics {
	m := &Metrics{
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_http_rate_limited_total", Help: "Requests refused because a user or an address exceeded its rate limit.",
		}, []string{"scope"}),
		local: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kizo_http_rate_limit_local", Help: "1 while Redis is down and each process applies the limit on its own.",
		}),
	}
	for _, scope := range []string{"user", "address"} {
		m.limited.WithLabelValues(scope) // starts at 0, so that a rate includes the first refusal
	}
	return m
}

// Collectors returns the collectors to register.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.limited, m.local}
}
