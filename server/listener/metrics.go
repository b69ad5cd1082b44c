package listener

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the metrics of all listeners of a process.
type Metrics struct {
	open                             *prometheus.GaugeVec
	closedIdle, refused, acceptError *prometheus.CounterVec
}

// NewMetrics returns metrics that are not registered yet; see [Metrics.Collectors].
func NewMetrics() *Metrics {
	labels := []string{"listener"}
	return &Metrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kizo_connections", Help: "Connections of clients that are open.",
		}, labels),
		closedIdle: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_connections_closed_idle_total", Help: "Idle connections closed to make space for new ones.",
		}, labels),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_connections_refused_total", Help: "Connections refused because all others were busy.",
		}, labels),
		acceptError: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_accept_errors_total", Help: "Failed attempts to accept a connection, for example because file descriptors ran out.",
		}, labels),
	}
}

// Collectors returns the collectors to register.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.open, m.closedIdle, m.refused, m.acceptError}
}

// counters are the metrics of one listener.
type counters struct {
	open                              prometheus.Gauge
	closedIdle, refused, acceptErrors prometheus.Counter
}

func (m *Metrics) of(name string) counters {
	if m == nil {
		m = NewMetrics()
	}
	return counters{
		open: m.open.WithLabelValues(name), closedIdle: m.closedIdle.WithLabelValues(name),
		refused: m.refused.WithLabelValues(name), acceptErrors: m.acceptError.WithLabelValues(name),
	}
}
