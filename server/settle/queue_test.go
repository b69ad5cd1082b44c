package settle

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/embedded/redistest"
	"github.com/JDevAman/kizo/server/ledger"
)

// A worker settles the payments that tasks name, without a janitor.
func TestWorkerSettlesThroughRedis(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	d, _ := h.worker(h.settler(nil), redisOpt(redistest.New(t)))

	in, out := h.deposit(alice, 5_00), h.withdraw(alice, 30_00)
	h.wantWallet(alice, 100_00, 30_00)
	d.Enqueue(in)
	d.Enqueue(out)
	for _, id := range []uuid.UUID{in, out} {
		if got := h.waitForEnd(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
		if p := h.payment(id); p.state != ledger.PaymentExecuted || p.attempts != 1 || p.leased {
			t.Errorf("got %+v", p)
		}
	}
	h.wantWallet(alice, 75_00, 0)
	h.wantOneExecution(in, out)
}

// A request that is sent again does not put its payment into the queue a second time.
func TestSameAttemptIsQueuedOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	opt := redisOpt(redistest.New(t))
	tasks := inspect(t, opt)
	d, stop := h.dispatcher(opt)
	id, other := h.deposit(alice, 5_00), h.deposit(alice, 1_00)
	for range 5 {
		d.Enqueue(id)
	}
	d.Enqueue(other) // the last one sent: when it has arrived, the others have too
	testkit.Eventually(t, "the tasks are in Redis", func() bool {
		_, err := tasks.GetTaskInfo(Queue, other.String()+":1")
		return err == nil
	})
	if n := queued(tasks); n != 2 {
		t.Errorf("%d tasks for two payments", n)
	}
	stop()

	s := h.settler(nil)
	d, _ = h.worker(s, opt)
	h.waitForEnd(alice, id)
	h.waitForEnd(alice, other)
	testkit.Eventually(t, "the queue is empty", func() bool { return queued(tasks) == 0 })
	d.Enqueue(id) // after the end the task id can be used again, but the payment is settled
	testkit.Eventually(t, "the late task was handled", func() bool {
		info, err := tasks.GetQueueInfo(Queue)
		return err == nil && info.Size == 0 && info.Processed >= 3
	})
	if n := h.calls.submits.Load(); n != 2 {
		t.Errorf("two payments were submitted %d times", n)
	}
	h.wantOneExecution(id, other)
	h.wantWallet(alice, 6_00, 0)
}

// Five tasks for the same payment cause one attempt.
func TestDuplicateTasks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	s := h.settler(nil)
	id := h.deposit(alice, 5_00)
	arrived := make(chan struct{}, 10)
	h.intercept(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		arrived <- struct{}{}
		bank.ServeHTTP(w, r)
	})
	d, stop := h.worker(s, redisOpt(redistest.New(t)))
	for attempt := range 5 { // with different ids, so that all of them reach the queue
		d.push(attemptTask{transfer: id, attempt: attempt + 1})
	}
	h.waitForEnd(alice, id)
	tasks := inspect(t, asynqOptOf(d))
	testkit.Eventually(t, "all tasks were handled", func() bool { return queued(tasks) == 0 })
	stop()
	if p := h.payment(id); p.attempts != 1 || p.fence != 1 || len(arrived) != 2 { // submitted, and confirmed
		t.Errorf("got %+v, and the bank was asked %d times", p, len(arrived))
	}
	h.wantOneExecution(id)
	h.wantWallet(alice, 5_00, 0)
}

// When Redis loses all tasks, the janitor settles their payments.
func TestFlushAllLosesOnlyTasks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	server := redistest.New(t)
	opt := redisOpt(server)
	tasks := inspect(t, opt)
	s := h.settler(func(c *Config) { c.Grace = 200 * time.Millisecond })
	early, stopEarly := h.dispatcher(opt)

	ids := make([]uuid.UUID, 20)
	for i := range ids {
		ids[i] = h.deposit(alice, 1_00)
		early.Enqueue(ids[i])
	}
	testkit.Eventually(t, "the tasks are in Redis", func() bool { return queued(tasks) == len(ids) })
	stopEarly()
	flushAll(t, server)
	h.worker(s, opt)
	h.janitor(s)
	for _, id := range ids {
		if got := h.waitForEnd(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
	}
	h.wantOneExecution(ids...)
	h.wantWallet(alice, 20_00, 0)
}

// A client of asynq registers the queue only once. After a FLUSHALL the dispatcher registers it
// again.
func TestQueueIsListedAgainAfterFlushAll(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	server := redistest.New(t)
	opt := redisOpt(server)
	tasks := inspect(t, opt)
	d := NewDispatcher(opt, New(Config{}).log, NewMetrics())
	d.registerInterval = 20 * time.Millisecond
	h.run(d.Run)

	d.Enqueue(uuid.New())
	testkit.Eventually(t, "the queue is listed", func() bool { return queued(tasks) == 1 })
	flushAll(t, server)
	testkit.Eventually(t, "the queue is listed again", func() bool {
		d.Enqueue(uuid.New())
		return queued(tasks) >= 1
	})
}

