package auth

import "github.com/prometheus/client_golang/prometheus"

// Why a hash was refused, as the metric says it.
const (
	refusedFull    = "full"    // the queue cannot be served within the deadline
	refusedTimeout = "timeout" // the request ended while it waited for a slot
	refusedBroken  = "broken"  // the hasher failed
)

// What a log-in was throttled by, as the metric says it.
const (
	scopeAccount = "account"
	scopeAddress = "address"
	scopeLookUp  = "look_up"
)

// Metrics of hashing and throttling; never an account or an address as a label.
type Metrics struct {
	hashSeconds, waitSeconds prometheus.Histogram
	queue                    prometheus.Gauge
	events                   *prometheus.CounterVec
	refused, throttled       *prometheus.CounterVec
	raised                   *prometheus.CounterVec
}

// NewMetrics makes the metrics, registered nowhere.
func NewMetrics() *Metrics {
	buckets := []float64{.005, .01, .015, .02, .025, .03, .04, .05, .075, .1, .15, .25, .5, 1, 2, 5, 10, 20}
	m := &Metrics{
		hashSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kizo_auth_hash_seconds", Help: "One password hash, without the wait for a slot.", Buckets: buckets,
		}),
		waitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kizo_auth_hash_wait_seconds", Help: "From asking to hash to having a slot, of those who got one.", Buckets: buckets,
		}),
		queue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kizo_auth_hash_queue", Help: "Callers that wait for a slot to hash in.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_auth_hash_refused_total", Help: "Hashes that were refused or given up: queue full, request timed out in the queue, hasher broken.",
		}, []string{"reason"}),
		raised: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_auth_hash_raised_total", Help: "Hashes that did not get the CPU and went to a process of higher priority.",
		}, []string{"priority"}),
		throttled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_auth_throttled_total", Help: "Log-ins refused after too many failures.",
		}, []string{"scope"}),
	}
	m.events = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kizo_security_events_total", Help: "Security events, also those that were left out of the log.",
	}, []string{"event"})
	for _, event := range securityEvents {
		m.events.WithLabelValues(string(event))
	}
	for _, why := range []string{refusedFull, refusedTimeout, refusedBroken} {
		m.refused.WithLabelValues(why) // so that a rate can be taken of the first one
	}
	for _, scope := range []string{scopeAccount, scopeAddress, scopeLookUp} {
		m.throttled.WithLabelValues(scope)
	}
	return m
}

// Collectors are what to register.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.hashSeconds, m.waitSeconds, m.queue, m.refused, m.raised, m.throttled}
}

// PriorityRaised counts a hash that went to a process of this priority, low or normal.
func (m *Metrics) PriorityRaised(priority string) { m.raised.WithLabelValues(priority).Inc() }
