package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
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

// Dispatcher turns hints into tasks, off the caller's path: intake neither waits
// for Redis nor fails with it.
type Dispatcher struct {
	client *asynq.Client
	hints  chan hint
	log    *slog.Logger
	lost   func()
}

// NewDispatcher makes a dispatcher; Run sends.
func NewDispatcher(redis asynq.RedisConnOpt, log *slog.Logger, metrics *Metrics) *Dispatcher {
	return &Dispatcher{asynq.NewClient(redis), make(chan hint, 4096), log, metrics.hintLost}
}

// Hint says that a transfer has a payment to be carried out. It never blocks; a
// hint that finds no room is dropped, and the janitor notices a second later.
func (d *Dispatcher) Hint(transfer uuid.UUID) { d.push(hint{transfer: transfer, attempt: 1}) }

func (d *Dispatcher) push(h hint) {
	select {
	case d.hints <- h:
	default:
		d.lost()
	}
}

// Run enqueues hints until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) error {
	defer func() { _ = d.client.Close() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case h := <-d.hints:
			if err := d.enqueue(ctx, h); err != nil {
				d.lost()
				d.log.Warn("hint lost, the janitor will see to it", "transfer", h.transfer, "error", err)
			}
		}
	}
}

// enqueue makes the task of one attempt. Its id is the attempt's own, so the same
// attempt is never in the queue twice; it is not retried by asynq, since when to
// look again is written in the payment's row.
func (d *Dispatcher) enqueue(ctx context.Context, h hint) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := d.client.EnqueueContext(ctx, asynq.NewTask(taskType, h.transfer[:]),
		asynq.Queue(Queue),
		asynq.TaskID(fmt.Sprintf("%s:%d", h.transfer, h.attempt)),
		asynq.MaxRetry(0),
		asynq.ProcessIn(h.in))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}

// Worker consumes hints, Config.Concurrency at a time.
type Worker struct {
	settler    *Settler
	dispatcher *Dispatcher
	server     *asynq.Server
}

// NewWorker makes a worker; Run starts it.
func NewWorker(settler *Settler, dispatcher *Dispatcher, redis asynq.RedisConnOpt) *Worker {
	return &Worker{settler, dispatcher, asynq.NewServer(redis, asynq.Config{
		Concurrency:              settler.config.Concurrency,
		Queues:                   map[string]int{Queue: 1},
		TaskCheckInterval:        50 * time.Millisecond,  // default 1 s: half a second of waiting for nothing
		DelayedTaskCheckInterval: 250 * time.Millisecond, // default 5 s
		ShutdownTimeout:          8 * time.Second,        // more than the bank's timeout
		Logger:                   asynqLog{settler.log},
		LogLevel:                 asynq.WarnLevel,
	})}
}

// Run works until ctx ends, then lets the payments under way finish. Redis may be
// away at any time, also now.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.server.Start(asynq.HandlerFunc(w.handle)); err != nil {
		return fmt.Errorf("start settlement worker: %w", err)
	}
	<-ctx.Done()
	w.server.Shutdown()
	return nil
}

// handle follows one hint. It always succeeds: what went wrong is in the payment's
// row or will be found overdue, and a failed task would only block its id.
func (w *Worker) handle(ctx context.Context, task *asynq.Task) error {
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
