package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/settle"
)

// outside is what Redis and the database have to say about settlement, and what the
// last audit found: for operators' snapshots, and as metrics. Neither waits for a
// Redis or a database that hangs.
type outside struct {
	queues   lookout[queuesView]
	findings lookout[settle.Findings]
	sessions lookout[sessionsView]

	mu    sync.Mutex
	audit *openapi.AuditSnapshot // the last that was made here
}

type queuesView struct {
	queues  []settle.QueueStats
	workers settle.WorkerStats
}

// lookedAt is less than the second from one snapshot to the next.
const lookedAt = 500 * time.Millisecond

func newOutside(queues *settle.Queues, settler *settle.Settler, pool *pgxpool.Pool, log *slog.Logger) *outside {
	return &outside{
		queues: lookout[queuesView]{name: "the state of the queues in Redis", log: log, moment: lookedAt, ask: func(context.Context) (queuesView, error) { // asynq has bounds of its own
			stats, err := queues.Stats()
			workers, noWorkers := queues.Workers()
			return queuesView{stats, workers}, errors.Join(err, noWorkers)
		}},
		findings: lookout[settle.Findings]{name: "the state of the payments in the database", log: log, moment: lookedAt, ask: settler.Findings},
		sessions: lookout[sessionsView]{name: "the sessions of the database", log: log, moment: lookedAt, ask: (&sessionWatch{pool: pool}).ask},
	}
}

func (o *outside) audited(r ledger.Report) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.audit = &openapi.AuditSnapshot{At: r.At.UTC(), Ok: r.OK()}
}

func (o *outside) lastAudit() *openapi.AuditSnapshot {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.audit
}

// look asks both at once; what gives no answer is nil.
func (o *outside) look(ctx context.Context, tolerated time.Duration) (queues *queuesView, findings *settle.Findings) {
	var asked sync.WaitGroup
	asked.Go(func() {
		if view, err := o.queues.look(ctx, tolerated); err == nil {
			queues = &view
		}
	})
	if found, err := o.findings.look(ctx, tolerated); err == nil {
		findings = &found
	}
	asked.Wait()
	return queues, findings
}

var (
	redisUp         = describe("kizo_redis_up", "1 if Redis says how its queues are. Without it, money moves and the janitor settles.")
	queueTasks      = describe("kizo_queue_tasks", "Tasks in a queue.", "queue", "state")
	queueOldest     = describe("kizo_queue_oldest_seconds", "Age of the oldest task that waits to be worked on.", "queue")
	queuePaused     = describe("kizo_queue_paused", "1 while an operator lets no task start.", "queue")
	queueProcessed  = describe("kizo_queue_processed_total", "Tasks that were worked on.", "queue")
	queueFailed     = describe("kizo_queue_failed_total", "Tasks that failed.", "queue")
	workerProcesses = describe("kizo_worker_processes", "Processes that work on the queues, as Redis knows them.")
	workerSlots     = describe("kizo_worker_slots", "Tasks that they can work on at once.")
	workersBusy     = describe("kizo_worker_slots_busy", "Tasks that they work on now.")

	databaseUp        = describe("kizo_database_up", "1 if the database answers.")
	paymentsOverdue   = describe("kizo_payments_overdue", "Payments past their time by more than the janitor's patience; counted up to 10,000.")
	paymentsInReview  = describe("kizo_payments_in_review", "Payments that wait for an operator's decision; counted up to 10,000.")
	discrepanciesOpen = describe("kizo_bank_discrepancies_open", "Discrepancies between the bank's books and ours that are not closed; counted up to 10,000.")

	idleTransaction  = describe("kizo_database_idle_transaction_seconds", "Longest time that a session of the database has idled inside its transaction; 0 if none does. Sessions of other roles are seen by a member of pg_read_all_stats alone.")
	writeTransaction = describe("kizo_database_write_transaction_seconds", "Age of the oldest transaction that has changed or locked a row, in any session of the database; 0 if there is none.")

	auditOK   = describe("kizo_audit_ok", "1 if the last audit that this process made found every invariant kept; absent before one.")
	auditTime = describe("kizo_audit_timestamp_seconds", "When that audit was made.")
)

const (
	scrapeWaits   = time.Second      // for answers
	scrapeAccepts = 15 * time.Second // how old they may be: about a scrape's interval
)

// Describe makes it a Collector.
func (o *outside) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		redisUp, queueTasks, queueOldest, queuePaused, queueProcessed, queueFailed, workerProcesses, workerSlots, workersBusy,
		databaseUp, paymentsOverdue, paymentsInReview, discrepanciesOpen, idleTransaction, writeTransaction, auditOK, auditTime,
	} {
		out <- d
	}
}

// Collect gives what is known; what is not known is absent, never 0.
func (o *outside) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWaits)
	defer cancel()
	queues, findings := o.look(ctx, scrapeAccepts)
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
	if sessions, err := o.sessions.look(ctx, scrapeAccepts); err == nil {
		gauge(out, idleTransaction, sessions.idle.Seconds())
		gauge(out, writeTransaction, sessions.write.Seconds())
	}
	if audit := o.lastAudit(); audit != nil {
		gauge(out, auditOK, oneIf(audit.Ok))
		gauge(out, auditTime, float64(audit.At.UnixMilli())/1000)
	}
}

func (v queuesView) collect(out chan<- prometheus.Metric) {
	for _, q := range v.queues {
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
	gauge(out, workerProcesses, float64(v.workers.Servers))
	gauge(out, workerSlots, float64(v.workers.Slots))
	gauge(out, workersBusy, float64(v.workers.Busy))
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
