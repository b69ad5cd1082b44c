package mail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/ids"
	"github.com/JDevAman/kizo/server/notices"
	"github.com/JDevAman/kizo/server/taskqueue"
)

const (
	concurrency   = 4
	taskTimeout   = sendTimeout + 30*time.Second // never reached: the parts have shorter limits
	drainTimeout  = 5 * time.Second
	maxRetryDelay = 2 * time.Minute

	// DefaultRate is how many mails all processes together send in a minute.
	DefaultRate = 300
	// addressRate is how many mails one address gets in an hour.
	addressRate = 10
)

// WorkerConfig configures a [Worker]. Rate and NoticesInterval have defaults; without Notices, the
// worker mails none. All other fields are required.
type WorkerConfig struct {
	Redis   asynq.RedisConnOpt
	Auth    *auth.Service
	Sender  Sender
	Rate    int // mails in a minute, of all processes together: DefaultRate
	Logger  *slog.Logger
	Metrics *Metrics

	Notices         *notices.Inbox
	Enqueue         func(Task)    // [Queue.Enqueue], for notices
	NoticesInterval time.Duration // between two looks for notices: 5 s
}

// Worker sends the mail that tasks ask for. A mail is sent at least once while its task exists: a
// worker that is killed between the acceptance by the mail server and the end of the task sends it
// again, with another code.
type Worker struct {
	config WorkerConfig
	server *taskqueue.Server
	redis  redis.UniversalClient
	limits *redis_rate.Limiter
	now    func() time.Time
}

// NewWorker creates a worker with connections of its own; Run starts it.
func NewWorker(c WorkerConfig) *Worker {
	if c.Rate == 0 {
		c.Rate = DefaultRate
	}
	if c.NoticesInterval == 0 {
		c.NoticesInterval = noticesInterval
	}
	client := taskqueue.NewRedis(c.Redis, taskqueue.QueueBounds)
	return &Worker{config: c, redis: client, limits: redis_rate.NewLimiter(client), now: time.Now, server: taskqueue.NewServer(c.Redis, c.Logger, asynq.Config{
		Concurrency:              concurrency,
		Queues:                   map[string]int{QueueName: 1},
		TaskCheckInterval:        250 * time.Millisecond,
		DelayedTaskCheckInterval: time.Second,
		ShutdownTimeout:          drainTimeout,
		RetryDelayFunc:           retryDelay,
		IsFailure:                func(err error) bool { return !errors.Is(err, errTooManyMails) && !errors.Is(err, errAddressFull) },
	})}
}

// retryDelay returns 2 s, 4 s, 8 s, …, 2 min.
func retryDelay(retried int, err error, _ *asynq.Task) time.Duration {
	if errors.Is(err, errTooManyMails) {
		return 5 * time.Second
	}
	if errors.Is(err, errAddressFull) {
		return notices.MailInterval
	}
	return min(2*time.Second<<min(retried, 6), maxRetryDelay)
}

// Run handles tasks until ctx ends. It works while Redis cannot be reached, also at the start.
func (w *Worker) Run(ctx context.Context) error {
	defer func() { _ = w.redis.Close() }()
	if err := w.server.Start(w.handle); err != nil {
		return fmt.Errorf("start the mail worker: %w", err)
	}
	if w.config.Notices != nil {
		w.askForNotices(ctx)
	}
	<-ctx.Done()
	w.server.Shutdown()
	return nil
}

var (
	errTooManyMails = errors.New("the limit of mails per minute is reached")
	errAddressFull  = errors.New("the limit of mails to the address is reached; the notices wait")
)

// handle sends the mail of a task. asynq retries a task with an error.
func (w *Worker) handle(ctx context.Context, task *asynq.Task) error {
	var t Task
	if err := json.Unmarshal(task.Payload(), &t); err != nil {
		w.config.Logger.Error("the task of a mail cannot be read", "type", task.Type(), "error", err)
		return nil
	}
	result, err := w.send(ctx, t)
	w.config.Metrics.count(t.Kind, result)
	switch {
	case errors.Is(err, errTooManyMails), errors.Is(err, errAddressFull):
		return err
	case result == resultRejected:
		w.config.Logger.Warn("mail was rejected, and is not sent", "kind", t.Kind, "task", t.ID, "error", withoutAddress(err))
	case err != nil:
		w.config.Logger.Warn("mail was not sent, and is retried", "kind", t.Kind, "task", t.ID, "error", withoutAddress(err))
		return errNotSent // asynq stores the text of an error in Redis
	}
	return nil
}

var errNotSent = errors.New("mail was not sent")

// withoutAddress makes the answer of a mail server safe for the log.
func withoutAddress(err error) string { return auth.EventText(err.Error()) }

func (w *Worker) send(ctx context.Context, t Task) (result, error) {
	if t.expired(w.now()) {
		return resultExpired, nil
	}
	if ok, err := w.allow(ctx, "all", redis_rate.PerMinute(w.config.Rate)); err != nil || !ok {
		return resultDelayed, errors.Join(err, errTooManyMails)
	}
	if t.Kind == Notices {
		return w.sendNotices(ctx, ids.UserID(t.User))
	}
	m, err := w.compose(ctx, t)
	switch {
	case err != nil:
		return resultFailed, err
	case m == Message{}:
		return resultNone, nil
	}
	return w.deliver(ctx, m)
}

// sendNotices mails the notices of a user that are due. It records that they are mailed when the
// mail server has accepted or rejected the mail. Above the limit of the address they wait.
func (w *Worker) sendNotices(ctx context.Context, user ids.UserID) (result, error) {
	d, err := w.config.Notices.Digest(ctx, user)
	switch {
	case err != nil:
		return resultFailed, err
	case d.Email == "":
		return resultNone, nil
	}
	result, err := w.deliver(ctx, noticesMail(d))
	switch result {
	case resultDropped:
		return result, errAddressFull
	case resultSent, resultRejected:
		if err2 := w.config.Notices.Mailed(ctx, user, d); err2 != nil {
			return resultFailed, errors.Join(err, err2)
		}
	}
	return result, err
}

// deliver sends a mail, unless its address has had too many.
func (w *Worker) deliver(ctx context.Context, m Message) (result, error) {
	sum := sha256.Sum256([]byte(m.To))
	ok, err := w.allow(ctx, "to:"+hex.EncodeToString(sum[:16]), redis_rate.PerHour(addressRate))
	switch {
	case err != nil:
		return resultFailed, err
	case !ok:
		return resultDropped, nil
	}
	err = w.config.Sender.Send(ctx, m)
	_ = failpoint.Point("mail.sent")
	if _, rejected := errors.AsType[*Rejected](err); rejected {
		return resultRejected, err
	}
	if err != nil {
		return resultFailed, err
	}
	return resultSent, nil
}

// allow counts a mail against a limit that all processes share.
func (w *Worker) allow(ctx context.Context, key string, limit redis_rate.Limit) (bool, error) {
	r, err := w.limits.Allow(ctx, "kizo:mail:"+key, limit)
	if err != nil {
		return false, fmt.Errorf("count mail: %w", err)
	}
	return r.Allowed > 0, nil
}
