package auth

import "github.com/prometheus/client_golang/prometheus"

// Values of the label reason of refused hashes.
const (
	refusedFull    = "full"    // the queue is as long as can be served within HashMaxWait
	refusedTimeout = "timeout" // the request ended while it waited for a slot
	refusedBroken  = "broken"  // the hasher failed
)

// Values of the label scope of throttled requests.
const (
	scopeAccount = "account"
	scopeAddress = "address"
	scopeLookUp  = "look_up"
	scopeStepUp  = "step_up"

	scopeCode     = "code"      // requests of mailed codes, by login and by address
	scopeUserCode = "user_code" // of a device login
)

// Metrics are the metrics of hashing, throttling and security events. No label contains a
// user, a login or an address.
type Metrics struct {
	hashSeconds, waitSeconds prometheus.Histogram
	queue                    prometheus.Gauge
	events                   *prometheus.CounterVec
	refused, throttled       *prometheus.CounterVec
	raised                   *prometheus.CounterVec
}

// NewMetrics returns metrics that are not registered yet; see [Metrics.Collectors].
func NewMetrics() *Metrics {
	buckets := []float64{.005, .01, .015, .02, .025, .03, .04, .05, .075, .1, .15, .25, .5, 1, 2, 5, 10, 20}
	m := &Metrics{
		hashSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kizo_auth_hash_seconds", Help: "One password hash, without the wait for a slot.", Buckets: buckets,
		}),
		waitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kizo_auth_hash_wait_seconds", Help: "Time from entering the hash queue to getting a slot.", Buckets: buckets,
		}),
		queue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kizo_auth_hash_queue", Help: "Callers that wait for a hash slot.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_auth_hash_refused_total", Help: "Hashes that were not computed: the queue was full, the request ended in the queue, or the hasher failed.",
		}, []string{"reason"}),
		raised: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_auth_hash_priority_raised_total", Help: "Hashes that got too little CPU time and were repeated in a process of higher priority.",
		}, []string{"priority"}),
		throttled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_auth_throttled_total", Help: "Log-ins, step-ups, look-ups by e-mail address and codes of device log-ins that were refused after too many attempts.",
		}, []string{"scope"}),
	}
	m.events = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kizo_security_events_total", Help: "Security events, including those omitted from the log.",
	}, []string{"event"})
	for _, event := range securityEvents {
		m.events.WithLabelValues(string(event))
	}
	for _, why := range []string{refusedFull, refusedTimeout, refusedBroken} {
		m.refused.WithLabelValues(why) // starts at 0, so that a rate includes the first refusal
	}
	for _, scope := range []string{scopeAccount, scopeAddress, scopeLookUp, scopeStepUp, scopeUserCode, scopeCode} {
		m.throttled.WithLabelValues(scope)
	}
	return m
}

// Collectors returns the collectors to register.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.hashSeconds, m.waitSeconds, m.queue, m.refused, m.raised, m.throttled}
}

// PriorityRaised counts a hash that was repeated in a process of this priority, "low" or
// "normal".
func (m *Metrics) PriorityRaised(priority string) { m.raised.WithLabelValues(priority).Inc() }
