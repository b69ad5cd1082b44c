package settle

import (
	"cmp"
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/ledger"
)

// Metrics of settlement; no label ever names an account or a user.
type Metrics struct {
	seconds         *prometheus.HistogramVec
	unknowns        prometheus.Counter
	reviews         *prometheus.CounterVec
	enqueueFailures prometheus.Counter
	redrives        prometheus.Counter
	differ          *prometheus.CounterVec
	breaker         prometheus.Gauge
	calls           *prometheus.HistogramVec
}

// NewMetrics makes the metrics, registered nowhere.
func NewMetrics() *Metrics {
	m := &Metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "kizo_settlement_seconds",
			Help:    "From intake to the bank's word carried out.",
			Buckets: []float64{.01, .025, .05, .1, .15, .25, .4, .6, 1, 1.5, 2.5, 4, 6, 10, 20, 60, 300, 3600}, // the target is 0.1 to 10 s
		}, []string{"direction", "outcome"}),
		unknowns: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kizo_bank_unknown_total", Help: "Answers of the bank that left the outcome unknown.",
		}),
		reviews: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_payments_needs_review_total", Help: "Payments given to an operator, by cause.",
		}, []string{"cause"}),
		enqueueFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kizo_settlement_enqueue_failures_total", Help: "Tasks that did not reach the queue.",
		}),
		redrives: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kizo_janitor_redriven_total", Help: "Overdue payments that the janitor drove.",
		}),
		differ: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kizo_bank_discrepancies_total", Help: "Discrepancies found between the bank's books and ours, by kind.",
		}, []string{"kind"}),
		breaker: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kizo_bank_breaker_open", Help: "1 while the bank cannot be reached and is left alone.",
		}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "kizo_bank_request_seconds",
			Help:    "A call of the bank, by what it was and what came of it.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 4, 5, 6, 10}, // bank.DefaultTimeout is 6 s
		}, []string{"op", "outcome"}),
	}
	// What has not happened yet is 0 and not absent: the first time is the one to be told of.
	for _, kind := range []string{AnswersDiffer, AmountDiffers, ExecutedNotPosted, PostedNotExecuted, UnknownRef, MissingAtBank, CallbackDiffers} {
		m.differ.WithLabelValues(kind)
	}
	for _, cause := range []string{
		causeContradiction, causeInvalid, causeExhausted, string(ledger.SettlementConflicts), string(ledger.BalanceLimit), string(ledger.Internal),
	} {
		m.reviews.WithLabelValues(cause)
	}
	return m
}

// Why a payment is given to an operator, besides the codes with which the ledger refuses to settle it.
const (
	causeContradiction = "contradiction"
	causeInvalid       = "invalid"
	causeExhausted     = "exhausted"
)

// Collectors are what to register.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.seconds, m.unknowns, m.reviews, m.enqueueFailures, m.redrives, m.differ, m.breaker, m.calls}
}

// Seconds is the histogram of settlement: from intake to the bank's word carried out.
func (m *Metrics) Seconds() prometheus.Collector { return m.seconds }

func (m *Metrics) settled(c claim, o bank.Outcome, t ledger.Transfer) {
	m.seconds.WithLabelValues(string(c.instruction.Direction), o.String()).
		Observe(t.ResolvedAt.Sub(t.CreatedAt).Seconds())
}

func (m *Metrics) review(cause string) { m.reviews.WithLabelValues(cause).Inc() }
func (m *Metrics) unknown()            { m.unknowns.Inc() }
func (m *Metrics) enqueueFailed()      { m.enqueueFailures.Inc() }
func (m *Metrics) redriven(n int)      { m.redrives.Add(float64(n)) }
func (m *Metrics) differs(kind string) { m.differ.WithLabelValues(kind).Inc() }

func (m *Metrics) breakerOpen(open bool) {
	if open {
		m.breaker.Set(1)
	} else {
		m.breaker.Set(0)
	}
}

// timedBank is a bank whose calls are measured.
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

func (b timedBank) Statement(ctx context.Context, after int64, limit int) (bank.Page, error) {
	started := time.Now()
	page, err := b.bank.Statement(ctx, after, limit)
	b.observe("statement", "read", err, started)
	return page, err
}

// observe names an error by its code, of which there are few.
func (b timedBank) observe(op, outcome string, err error, started time.Time) {
	if err != nil {
		outcome = cmp.Or(string(bank.CodeOf(err)), "error")
	}
	b.metrics.calls.WithLabelValues(op, outcome).Observe(time.Since(started).Seconds())
}
