package mail

import "github.com/prometheus/client_golang/prometheus"

// result is what became of an attempt to send a mail. It is a label of metrics.
type result string

const (
	resultSent     result = "sent"
	resultFailed   result = "failed"   // and is retried
	resultRejected result = "rejected" // by the mail server
	resultDelayed  result = "delayed"  // by the limit of all mail, and is retried
	resultDropped  result = "dropped"  // by the limit of its address
	resultExpired  result = "expired"  // not sent while it was of use
	resultLost     result = "lost"     // did not reach the queue
	resultNone     result = "none"     // there is nothing to send, such as for an unknown user
)

var results = []result{resultSent, resultFailed, resultRejected, resultDelayed, resultDropped, resultExpired, resultLost, resultNone}

// Metrics are the metrics of mail. No label contains a user or an address.
type Metrics struct {
	mails *prometheus.CounterVec
}

// NewMetrics creates the metrics. The caller registers [Metrics.Collectors].
func NewMetrics() *Metrics {
	m := &Metrics{mails: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kizo_mail_attempts_total", Help: "Attempts to send a mail, by the kind of the mail and the result.",
	}, []string{"kind", "result"})}
	for _, k := range kinds {
		for _, r := range results {
			m.mails.WithLabelValues(string(k), string(r))
		}
	}
	return m
}

// Collectors returns all metrics.
func (m *Metrics) Collectors() []prometheus.Collector { return []prometheus.Collector{m.mails} }

// count counts an attempt. The kind comes from Redis: another one is counted as unknown.
func (m *Metrics) count(k Kind, r result) {
	for _, known := range kinds {
		if k == known {
			m.mails.WithLabelValues(string(k), string(r)).Inc()
			return
		}
	}
	m.mails.WithLabelValues("unknown", string(r)).Inc()
}
