package monitoring

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/server/settle"
)

// Dependencies reads the state of the dependencies: the queues in Redis, the payments and the
// open transactions in PostgreSQL. It serves operators' snapshots and is a
// [prometheus.Collector]. Neither waits for a Redis or a PostgreSQL that hangs.
type Dependencies struct {
	queues       cachedProbe[QueueStatus]
	findings     cachedProbe[settle.Findings]
	transactions cachedProbe[openTransactions]
}

// QueueStatus is the state of all queues, and of the workers on them.
type QueueStatus struct {
	Queues  []settle.QueueStats
	Workers settle.WorkerStats
}

// statusFreshFor is less than the second from one snapshot to the next.
const statusFreshFor = 500 * time.Millisecond

// NewDependencies makes Dependencies. It reads nothing yet.
func NewDependencies(queues *settle.Queues, settler *settle.Settler, pool *pgxpool.Pool, log *slog.Logger) *Dependencies {
	queueStatus := func(context.Context) (QueueStatus, error) { // asynq has timeouts of its own
		stats, err := queues.Stats()
		workers, workersErr := queues.Workers()
		return QueueStatus{stats, workers}, errors.Join(err, workersErr)
	}
	transactions := &transactionReader{pool: pool}
	return &Dependencies{
		queues: cachedProbe[QueueStatus]{
			name: "the state of the queues in Redis", log: log, freshFor: statusFreshFor, query: queueStatus,
		},
		findings: cachedProbe[settle.Findings]{
			name: "the state of the payments in the database", log: log, freshFor: statusFreshFor, query: settler.Findings,
		},
		transactions: cachedProbe[openTransactions]{
			name: "the sessions of the database", log: log, freshFor: statusFreshFor, query: transactions.read,
		},
	}
}

// status reads the queues and the payments at the same time; what cannot be read is nil.
func (d *Dependencies) status(ctx context.Context, maxAge time.Duration) (queues *QueueStatus, findings *settle.Findings) {
	var reading sync.WaitGroup
	reading.Go(func() {
		if status, err := d.queues.get(ctx, maxAge); err == nil {
			queues = &status
		}
	})
	if found, err := d.findings.get(ctx, maxAge); err == nil {
		findings = &found
	}
	reading.Wait()
	return queues, findings
}

// redisAnswers reports whether Redis has answered lately, or does so before ctx ends.
func (d *Dependencies) redisAnswers(ctx context.Context) bool {
	_, err := d.queues.get(ctx, statusFreshFor)
	return err == nil
}

var (
	redisUp         = describe("kizo_redis_up", "1 if Redis reports the state of its queues. Without Redis, money moves and the janitor settles.")
	queueTasks      = describe("kizo_queue_tasks", "Tasks in a queue.", "queue", "state")
	queueOldest     = describe("kizo_queue_oldest_seconds", "Age of the oldest task that waits for a worker.", "queue")
	queuePaused     = describe("kizo_queue_paused", "1 while an operator has paused the queue.", "queue")
	queueProcessed  = describe("kizo_queue_processed_total", "Tasks that workers have processed.", "queue")
	queueFailed     = describe("kizo_queue_failed_total", "Tasks that failed.", "queue")
	workerProcesses = describe("kizo_worker_processes", "Worker processes that are registered in Redis.")
	workerSlots     = describe("kizo_worker_slots", "Tasks that the workers can process at once.")
	workersBusy     = describe("kizo_worker_slots_busy", "Tasks that the workers process now.")

	databaseUp        = describe("kizo_database_up", "1 if the database answers.")
	paymentsOverdue   = describe("kizo_payments_overdue", "Payments that are overdue by more than the janitor's timeout; counted up to 10,000.")
	paymentsInReview  = describe("kizo_payments_in_review", "Payments that wait for an operator's decision; counted up to 10,000.")
	discrepanciesOpen = describe("kizo_bank_discrepancies_open", "Discrepancies between the bank's statement and the books that are not closed; counted up to 10,000.")

	idleTransaction  = describe("kizo_database_idle_transaction_seconds", "Longest time that a session of the database has idled inside its transaction; 0 if none does. Sessions of other roles are visible to members of pg_read_all_stats only.")
	writeTransaction = describe("kizo_database_write_transaction_seconds", "Age of the oldest transaction that has changed or locked a row, in any session of the database; 0 if there is none.")
)

// Bounds of a scrape.
const (
	scrapeTimeout = time.Second      // for reading what is not cached
	scrapeMaxAge  = 15 * time.Second // of a cached value; about the interval between scrapes
)

// Describe implements [prometheus.Collector].
func (d *Dependencies) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		redisUp, queueTasks, queueOldest, queuePaused, queueProcessed, queueFailed, workerProcesses, workerSlots, workersBusy,
		databaseUp, paymentsOverdue, paymentsInReview, discrepanciesOpen, idleTransaction, writeTransaction,
	} {
		out <- desc
	}
}

// Collect implements [prometheus.Collector]. What cannot be read is absent, never 0.
func (d *Dependencies) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	queues, findings := d.status(ctx, scrapeMaxAge)
	gauge(out, redisUp, oneIf(queues != nil))
	if queues != nil {
		queues.collect(out)
	}
	gauge(out, databaseUp, oneIf(findings != nil))
	if findings != nil {
		gauge(out, paymentsOverdue, float64(findings.Overdue))
		gauge(out, paymentsInReview, float64(findings.NeedsReview))
		gauge(out, discrepanciesOpen, float64(findings.Discrepancies))
	}
	if open, err := d.transactions.get(ctx, scrapeMaxAge); err == nil {
		gauge(out, idleTransaction, open.idle.Seconds())
		gauge(out, writeTransaction, open.write.Seconds())
	}
}

func (s QueueStatus) collect(out chan<- prometheus.Metric) {
	for _, q := range s.Queues {
		for state, n := range map[string]int{
			"pending": q.Pending, "active": q.Active, "scheduled": q.Scheduled, "retry": q.Retry, "archived": q.Archived, "completed": q.Completed,
		} {
			gauge(out, queueTasks, float64(n), q.Name, state)
		}
		gauge(out, queueOldest, q.Latency.Seconds(), q.Name)
		gauge(out, queuePaused, oneIf(q.Paused), q.Name)
		counter(out, queueProcessed, float64(q.ProcessedTotal), q.Name)
		counter(out, queueFailed, float64(q.FailedTotal), q.Name)
	}
	gauge(out, workerProcesses, float64(s.Workers.Servers))
	gauge(out, workerSlots, float64(s.Workers.Slots))
	gauge(out, workersBusy, float64(s.Workers.Busy))
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
