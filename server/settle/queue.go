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

// hint says that an attempt of a payment is due.
type hint struct {
	transfer uuid.UUID
	attempt  int
	in       time.Duration
}

// go-redis prints what goes wrong to stderr, many times a second while Redis is
// away, and returns it as well. The latter is logged, once.
func init() { redis.SetLogger(silence{}) }

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Dispatcher turns hints into tasks, off the caller's path: intake neither waits
// for Redis nor fails with it.
type Dispatcher struct {
	redis   redis.UniversalClient
	client  *asynq.Client
	hints   chan hint
	log     *slog.Logger
	metrics *Metrics
	renewal time.Duration // registerEvery
	away    bool          // the last hint did not reach Redis; Run's own
}

const (
	maxHints = 4096 // waiting to be sent
	// registerEvery bounds how long an emptied Redis does not list our queue: asynq's
	// client registers it once in its life, so it is made anew (it is only a few
	// fields around the connections).
	registerEvery = 5 * time.Second
	sendWithin    = time.Second
	flushWithin   = time.Second      // of the hints left at the end, all of them
	taskWithin    = 60 * time.Second // never reached: the bank's and the database's bounds are shorter
	// shutdownWithin bounds how long a worker that stops waits for Redis.
	shutdownWithin = time.Second
)

// NewDispatcher makes a dispatcher; Run sends.
func NewDispatcher(opt asynq.RedisConnOpt, log *slog.Logger, metrics *Metrics) *Dispatcher {
	client := RedisClient(opt, queueBounds)
	return &Dispatcher{
		redis: client, client: asynq.NewClientFromRedisClient(client), hints: make(chan hint, maxHints),
		log: log, metrics: metrics, renewal: registerEvery,
	}
}

// Hint says that a transfer has a payment to be carried out. It never blocks; a
// hint that finds no room is dropped, and the janitor notices a second later.
func (d *Dispatcher) Hint(transfer uuid.UUID) { d.push(hint{transfer: transfer, attempt: 1}) }

// HintAttempt is Hint about a later attempt, which has become due early.
func (d *Dispatcher) HintAttempt(transfer uuid.UUID, attempt int) {
	d.push(hint{transfer: transfer, attempt: attempt})
}

func (d *Dispatcher) push(h hint) {
	select {
	case d.hints <- h:
	default:
		d.metrics.hintLost()
	}
}

// Run enqueues hints until ctx ends.
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
		case h := <-d.hints:
			d.send(ctx, h)
		}
	}
}

// flush sends what is left, unless Redis is away.
func (d *Dispatcher) flush() {
	_ = failpoint.Point("settle.flush")
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	for !d.away {
		select {
		case h := <-d.hints:
			d.send(ctx, h)
		default:
			return
		}
	}
}

// send logs only what changes: while Redis is away every hint is lost.
func (d *Dispatcher) send(ctx context.Context, h hint) {
	err := d.enqueue(ctx, h)
	if err != nil {
		d.metrics.hintLost()
	}
	if away := err != nil; away != d.away {
		d.away = away
		if away {
			d.log.Warn("hints do not reach the queue, the janitor will see to the payments", "error", err)
		} else {
			d.log.Info("hints reach the queue again")
		}
	}
}

// enqueue makes the task of one attempt. Its id is the attempt's own, so the same
// attempt is never in the queue twice; it is not retried by asynq, since when to
// look again is written in the payment's row.
func (d *Dispatcher) enqueue(ctx context.Context, h hint) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	options := []asynq.Option{
		asynq.Queue(Queue),
		asynq.TaskID(fmt.Sprintf("%s:%d", h.transfer, h.attempt)),
		asynq.MaxRetry(0),
		asynq.Timeout(taskWithin),
	}
	if h.in > 0 {
		options = append(options, asynq.ProcessAt(wholeSecond(time.Now().Add(h.in))))
	}
	if err := failpoint.Point("settle.before_enqueue"); err != nil {
		return err
	}
	_, err := d.client.EnqueueContext(ctx, asynq.NewTask(taskType, h.transfer[:]), options...)
	if err := failpoint.Point("settle.enqueued"); err != nil {
		return err
	}
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}

// wholeSecond rounds up. asynq keeps whole seconds and cuts off the rest: a hint
// would come up to a second before its payment is due, and be of no use.
func wholeSecond(t time.Time) time.Time { return t.Add(time.Second - 1).Truncate(time.Second) }

// Worker consumes hints, Config.Concurrency at a time.
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

// handle follows one hint. It always succeeds: what went wrong is in the payment's
// row or will be found overdue, and a failed task would only block its id.
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
		_ = failpoint.Point("settle.hint_again")
		w.dispatcher.push(hint{transfer, attempt, again})
	}
	return nil
}

// asynqLog brings asynq's messages into ours.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Info(args ...any)  { l.log.Info("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Warn(args ...any)  { l.log.Warn("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Error(args ...any) { l.log.Warn("asynq", "message", fmt.Sprint(args...)) }
func (l asynqLog) Fatal(args ...any) { l.log.Error("asynq", "message", fmt.Sprint(args...)) }
