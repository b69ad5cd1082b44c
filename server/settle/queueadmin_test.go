package settle

import (
	"errors"
	"testing"

	"github.com/hibiken/asynq"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/redistest"
)

// Operators can inspect, pause and resume the queue, and change its tasks.
func TestQueues(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	opt := redisOpt(redistest.New(t))
	q := NewQueues(opt, "mail")
	t.Cleanup(func() { h.must(q.Close()) })
	if stats, err := q.Stats(); err != nil || len(stats) != 2 || stats[0].Name != Queue || stats[1].Name != "mail" {
		t.Fatalf("got %+v, %v", stats, err)
	}
	alice := h.user(0)
	id := h.deposit(alice, 1_00)
	d, stop := h.dispatcher(opt)
	d.Enqueue(id)
	testkit.Eventually(t, "the task is there", func() bool {
		tasks, err := q.Tasks(Queue, "", 10)
		h.must(err)
		return len(tasks) == 1 && tasks[0].Transfer == id
	})
	stop()
	sender := asynq.NewClient(opt)
	t.Cleanup(func() { _ = sender.Close() })
	_, err := sender.Enqueue(asynq.NewTask("mail:send", []byte("{}")), asynq.Queue("mail"))
	h.must(err)
	h.must(q.Pause("mail"))
	stats, err := q.Stats()
	h.must(err)
	testkit.Equal(t, "bank paused", stats[0].Paused, false)
	testkit.Equal(t, "mail paused", stats[1].Paused && stats[1].Pending == 1, true)
	h.must(q.Resume("mail"))
	h.must(q.Pause(Queue))
	h.must(q.Pause(Queue))
	if stats, err := q.Stats(); err != nil || !stats[0].Paused || stats[0].Pending != 1 {
		t.Errorf("got %+v, %v", stats, err)
	}
	h.must(q.Resume(Queue))
	task := id.String() + ":1"
	for name, got := range map[string]struct{ err, want error }{
		"another queue":  {q.Pause("other"), ErrNoQueue},
		"no such task":   {q.Act(Queue, "x", "delete"), ErrNoTask},
		"no such action": {q.Act(Queue, task, "eat"), ErrTaskAction},
		"pending now":    {q.Act(Queue, task, "retry"), ErrTaskBusy},
	} {
		if !errors.Is(got.err, got.want) {
			t.Errorf("%s: %v, want %v", name, got.err, got.want)
		}
	}
	if _, err := q.Tasks(Queue, "lost", 1); !errors.Is(err, ErrTaskState) {
		t.Errorf("got %v", err)
	}
	h.must(q.Act(Queue, task, "archive"))
	h.must(q.Act(Queue, task, "retry"))
	h.must(q.Act(Queue, task, "delete"))
	away := NewQueues(noRedis)
	t.Cleanup(func() { _ = away.Close() })
	if _, err := away.Stats(); !errors.Is(err, ErrQueueUnavailable) {
		t.Errorf("got %v", err)
	}
}
