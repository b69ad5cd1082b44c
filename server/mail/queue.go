package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/taskqueue"
)

// QueueName is the name of the queue of mail in Redis.
const QueueName = "mail"

const taskType = "mail:send"

// Kind says what a mail is about. It is a label of metrics.
type Kind string

// The kinds of mail.
const (
	PasswordReset Kind = "password_reset"
	VerifyEmail   Kind = "verify_email"
	ChangeEmail   Kind = "change_email" // to the new address
	Notices       Kind = "notices"      // those of a user that are due

	// To the earlier address.
	EmailChangeRequested Kind = "email_change_requested"
	EmailChanged         Kind = "email_changed"
	AccountClosed        Kind = "account_closed"
)

// kinds are all of them.
var kinds = []Kind{Notices, PasswordReset, VerifyEmail, ChangeEmail, EmailChangeRequested, EmailChanged, AccountClosed}

// Task asks a worker for one mail. It contains neither a code nor any other secret: the worker
// makes the code when it sends the mail.
type Task struct {
	ID    uuid.UUID `json:"id"` // UUIDv7: of two tasks for one user, the later has the higher id
	Kind  Kind      `json:"kind"`
	At    time.Time `json:"at"`              // of the request
	Login string    `json:"login,omitempty"` // PasswordReset: as [auth.NormalLogin] returns it

	User       uuid.UUID `json:"user"`       // all others; an auth.UserID cannot be decoded
	To, Handle string    `json:",omitempty"` // to an earlier address: which, and whose it was

	Address, Client string `json:",omitempty"` // of the request, for the user's security events
}

// NewTask returns a task with an id and the time.
func NewTask(kind Kind) Task { return Task{ID: uuid.Must(uuid.NewV7()), Kind: kind, At: time.Now()} }

func (t Task) client() auth.Client { return auth.Client{Address: t.Address, UserAgent: t.Client} }

// life is how long after its request a mail is still of use: a person waits for a code.
const life = 15 * time.Minute

func (t Task) expired(now time.Time) bool { return now.Sub(t.At) > life }

const (
	maxWaiting     = 4096 // tasks in the buffer of a Queue
	enqueueTimeout = time.Second
	enqueueRetry   = time.Second // while Redis cannot be reached
)

// Queue creates the tasks of mail. Its callers neither wait for Redis nor fail with it: Run sends
// the tasks in the background. A process that is killed loses the tasks that it has not sent.
type Queue struct {
	redis   redis.UniversalClient
	waiting chan Task
	log     *slog.Logger
	metrics *Metrics
	retry   time.Duration
}

// NewQueue creates a queue with connections of its own; Run sends the tasks.
func NewQueue(to asynq.RedisConnOpt, log *slog.Logger, metrics *Metrics) *Queue {
	return &Queue{
		redis: taskqueue.NewRedis(to, taskqueue.QueueBounds), waiting: make(chan Task, maxWaiting), log: log, metrics: metrics,
		retry: enqueueRetry,
	}
}

// Enqueue asks for a mail. It never blocks. A task that does not fit into the buffer is dropped.
func (q *Queue) Enqueue(t Task) {
	select {
	case q.waiting <- t:
	default:
		q.metrics.count(t.Kind, resultLost)
	}
}

// Run sends tasks to Redis until ctx ends, then those in the buffer once. The error is always nil.
func (q *Queue) Run(ctx context.Context) error {
	defer func() { _ = q.redis.Close() }()
	for {
		select {
		case <-ctx.Done():
			q.flush()
			return nil
		case t := <-q.waiting:
			q.send(ctx, t)
		}
	}
}

// flush sends the tasks that are left, until one of them does not reach Redis.
func (q *Queue) flush() {
	for {
		select {
		case t := <-q.waiting:
			if q.create(context.Background(), t) != nil {
				q.metrics.count(t.Kind, resultLost)
				return
			}
		default:
			return
		}
	}
}

// send creates a task, and retries until it is of no use or ctx ends.
func (q *Queue) send(ctx context.Context, t Task) {
	for failed := false; ; failed = true {
		err := q.create(ctx, t)
		if err == nil {
			return
		}
		if !failed {
			q.log.Warn("mail waits for the queue in Redis", "error", err)
		}
		wait := time.NewTimer(q.retry)
		select {
		case <-ctx.Done():
			wait.Stop()
			_ = q.create(context.Background(), t)
			return
		case <-wait.C:
		}
		if t.expired(time.Now()) {
			q.metrics.count(t.Kind, resultLost)
			return
		}
	}
}

// maxRetry is never reached: a task expires before.
const maxRetry = 1000

// create creates a task in Redis. A client of asynq registers its queue only once, so that each
// task gets a new client; it is only a few fields around the same connections.
func (q *Queue) create(ctx context.Context, t Task) error {
	ctx, cancel := context.WithTimeout(ctx, enqueueTimeout)
	defer cancel()
	payload, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode the task of a mail: %w", err)
	}
	_, err = asynq.NewClientFromRedisClient(q.redis).EnqueueContext(ctx, asynq.NewTask(taskType, payload),
		asynq.Queue(QueueName), asynq.TaskID(t.ID.String()), asynq.MaxRetry(maxRetry), asynq.Timeout(taskTimeout))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}
