package settle

import (
	"cmp"
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/ledger"
)

// Metrics are the metrics of settlement. No label contains an account or a user.
type Metrics struct {
	seconds         *prometheus.HistogramVec
	unknowns        prometheus.Counter
	reviews         *prometheus.CounterVec
	enqueueFailures prometheus.Counter
	overdue         prometheus.Counter
	discrepancies   *prometheus.CounterVec
	breaker         prometheus.Gauge
	calls           *prometheus.HistogramVec
}

// NewMetrics creates the metrics. The caller registers [Metrics.Collectors].
func NewMetrics() *Metrics {
	m := &Metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "kizo_settlement_seconds",
			Help:    "Time from accepting a bank transfer to settling it with the bank's answer.",
			Buckets: []float64{.01, .025, .05, .1, .15, .25, .4, .6, 1, 1.5, 2.5, 4, 6, 10, 20, 60, 300, 3600}, // the target is 0.1 to 10 s
		}, []string{"direction", "outcome"}),
		unknowns: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kizo_bank_unknown_total", Help: "Attempts that left the outcome of a payment unknown.",
		}),
		reviews: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_payments_needs_review_total", Help: "Payments given to an operator, by cause.",
		}, []string{"cause"}),
		enqueueFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kizo_settlement_enqueue_failures_total", Help: "Tasks that did not reach the queue; the janitor settles their payments.",
		}),
		overdue: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kizo_janitor_claims_total", Help: "Overdue payments that the janitor claimed.",
		}),
		discrepancies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_bank_discrepancies_total", Help: "Discrepancies between the bank's books and ours that were found, by kind.",
		}, []string{"kind"}),
		breaker: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kizo_bank_breaker_open", Help: "1 while the circuit breaker is open because the bank cannot be reached.",
		}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "kizo_bank_request_seconds",
			Help:    "Duration of requests to the bank, by operation and outcome.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 4, 5, 6, 10}, // bank.DefaultTimeout is 6 s
		}, []string{"op", "outcome"}),
	}
	// Every series exists from the start with 0, so that an alert on an increase also sees the
	// first one.
	for _, kind := range []string{AnswersDiffer, AmountDiffers, ExecutedNotPosted, PostedNotExecuted, UnknownRef, MissingAtBank, CallbackDiffers} {
		m.discrepancies.WithLabelValues(kind)
	}
	for _, cause := range []string{
		causeContradiction, causeInvalid, causeExhausted, string(ledger.SettlementConflicts), string(ledger.BalanceLimit), string(ledger.Internal),
	} {
		m.reviews.WithLabelValues(cause)
	}
	return m
}

// Causes of a review. The codes with which the ledger refuses a settlement are causes too.
const (
	causeContradiction = "contradiction"
	causeInvalid       = "invalid"
	causeExhausted     = "exhausted"
)

// Collectors returns all metrics, for registration.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.seconds, m.unknowns, m.reviews, m.enqueueFailures, m.overdue, m.discrepancies, m.breaker, m.calls}
}

// Seconds returns the histogram of the time from accepting a bank transfer to settling it.
func (m *Metrics) Seconds() prometheus.Collector { return m.seconds }

func (m *Metrics) settled(c claim, o bank.Outcome, t ledger.Transfer) {
	m.seconds.WithLabelValues(string(c.instruction.Direction), o.String()).
		Observe(t.ResolvedAt.Sub(t.CreatedAt).Seconds())
}

func (m *Metrics) reviewStarted(cause string)   { m.reviews.WithLabelValues(cause).Inc() }
func (m *Metrics) outcomeUnknown()              { m.unknowns.Inc() }
func (m *Metrics) enqueueFailed()               { m.enqueueFailures.Inc() }
func (m *Metrics) overdueClaimed(n int)         { m.overdue.Add(float64(n)) }
func (m *Metrics) discrepancyFound(kind string) { m.discrepancies.WithLabelValues(kind).Inc() }

func (m *Metrics) breakerOpen(open bool) {
	if open {
		m.breaker.Set(1)
	} else {
		m.breaker.Set(0)
	}
}

// timedBank measures the requests to a bank.
type timedBank struct {
	bank    bank.Bank
	metrics *Metrics
}

func (b timedBank) Submit(ctx context.Context, in bank.Instruction) (bank.Answer, error) {
	started := time.Now()
	answer, err := b.bank.Submit(ctx, in)
	b.observe("submit", answer.Outcome.String(), err, started)
	return answer, err
}

func (b timedBank) Status(ctx context.Context, in bank.Instruction) (bank.Answer, error) {
	started := time.Now()
	answer, err := b.bank.Status(ctx, in)
	outcome := answer.Outcome.String()
	if answer.NotSeen {
		outcome = "not_seen"
	}
	b.observe("status", outcome, err, started)
	return answer, err
}

func (b timedBank) Statement(ctx context.Context, after int64, limit int) (bank.StatementPage, error) {
	started := time.Now()
	page, err := b.bank.Statement(ctx, after, limit)
	b.observe("statement", "read", err, started)
	return page, err
}

// observe records the duration of a request. The outcome of an error is its code.
func (b timedBank) observe(op, outcome string, err error, started time.Time) {
	if err != nil {
		outcome = cmp.Or(string(bank.CodeOf(err)), "error")
	}
	b.metrics.calls.WithLabelValues(op, outcome).Observe(time.Since(started).Seconds())
}
