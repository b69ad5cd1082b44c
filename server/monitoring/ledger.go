package monitoring

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/server/ledger"
)

// BatchMetrics measure the ledger's commits. They exist before the ledger, which reports to
// Observe.
type BatchMetrics struct {
	size    prometheus.Histogram
	seconds prometheus.Histogram
}

// NewBatchMetrics makes BatchMetrics.
func NewBatchMetrics() *BatchMetrics {
	return &BatchMetrics{
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kizo_ledger_batch_commands", Help: "Commands committed together.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512},
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kizo_ledger_commit_seconds", Help: "From a batch's first statement to the answer to its COMMIT.",
			Buckets: []float64{ // the target is 0.5 to 50 ms
				.0005, .00075, .001, .0015, .002, .003, .004, .006, .008, .012, .016, .024, .032, .05, .075, .1, .25, .5, 1, 2, 4, 8,
			},
		}),
	}
}

// Observe records one batch.
func (m *BatchMetrics) Observe(b ledger.BatchStats) {
	m.size.Observe(float64(b.Commands))
	m.seconds.Observe(b.Duration.Seconds())
}

// Collectors returns the histograms of batches.
func (m *BatchMetrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.size, m.seconds}
}

// ledgerMetrics collects the length of the command queue, and the rows that other database
// sessions keep locked. The row and the process ids are labels, since an operator needs them to
// end the lock; at most ten rows are named at once, and none while nothing is locked.
type ledgerMetrics struct{ ledger *ledger.Ledger }

// NewLedgerMetrics makes a collector of the state of l.
func NewLedgerMetrics(l *ledger.Ledger) prometheus.Collector { return ledgerMetrics{l} }

var (
	queueCommands = describe("kizo_ledger_queue_commands", "Commands waiting for a batch.")
	remembered    = describe("kizo_ledger_remembered_batches_total", "Batches that were decided on accounts as the ledger remembered them, in one round trip.")
	outdated      = describe("kizo_ledger_outdated_batches_total", "Batches that were decided again, because an account had changed elsewhere or a key had been used.")
	lockTimeouts  = describe("kizo_ledger_lock_timeouts_total", "Batches that waited too long for a lock; the commands that did not need it were then committed without the others.")
	lockedRows    = describe("kizo_ledger_locked_rows", "Rows that other database sessions keep locked; commands that touch them are refused.")
	lockedFor     = describe("kizo_ledger_locked_row_seconds", "For how long a row has been locked, by account or transfer, and the process ids of the database sessions that block it.",
		"account", "transfer", "blocking_pids")
)

func (m ledgerMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueCommands, remembered, outdated, lockTimeouts, lockedRows, lockedFor} {
		out <- d
	}
}

func (m ledgerMetrics) Collect(out chan<- prometheus.Metric) {
	gauge(out, queueCommands, float64(m.ledger.QueueLength()))
	batches := m.ledger.Remembered()
	counter(out, remembered, float64(batches.Committed))
	counter(out, outdated, float64(batches.Rejected))
	locks := m.ledger.Locks()
	counter(out, lockTimeouts, float64(locks.Timeouts))
	gauge(out, lockedRows, float64(locks.Rows))
	for _, row := range locks.Reported {
		account, transfer := strconv.FormatInt(int64(row.Account), 10), ""
		if row.Account == 0 {
			account, transfer = "", row.Transfer.String()
		}
		pids := make([]string, len(row.Blockers))
		for i, pid := range row.Blockers {
			pids[i] = strconv.Itoa(int(pid))
		}
		gauge(out, lockedFor, time.Since(row.Since).Seconds(), account, transfer, strings.Join(pids, ","))
	}
}
