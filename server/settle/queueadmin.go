package settle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/server/taskqueue"
)

// Queues lets operators inspect and change the tasks in Redis. Its methods change no payment: if
// a task is lost, the janitor attempts the payment.
type Queues struct {
	inspector *asynq.Inspector
	redis     redis.UniversalClient
	names     []string
}

// NewQueues creates a Queues with connections of its own, for the queue of settlement and for
// others that operators may see and change. The caller must Close it.
func NewQueues(opt asynq.RedisConnOpt, others ...string) *Queues {
	client := taskqueue.NewRedis(opt, taskqueue.QueueBounds)
	return &Queues{asynq.NewInspectorFromRedisClient(client), client, append([]string{Queue}, others...)}
}

// Close closes the connections to Redis.
func (q *Queues) Close() error { return q.redis.Close() }

// QueueStats are the counts of one queue's tasks by state, and of those handled today and in total.
type QueueStats struct {
	Name                                        string
	Paused                                      bool
	Pending, Active, Scheduled, Retry, Archived int
	Completed                                   int
	ProcessedToday, FailedToday                 int
	ProcessedTotal, FailedTotal                 int
	Latency                                     time.Duration // age of the oldest pending task
}

// Stats returns the statistics of every queue, that of settlement first. A queue that Redis does
// not know, because it never had a task or Redis was emptied, is empty. It fails with
// [ErrQueueUnavailable].
func (q *Queues) Stats() ([]QueueStats, error) {
	// GetQueueInfo has no distinct error for an unknown queue, so the list of queues is read first.
	known, err := q.inspector.Queues()
	if err != nil {
		return nil, queueError(err)
	}
	all := make([]QueueStats, len(q.names))
	for i, name := range q.names {
		if all[i].Name = name; !slices.Contains(known, name) {
			continue
		}
		info, err := q.inspector.GetQueueInfo(name)
		if err != nil {
			return nil, queueError(err)
		}
		all[i] = QueueStats{
			Name: info.Queue, Paused: info.Paused, Pending: info.Pending, Active: info.Active,
			Scheduled: info.Scheduled, Retry: info.Retry, Archived: info.Archived,
			Completed: info.Completed, ProcessedToday: info.Processed, FailedToday: info.Failed,
			ProcessedTotal: info.ProcessedTotal, FailedTotal: info.FailedTotal, Latency: info.Latency,
		}
	}
	return all, nil
}

// WorkerStats counts the worker processes, and their attempts in progress of how many possible
// ones.
type WorkerStats struct {
	Servers, Busy, Slots int
}

// Workers counts the workers of settlement that have reported to Redis in the last seconds.
func (q *Queues) Workers() (WorkerStats, error) {
	servers, err := q.inspector.Servers()
	if err != nil {
		return WorkerStats{}, queueError(err)
	}
	var stats WorkerStats
	for _, s := range servers {
		if s.Queues[Queue] == 0 {
			continue // it sends mail
		}
		stats.Servers++
		stats.Busy += len(s.ActiveWorkers)
		stats.Slots += s.Concurrency
	}
	return stats, nil
}

// Pause stops the workers from starting tasks until [Queues.Resume]. Pausing twice is no error.
func (q *Queues) Pause(queue string) error { return q.setPaused(queue, true) }

// Resume ends a pause. Resuming a queue that is not paused is no error.
func (q *Queues) Resume(queue string) error { return q.setPaused(queue, false) }

func (q *Queues) setPaused(queue string, pause bool) error {
	at := slices.Index(q.names, queue)
	if at < 0 {
		return ErrNoQueue
	}
	stats, err := q.Stats()
	if err != nil {
		return err
	}
	if stats[at].Paused == pause {
		return nil
	}
	if pause {
		return queueError(q.inspector.PauseQueue(queue))
	}
	return queueError(q.inspector.UnpauseQueue(queue))
}

// Task is one task in a queue.
type Task struct {
	ID            string
	State         string
	Transfer      uuid.UUID
	NextProcessAt time.Time
	LastError     string
}

// Tasks lists at most limit tasks of a queue in one state; the empty state means pending. Errors of
// other queues than that of settlement are left out: those of mail contain addresses of users.
func (q *Queues) Tasks(queue, state string, limit int) ([]Task, error) {
	if !slices.Contains(q.names, queue) {
		return nil, ErrNoQueue
	}
	list, ok := map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		"": q.inspector.ListPendingTasks, "pending": q.inspector.ListPendingTasks,
		"active": q.inspector.ListActiveTasks, "scheduled": q.inspector.ListScheduledTasks,
		"retry": q.inspector.ListRetryTasks, "archived": q.inspector.ListArchivedTasks,
		"completed": q.inspector.ListCompletedTasks,
	}[state]
	if !ok {
		return nil, ErrTaskState
	}
	infos, err := list(queue, asynq.PageSize(limit))
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, queueError(err)
	}
	tasks := make([]Task, len(infos))
	for i, info := range infos {
		transfer, _ := uuid.FromBytes(info.Payload) // a task of another program has no transfer id
		tasks[i] = Task{
			ID: info.ID, State: info.State.String(), Transfer: transfer,
			NextProcessAt: info.NextProcessAt, LastError: info.LastErr,
		}
		if queue != Queue && info.LastErr != "" {
			tasks[i].LastError = "see the log of the workers"
		}
	}
	return tasks, nil
}

// Act changes one task: action is retry, archive or delete.
func (q *Queues) Act(queue, task, action string) error {
	if !slices.Contains(q.names, queue) {
		return ErrNoQueue
	}
	act, ok := map[string]func(queue, id string) error{
		"retry": q.inspector.RunTask, "archive": q.inspector.ArchiveTask, "delete": q.inspector.DeleteTask,
	}[action]
	if !ok {
		return ErrTaskAction
	}
	return queueError(act(queue, task))
}

// queueError converts an error of asynq to one of the errors in errors.go.
func queueError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, asynq.ErrQueueNotFound):
		return ErrNoQueue
	case errors.Is(err, asynq.ErrTaskNotFound):
		return ErrNoTask
	}
	if _, answered := errors.AsType[redis.Error](err); !answered && isNetwork(err) {
		return fmt.Errorf("%w: %w", ErrQueueUnavailable, err)
	}
	return fmt.Errorf("%w: %w", ErrTaskBusy, err)
}

// isNetwork reports whether err means that Redis could not be reached.
func isNetwork(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded)
}
