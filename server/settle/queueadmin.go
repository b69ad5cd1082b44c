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
)

// Queues lets operators look into Redis and nudge it. Nothing here touches a
// payment: a task is only a hint.
type Queues struct {
	inspector *asynq.Inspector
	redis     redis.UniversalClient
}

// NewQueues makes one on its own connections; Close it.
func NewQueues(opt asynq.RedisConnOpt) *Queues {
	client := RedisClient(opt, queueBounds)
	return &Queues{asynq.NewInspectorFromRedisClient(client), client}
}

// Close gives the connections back.
func (q *Queues) Close() error { return q.redis.Close() }

// QueueStats are the numbers of one queue at one moment.
type QueueStats struct {
	Name                                        string
	Paused                                      bool
	Pending, Active, Scheduled, Retry, Archived int
	Completed                                   int
	ProcessedToday, FailedToday                 int
	ProcessedTotal, FailedTotal                 int
	Latency                                     time.Duration // age of the oldest pending task
}

// Stats of every queue that settlement uses. One that no task has ever gone
// through, or that Redis has forgotten, is empty.
func (q *Queues) Stats() ([]QueueStats, error) {
	// Asked first, since GetQueueInfo's error for a queue it does not know has no name.
	known, err := q.inspector.Queues()
	if err != nil {
		return nil, queueError(err)
	}
	if !slices.Contains(known, Queue) {
		return []QueueStats{{Name: Queue}}, nil
	}
	info, err := q.inspector.GetQueueInfo(Queue)
	if err != nil {
		return nil, queueError(err)
	}
	return []QueueStats{{
		Name: info.Queue, Paused: info.Paused, Pending: info.Pending, Active: info.Active,
		Scheduled: info.Scheduled, Retry: info.Retry, Archived: info.Archived,
		Completed: info.Completed, ProcessedToday: info.Processed, FailedToday: info.Failed,
		ProcessedTotal: info.ProcessedTotal, FailedTotal: info.FailedTotal, Latency: info.Latency,
	}}, nil
}

// WorkerStats are the numbers of all processes that have workers.
type WorkerStats struct {
	Servers, Busy, Slots int
}

// Workers counts them, as far as they have said so to Redis in the last seconds.
func (q *Queues) Workers() (WorkerStats, error) {
	servers, err := q.inspector.Servers()
	if err != nil {
		return WorkerStats{}, queueError(err)
	}
	stats := WorkerStats{Servers: len(servers)}
	for _, s := range servers {
		stats.Busy += len(s.ActiveWorkers)
		stats.Slots += s.Concurrency
	}
	return stats, nil
}

// Pause lets no task start; Resume lets them again. Both may be said twice.
func (q *Queues) Pause(queue string) error { return q.change(queue, true) }

// Resume lets tasks start again.
func (q *Queues) Resume(queue string) error { return q.change(queue, false) }

func (q *Queues) change(queue string, pause bool) error {
	if queue != Queue {
		return ErrNoQueue
	}
	stats, err := q.Stats()
	if err != nil {
		return err
	}
	if stats[0].Paused == pause {
		return nil
	}
	if pause {
		return queueError(q.inspector.PauseQueue(queue))
	}
	return queueError(q.inspector.UnpauseQueue(queue))
}

// Task is one hint in the queue.
type Task struct {
	ID            string
	State         string
	Transfer      uuid.UUID
	NextProcessAt time.Time
	LastError     string
}

// Tasks lists the tasks of a queue in one state.
func (q *Queues) Tasks(queue, state string, limit int) ([]Task, error) {
	if queue != Queue {
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
		transfer, _ := uuid.FromBytes(info.Payload) // a task that is not ours shows no transfer
		tasks[i] = Task{
			ID: info.ID, State: info.State.String(), Transfer: transfer,
			NextProcessAt: info.NextProcessAt, LastError: info.LastErr,
		}
	}
	return tasks, nil
}

// Act retries, archives or deletes a task.
func (q *Queues) Act(queue, task, action string) error {
	if queue != Queue {
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

func queueError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, asynq.ErrQueueNotFound):
		return ErrNoQueue
	case errors.Is(err, asynq.ErrTaskNotFound):
		return ErrNoTask
	}
	if _, away := errors.AsType[redis.Error](err); !away && isNetwork(err) {
		return fmt.Errorf("%w: %w", ErrQueueIsAway, err)
	}
	return fmt.Errorf("%w: %w", ErrTaskBusy, err)
}

// isNetwork tells whether an error is about reaching Redis, not about what it said.
func isNetwork(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded)
}