// While Redis cannot be reached, bank transfers are still accepted and settled, by the janitor.
func TestPaymentsAreAcceptedWithoutRedis(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	dir := pgtest.TempDir(t)
	server := redistest.NewIn(t, dir)
	if server.InProcess() {
		t.Skip("redis-server is not installed: there is nothing to kill")
	}
	opt := redisOpt(server)
	tasks := inspect(t, opt)
	s := h.settler(func(c *Config) { c.Grace = 300 * time.Millisecond })
	d, _ := h.worker(s, opt)
	first := h.withdraw(alice, 10_00)
	d.Enqueue(first)
	h.waitForEnd(alice, first)

	h.must(server.Kill())
	var ids []uuid.UUID
	for range 5 {
		id := h.withdraw(alice, 10_00) // fails the test if it is not accepted
		d.Enqueue(id)
		ids = append(ids, id)
	}
	h.wantWallet(alice, 90_00, 50_00)
	h.janitor(s)
	for _, id := range ids {
		if got := h.waitForEnd(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
	}
	h.wantWallet(alice, 40_00, 0)

	// Redis runs again and is empty: tasks reach the worker again.
	redistest.NewIn(t, dir)
	testkit.Eventually(t, "tasks reach the worker again", func() bool {
		id := h.deposit(alice, 1)
		d.Enqueue(id)
		h.waitForEnd(alice, id)
		return queued(tasks) >= 0
	})
	h.wantOneExecution(append(ids, first)...)
}

// asynq rounds times to whole seconds. A task must not be handled before its payment is due.
func TestTasksAreNotEarly(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, late := range []time.Duration{0, 1, time.Millisecond, 999 * time.Millisecond, time.Second - 1} {
		want := at
		if late > 0 {
			want = at.Add(time.Second)
		}
		if got := nextWholeSecond(at.Add(late)); !got.Equal(want) {
			t.Errorf("%v after noon becomes %v", late, got)
		}
	}

	// The second attempt is made by its task, without a janitor.
	h := newHarness(t)
	alice := h.user(0)
	var submitted sync.Map // request bodies; the bank fails when it sees one for the first time
	h.intercept(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		kept := detach(r)
		text, _ := io.ReadAll(kept.Body)
		if _, again := submitted.LoadOrStore(string(text), true); r.Method == http.MethodPost && !again {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		kept.Body = io.NopCloser(strings.NewReader(string(text)))
		bank.ServeHTTP(w, kept)
	})
	d, _ := h.worker(h.settler(func(c *Config) { c.FirstDelay = 400 * time.Millisecond }), redisOpt(redistest.New(t)))
	ids := make([]uuid.UUID, 4)
	for i := range ids {
		ids[i] = h.deposit(alice, 1_00)
		d.Enqueue(ids[i])
		testkit.Eventually(t, "the first attempt", func() bool { return h.payment(ids[i]).lastError != "" })
	}
	for _, id := range ids {
		h.waitForEnd(alice, id)
		if p := h.payment(id); p.attempts != 2 {
			t.Errorf("got %+v", p)
		}
	}
	h.wantOneExecution(ids...)
}

// Enqueue drops a task that does not fit into the buffer.
func TestEnqueueNeverBlocks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	metrics := NewMetrics()
	d := NewDispatcher(noRedis, New(Config{}).log, metrics)
	for range maxWaitingTasks + 5 { // Run does not send yet
		d.Enqueue(uuid.Nil)
	}
	if got := count(t, metrics.enqueueFailures); got != 5 {
		t.Errorf("%v tasks were lost, want 5", got)
	}
	h.run(d.Run)() // and Run ends with a full buffer
}

// A janitor that is stopped, and a worker that is stopped and has waited for DrainTimeout,
// release their claims. The next worker finds the payment due and settles it once.
func TestShutdownHandsOver(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(h *harness, s *Settler, id uuid.UUID) (stop func()){
		"janitor": func(h *harness, s *Settler, _ uuid.UUID) func() { return h.janitor(s) },
		"worker": func(h *harness, s *Settler, id uuid.UUID) func() {
			d, stop := h.worker(s, redisOpt(redistest.New(h.t)))
			d.Enqueue(id)
			return stop
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			alice := h.user(100_00)
			id := h.withdraw(alice, 30_00)
			asked := make(chan struct{}, 1)
			hanging := h.settler(func(c *Config) {
				c.Lease, c.DrainTimeout = time.Hour, 50*time.Millisecond
				c.Bank = signalingBank{asked}
			})
			stop := start(h, hanging, id)
			testkit.Receive(t, "the bank is asked", asked)
			stop()
			if p := h.payment(id); p.state != ledger.PaymentUnknown || p.leased || !p.due {
				t.Errorf("the claim was not released: %+v", p)
			}
			h.wantWallet(alice, 100_00, 30_00)
			h.janitor(h.settler(nil))
			if got := h.waitForEnd(alice, id); got.State != ledger.Posted {
				t.Errorf("got %+v", got)
			}
			h.wantOneExecution(id)
		})
	}
}

// A worker that is stopped waits for the bank's answer up to DrainTimeout.
func TestStoppedWorkerFinishes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	id := h.withdraw(alice, 30_00)
	asked, answer := make(chan struct{}), make(chan struct{})
	ask := sync.OnceFunc(func() { close(asked) })
	h.intercept(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		ask()
		<-answer
		bank.ServeHTTP(w, r)
	})
	d, stop := h.worker(h.settler(func(c *Config) { c.DrainTimeout = time.Minute }), redisOpt(redistest.New(t)))
	d.Enqueue(id)
	testkit.Receive(t, "the bank is asked", asked)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	close(answer)
	testkit.Receive(t, "the worker stops", stopped)
	if p := h.payment(id); p.state != ledger.PaymentExecuted {
		t.Errorf("got %+v", p)
	}
}
