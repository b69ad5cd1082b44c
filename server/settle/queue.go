package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/server/failpoint"
)

// Queue is the name of the one queue that settlement uses.
const Queue = "bank"

const taskType = "payment:settle"

// attemptTask says that an attempt of a payment is due.
type attemptTask struct {
	transfer uuid.UUID
	attempt  int
	in       time.Duration
}

// go-redis prints what goes wrong to stderr, many times a second while Redis is
// away, and returns it as well. The latter is logged, once.
func init() { redis.SetLogger(silence{}) }

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Dispatcher creates the tasks that make a worker look at a payment now. Its callers neither
// wait for Redis nor fail with it: Run sends the tasks in the background.
type Dispatcher struct {
	redis   redis.UniversalClient
	client  *asynq.Client
	waiting chan attemptTask
	log     *slog.Logger
	metrics *Metrics
	renewal time.Duration // registerEvery
	away    bool          // the last task did not reach Redis; used by Run only
}

const (
	maxWaitingTasks = 4096 // waiting to be sent
	// registerEvery limits for how long a Redis that was emptied does not list the queue.
	// asynq's client registers the queue once in its life, so it is replaced by a new one,
	// which is only a few fields around the same connections.
	registerEvery = 5 * time.Second
	sendWithin    = time.Second
	flushWithin   = time.Second      // for all tasks that are left when Run ends
	taskWithin    = 60 * time.Second // never reached: the bank's and the database's bounds are shorter
	// shutdownWithin bounds how long a worker that stops waits for Redis.
	shutdownWithin = time.Second
)

// NewDispatcher makes a dispatcher; Run sends.
func NewDispatcher(opt asynq.RedisConnOpt, log *slog.Logger, metrics *Metrics) *Dispatcher {
	client := RedisClient(opt, queueBounds)
	return &Dispatcher{
		redis: client, client: asynq.NewClientFromRedisClient(client), waiting: make(chan attemptTask, maxWaitingTasks),
		log: log, metrics: metrics, renewal: registerEvery,
	}
}

// Enqueue creates a task for the first attempt of a transfer's payment. It never blocks. A task
// that does not fit into the buffer is dropped: the janitor finds the payment a second later.
func (d *Dispatcher) Enqueue(transfer uuid.UUID) { d.push(attemptTask{transfer: transfer, attempt: 1}) }

// EnqueueAttempt is Enqueue for a later attempt, which has become due early.
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

// Run sends tasks to Redis until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) error {
	defer func() { _ = d.redis.Close() }()
	register := time.NewTicker(d.renewal)
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
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	for !d.away {
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
	if away := err != nil; away != d.away {
		d.away = away
		if away {
			d.log.Warn("tasks do not reach the queue, the janitor settles the payments", "error", err)
		} else {
			d.log.Info("tasks reach the queue again")
		}
	}
}

// createTask creates the task of one attempt. Its id is the attempt's own, so the same
// attempt is never in the queue twice; it is not retried by asynq, since when to
// look again is written in the payment's row.
func (d *Dispatcher) createTask(ctx context.Context, t attemptTask) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	options := []asynq.Option{
		asynq.Queue(Queue),
		asynq.TaskID(fmt.Sprintf("%s:%d", t.transfer, t.attempt)),
		asynq.MaxRetry(0),
		asynq.Timeout(taskWithin),
	}
	if t.in > 0 {
		options = append(options, asynq.ProcessAt(wholeSecond(time.Now().Add(t.in))))
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

// wholeSecond rounds up. asynq stores whole seconds and drops the fraction: a worker would get a
// task up to a second before its payment is due, and find nothing to do.
func wholeSecond(t time.Time) time.Time { return t.Add(time.Second - 1).Truncate(time.Second) }

// Worker handles tasks, Config.Concurrency at a time.
type Worker struct {
	settler    *Settler
	dispatcher *Dispatcher
	server     *asynq.Server
	redis      redis.UniversalClient // the server's
	handling   sync.WaitGroup
	active     atomic.Int64 // tasks in handling
}

// NewWorker makes a worker; Run starts it.
func NewWorker(settler *Settler, dispatcher *Dispatcher, redis asynq.RedisConnOpt) *Worker {
	client := RedisClient(redis, queueBounds)
	return &Worker{settler: settler, dispatcher: dispatcher, redis: client, server: asynq.NewServerFromRedisClient(client, asynq.Config{
		Concurrency:              settler.config.Concurrency,
		Queues:                   map[string]int{Queue: 1},
		TaskCheckInterval:        50 * time.Millisecond,  // default 1 s: half a second of waiting for nothing
		DelayedTaskCheckInterval: 250 * time.Millisecond, // default 5 s
		ShutdownTimeout:          settler.config.Drain,
		Logger:                   asynqLog{settler.log},
		LogLevel:                 asynq.WarnLevel,
	})}
}

// Run works until ctx ends, then lets the payments under way finish, and hands over
// those that do not within Config.Drain. Redis may be away at any time, also now.
func (w *Worker) Run(ctx context.Context) error {
	if err := failpoint.Point("settle.worker_starts"); err != nil {
		return err
	}
	defer func() { _ = w.redis.Close() }()
	if err := w.server.Start(asynq.HandlerFunc(w.handle)); err != nil {
		return fmt.Errorf("start settlement worker: %w", err)
	}
	<-ctx.Done()
	_ = failpoint.Point("settle.worker_stops")
	w.shutdown()
	w.handling.Wait() // asynq does not wait for those whose time was up
	return nil
}

// shutdown ends asynq's server, which sends Redis several commands one after the other. It
// closes the connections when no payment is under way and Redis has not answered for
// shutdownWithin: every command that still waits then fails at once.
func (w *Worker) shutdown() {
	done := make(chan struct{})
	go func() {
		w.server.Shutdown()
		close(done)
	}()
	tick := time.NewTicker(shutdownWithin)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if w.active.Load() == 0 {
				_ = w.redis.Close()
			}
		}
	}
}

// handle settles the payment that a task names. It returns no error: failures are in the
// payment's row, or the janitor finds the payment overdue. A failed task would only block its id.
func (w *Worker) handle(ctx context.Context, task *asynq.Task) error {
	w.handling.Add(1)
	w.active.Add(1)
	defer w.handling.Done()
	defer w.active.Add(-1)
	_ = failpoint.Point("settle.task")
	transfer, err := uuid.FromBytes(task.Payload())
	if err != nil {
		w.settler.log.Error("task holds no transfer id", "type", task.Type())
		return nil
	}
	again, attempt, err := w.settler.SettleOne(ctx, transfer)
	if err != nil {
		w.settler.log.Warn("payment left to the janitor", "transfer", transfer, "error", err)
		return nil
	}
	if again > 0 {
		_ = failpoint.Point("settle.enqueue_again")
		w.dispatcher.push(attemptTask{transfer, attempt, again})
	}
	return nil
}

// asynqLog writes asynq's messages to the log.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Info(args ...any)  { l.log.Info("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Warn(args ...any)  { l.log.Warn("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Error(args ...any) { l.log.Warn("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Fatal(args ...any) { l.log.Error("asynq", "message", fmt.Sprint(args...)) }
