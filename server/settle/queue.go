package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/taskqueue"
)

// Queue is the name of the only queue that settlement uses.
const Queue = "bank"

const taskType = "payment:settle"

// attemptTask is a task to make one attempt at a payment, after delay.
type attemptTask struct {
	transfer uuid.UUID
	attempt  int
	delay    time.Duration
}

// Dispatcher creates the tasks that make a worker look at a payment now. Its callers neither
// wait for Redis nor fail with it: Run sends the tasks in the background.
type Dispatcher struct {
	redis            redis.UniversalClient
	client           *asynq.Client
	waiting          chan attemptTask
	log              *slog.Logger
	metrics          *Metrics
	registerInterval time.Duration
	unreachable      bool // the last task did not reach Redis; used by Run only
}

const (
	maxWaitingTasks = 4096 // in the buffer of a Dispatcher
	// registerInterval limits how long an emptied Redis does not list the queue. A client of asynq
	// registers the queue only once, so the dispatcher replaces the client; a new one is only a few
	// fields around the same connections.
	registerInterval = 5 * time.Second
	sendTimeout      = time.Second
	flushTimeout     = time.Second      // for all tasks that are left when Run ends
	taskTimeout      = 60 * time.Second // never reached: the time limits of the bank and the database are shorter
)

// NewDispatcher creates a dispatcher with connections of its own; Run sends the tasks.
func NewDispatcher(opt asynq.RedisConnOpt, log *slog.Logger, metrics *Metrics) *Dispatcher {
	client := taskqueue.NewRedis(opt, taskqueue.QueueBounds)
	return &Dispatcher{
		redis: client, client: asynq.NewClientFromRedisClient(client), waiting: make(chan attemptTask, maxWaitingTasks),
		log: log, metrics: metrics, registerInterval: registerInterval,
	}
}

// Enqueue creates a task for the first attempt of a transfer's payment. It never blocks. A task
// that does not fit into the buffer is dropped: the janitor finds the payment a second later.
func (d *Dispatcher) Enqueue(transfer uuid.UUID) { d.push(attemptTask{transfer: transfer, attempt: 1}) }

// EnqueueAttempt is Enqueue for a later attempt that has become due early.
func (d *Dispatcher) EnqueueAttempt(transfer uuid.UUID, attempt int) {
	d.push(attemptTask{transfer: transfer, attempt: attempt})
}

func (d *Dispatcher) push(t attemptTask) {
	select {
	case d.waiting <- t:
	default:
		d.metrics.enqueueFailed()
	}
}

// Run sends tasks to Redis until ctx ends, then sends those in the buffer for at most a second. The
// error is always nil.
func (d *Dispatcher) Run(ctx context.Context) error {
	defer func() { _ = d.redis.Close() }()
	register := time.NewTicker(d.registerInterval)
	defer register.Stop()
	for {
		select {
		case <-ctx.Done():
			d.flush()
			return nil
		case <-register.C:
			d.client = asynq.NewClientFromRedisClient(d.redis)
		case t := <-d.waiting:
			d.send(ctx, t)
		}
	}
}

// flush sends the tasks that are left, unless Redis cannot be reached.
func (d *Dispatcher) flush() {
	_ = failpoint.Point("settle.flush")
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	for !d.unreachable {
		select {
		case t := <-d.waiting:
			d.send(ctx, t)
		default:
			return
		}
	}
}

// send logs only changes: while Redis cannot be reached, every task is lost.
func (d *Dispatcher) send(ctx context.Context, t attemptTask) {
	err := d.createTask(ctx, t)
	if err != nil {
		d.metrics.enqueueFailed()
	}
	if away := err != nil; away != d.unreachable {
		d.unreachable = away
		if away {
			d.log.Warn("tasks do not reach the queue, the janitor settles the payments", "error", err)
		} else {
			d.log.Info("tasks reach the queue again")
		}
	}
}

// createTask creates the task of one attempt. The id of the task names the attempt, so the same
// attempt is never in the queue twice. asynq does not retry it: the row of the payment says when
// the next attempt is due.
func (d *Dispatcher) createTask(ctx context.Context, t attemptTask) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	options := []asynq.Option{
		asynq.Queue(Queue),
		asynq.TaskID(fmt.Sprintf("%s:%d", t.transfer, t.attempt)),
		asynq.MaxRetry(0),
		asynq.Timeout(taskTimeout),
	}
	if t.delay > 0 {
		options = append(options, asynq.ProcessAt(nextWholeSecond(time.Now().Add(t.delay))))
	}
	if err := failpoint.Point("settle.before_enqueue"); err != nil {
		return err
	}
	_, err := d.client.EnqueueContext(ctx, asynq.NewTask(taskType, t.transfer[:]), options...)
	if err := failpoint.Point("settle.enqueued"); err != nil {
		return err
	}
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}

// nextWholeSecond rounds up to a second. asynq stores whole seconds and drops the fraction: a
// worker would get a task up to a second before its payment is due, and find nothing to do.
func nextWholeSecond(t time.Time) time.Time { return t.Add(time.Second - 1).Truncate(time.Second) }

// Worker attempts the payments that tasks name, Config.Concurrency at a time.
type Worker struct {
	settler    *Settler
	dispatcher *Dispatcher
	server     *taskqueue.Server
}

// NewWorker creates a worker with connections of its own; Run starts it. Later attempts are
// enqueued through dispatcher.
func NewWorker(settler *Settler, dispatcher *Dispatcher, redis asynq.RedisConnOpt) *Worker {
	return &Worker{settler: settler, dispatcher: dispatcher, server: taskqueue.NewServer(redis, settler.log, asynq.Config{
		Concurrency:              settler.config.Concurrency,
		Queues:                   map[string]int{Queue: 1},
		TaskCheckInterval:        50 * time.Millisecond,  // default 1 s, which delays a task by half a second on average
		DelayedTaskCheckInterval: 250 * time.Millisecond, // default 5 s
		ShutdownTimeout:          settler.config.DrainTimeout,
	})}
}

// Run handles tasks until ctx ends. It then waits up to Config.DrainTimeout for attempts in
// progress and makes the other payments due at once for another worker. It works while Redis
// cannot be reached, also at the start.
func (w *Worker) Run(ctx context.Context) error {
	if err := failpoint.Point("settle.worker_starts"); err != nil {
		return err
	}
	if err := w.server.Start(w.handle); err != nil {
		return fmt.Errorf("start settlement worker: %w", err)
	}
	<-ctx.Done()
	_ = failpoint.Point("settle.worker_stops")
	w.server.Shutdown()
	return nil
}

// handle settles the payment that a task names. It returns no error: failures are in the
// payment's row, or the janitor finds the payment overdue. A failed task would only block its id.
func (w *Worker) handle(ctx context.Context, task *asynq.Task) error {
	_ = failpoint.Point("settle.task")
	transfer, err := uuid.FromBytes(task.Payload())
	if err != nil {
		w.settler.log.Error("task does not contain a transfer id", "type", task.Type(), "error", err)
		return nil
	}
	retryIn, attempt, err := w.settler.SettleOne(ctx, transfer)
	if err != nil {
		w.settler.log.Warn("payment left to the janitor", "transfer", transfer, "error", err)
		return nil
	}
	if retryIn > 0 {
		_ = failpoint.Point("settle.enqueue_again")
		w.dispatcher.push(attemptTask{transfer, attempt, retryIn})
	}
	return nil
}
