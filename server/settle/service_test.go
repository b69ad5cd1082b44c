package settle

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/redistest"
	"github.com/JDevAman/kizo/server/ledger"
)

func inspect(t *testing.T, opt asynq.RedisConnOpt) *asynq.Inspector {
	t.Helper()
	i := asynq.NewInspector(opt)
	t.Cleanup(func() { _ = i.Close() })
	return i
}

// queued counts the tasks of our queue, or is -1 if Redis does not know the queue.
func queued(i *asynq.Inspector) int {
	info, err := i.GetQueueInfo(Queue)
	if err != nil {
		return -1
	}
	return info.Size
}

func flushAll(t *testing.T, server *embedded.Redis) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Network: server.Network(), Addr: server.Addr()})
	defer client.Close()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestFlushAllWithHintsInFlight(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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
		if got := h.ends(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
	}
	h.wantOneExecution(ids...)
	h.wantWallet(alice, 20_00, 0)
}

// asynq's client tells Redis of a queue once in its life; after a FLUSHALL nobody
// would list it any more.
func TestQueueIsListedAgainAfterFlushAll(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	server := redistest.New(t)
	opt := redisOpt(server)
	tasks := inspect(t, opt)
	d := NewDispatcher(opt, New(Config{}).log, NewMetrics())
	d.renewal = 20 * time.Millisecond
	h.run(d.Run)

	d.Enqueue(uuid.New())
	testkit.Eventually(t, "the queue is listed", func() bool { return queued(tasks) == 1 })
	flushAll(t, server)
	testkit.Eventually(t, "the queue is listed again", func() bool {
		d.Enqueue(uuid.New())
		return queued(tasks) >= 1
	})
}

// A worker dies with a payment in its hands (here: it claims and does nothing).
// How long that lasts is measured with the settings that kizod has.
func TestOrphanIsDrivenAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	id := h.withdraw(alice, 30_00)
	s := New(Config{Pool: h.pool, Ledger: h.Ledger, Bank: h.client})
	h.janitor(s)
	c := h.claim(s, id)
	died := time.Now()
	if got := h.ends(alice, id); got.State != ledger.Posted {
		t.Errorf("got %+v", got)
	}
	t.Logf("an orphan was driven again and settled after %v (lease %v, rounds every %v)",
		time.Since(died).Round(time.Millisecond), s.config.Lease, s.config.Every)
	if p := h.payment(id); p.fence != c.fence+1 {
		t.Errorf("got %+v", p)
	}
	h.wantOneExecution(id)
}

// The same hint five times, and the payment is asked for once.
func TestDuplicateTasks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	s := h.settler(nil)
	id := h.deposit(alice, 5_00)
	arrived := make(chan struct{}, 10)
	h.inFront(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		arrived <- struct{}{}
		bank.ServeHTTP(w, r)
	})
	d, stop := h.worker(s, redisOpt(redistest.New(t)))
	for attempt := range 5 { // each as if it were another attempt's, so that none is filtered out
		d.push(attemptTask{transfer: id, attempt: attempt + 1})
	}
	h.ends(alice, id)
	tasks := inspect(t, asynqOptOf(d))
	testkit.Eventually(t, "all tasks were handled", func() bool { return queued(tasks) == 0 })
	stop()
	if p := h.payment(id); p.attempts != 1 || p.fence != 1 || len(arrived) != 2 { // submitted, and confirmed
		t.Errorf("got %+v, and the bank was asked %d times", p, len(arrived))
	}
	h.wantOneExecution(id)
	h.wantWallet(alice, 5_00, 0)
}

// asynqOptOf lets an inspector use the dispatcher's Redis.
func asynqOptOf(d *Dispatcher) asynq.RedisConnOpt {
	o := d.redis.(*redis.Client).Options()
	return asynq.RedisClientOpt{Network: o.Network, Addr: o.Addr}
}

// Two janitors in a hurry and a worker: each payment has one effect.
func TestTwoJanitorsAndAWorker(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(1000_00)
	hasty := func(c *Config) { c.Grace, c.Every = time.Nanosecond, time.Millisecond }
	h.janitor(h.settler(hasty))
	h.janitor(h.settler(hasty))
	d, _ := h.worker(h.settler(hasty), redisOpt(redistest.New(t)))
	var (
		all sync.WaitGroup
		ids = make([]uuid.UUID, 60)
	)
	for i := range ids {
		all.Go(func() {
			if i%2 == 0 {
				ids[i] = h.deposit(alice, 3_00)
			} else {
				ids[i] = h.withdraw(alice, 1_00)
			}
			d.Enqueue(ids[i])
		})
	}
	all.Wait()
	for _, id := range ids {
		if got := h.ends(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
	}
	h.wantOneExecution(ids...)
	h.wantWallet(alice, 1000_00+30*3_00-30*1_00, 0)
	if n := h.calls.submits.Load(); n != 60 {
		t.Errorf("60 payments were submitted %d times", n)
	}
}

// A stopped janitor hands over at once what it is driving; so does a worker whose
// time is up. Whoever comes next finds the payment due, and settles it once.
func TestShutdownHandsOver(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(h *house, s *Settler, id uuid.UUID) (stop func()){
		"janitor": func(h *house, s *Settler, _ uuid.UUID) func() { return h.janitor(s) },
		"worker": func(h *house, s *Settler, id uuid.UUID) func() {
			d, stop := h.worker(s, redisOpt(redistest.New(h.t)))
			d.Enqueue(id)
			return stop
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			alice := h.user(100_00)
			id := h.withdraw(alice, 30_00)
			asked := make(chan struct{}, 1)
			hanging := h.settler(func(c *Config) {
				c.Lease, c.Drain = time.Hour, 50*time.Millisecond
				c.Bank = waits{asked}
			})
			stop := start(h, hanging, id)
			testkit.Receive(t, "the bank is asked", asked)
			stop()
			if p := h.payment(id); p.state != ledger.PaymentUnknown || p.leased || !p.due {
				t.Errorf("it was not handed over: %+v", p)
			}
			h.wantWallet(alice, 100_00, 30_00)
			h.janitor(h.settler(nil))
			if got := h.ends(alice, id); got.State != ledger.Posted {
				t.Errorf("got %+v", got)
			}
			h.wantOneExecution(id)
		})
	}
}

// waits is a deaf bank that says when it was asked.
type waits struct{ asked chan<- struct{} }

// A worker that is stopped lets the bank answer, if it does so in time.
func TestStoppedWorkerFinishes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	id := h.withdraw(alice, 30_00)
	asked, answer := make(chan struct{}), make(chan struct{})
	ask := sync.OnceFunc(func() { close(asked) })
	h.inFront(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		ask()
		<-answer
		bank.ServeHTTP(w, r)
	})
	d, stop := h.worker(h.settler(func(c *Config) { c.Drain = time.Minute }), redisOpt(redistest.New(t)))
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

// One authorization, or one defect, that cannot be voided must not keep payments
// from being driven.
func TestExpiryDoesNotHoldUpPayments(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	id := h.deposit(alice, 5_00)
	dead, err := pgxpool.New(t.Context(), h.db.AppURL)
	h.must(err)
	dead.Close()
	broken := ledger.Open(ledger.Config{Pool: dead})
	t.Cleanup(func() { _ = broken.Close(context.Background()) })
	asked := make(chan struct{}, 1)
	s := h.settler(func(c *Config) { c.Grace, c.Ledger, c.Bank = time.Nanosecond, broken, waits{asked} })
	ctx, cancel := context.WithCancel(t.Context())
	j := NewJanitor(s)
	if err := j.RunOnce(ctx); err == nil {
		t.Error("expiring with a closed database is no error?")
	}
	testkit.Receive(t, "the bank is asked", asked)
	cancel()
	j.Wait()
	if p := h.payment(id); p.attempts != 1 {
		t.Errorf("got %+v", p)
	}
}

func TestAuthorizationsExpire(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob := h.user(100_00), h.user(0)
	r, err := h.Authorize(t.Context(), ledger.TransferRequest{
		Owner: alice, Payee: bob, Key: uuid.NewString(), Amount: usd(30_00), ExpiresAt: time.Now().Add(time.Second),
	})
	h.must(err)
	h.wantWallet(alice, 100_00, 30_00)
	h.janitor(h.settler(nil))
	if got := h.ends(alice, r.Transfer.ID); got.State != ledger.Voided || got.Reason != ledger.ReasonExpired {
		t.Errorf("got %+v", got)
	}
	h.wantWallet(alice, 100_00, 0)
}

// The database is away for a while: the janitor lives on and then goes on.
func TestDatabaseAwayAndBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	h.janitor(h.settler(nil))
	super, err := pgxpool.New(t.Context(), h.db.SuperuserURL)
	h.must(err)
	t.Cleanup(super.Close)
	const cut = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND usename = 'kizo_app'`
	var ids []uuid.UUID
	for range 10 {
		id := h.deposit(alice, 1_00)
		_, err := super.Exec(t.Context(), cut)
		h.must(err)
		ids = append(ids, id)
	}
	for _, id := range ids {
		var got ledger.Transfer
		testkit.Eventually(t, "it ends", func() bool {
			got, _ = h.Find(context.Background(), alice, id)
			return got.State == ledger.Posted
		})
	}
	h.wantOneExecution(ids...)
}

// What comes in whole seconds must not come early.
func TestTasksAreNotEarly(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, late := range []time.Duration{0, 1, time.Millisecond, 999 * time.Millisecond, time.Second - 1} {
		want := at
		if late > 0 {
			want = at.Add(time.Second)
		}
		if got := wholeSecond(at.Add(late)); !got.Equal(want) {
			t.Errorf("%v after noon becomes %v", late, got)
		}
	}

	// And so the second attempt comes by its hint, with no janitor about.
	h := newHouse(t)
	alice := h.user(0)
	var submitted sync.Map // bodies; the first time that one comes, the bank is not well
	h.inFront(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
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
		h.ends(alice, id)
		if p := h.payment(id); p.attempts != 2 {
			t.Errorf("got %+v", p)
		}
	}
	h.wantOneExecution(ids...)
}

// A full line of hints is no reason to wait.
func TestEnqueueNeverBlocks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	metrics := NewMetrics()
	d := NewDispatcher(noRedis, New(Config{}).log, metrics)
	for range maxWaitingTasks + 5 { // nobody sends
		d.Enqueue(uuid.Nil)
	}
	if got := count(t, metrics.enqueueFailures); got != 5 {
		t.Errorf("%v tasks were lost, want 5", got)
	}
	h.run(d.Run)() // and giving up with a full line ends
}

// Every statement is good SQL for the role and the schema, and the one that runs
// every second walks its index.
func TestStatements(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	conn, err := h.pool.Acquire(t.Context())
	h.must(err)
	defer conn.Release()
	if found := testkit.PrepareStatements(t, conn.Conn(), nil); found < 20 {
		t.Errorf("only %d statements found: the search is broken", found)
	}
	_, err = conn.Conn().Prepare(t.Context(), "takeOverdue", takeOverdue)
	h.must(err)
	var plan string
	_, err = conn.Exec(t.Context(), `SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan`)
	h.must(err)
	rows, err := conn.Query(t.Context(), `EXPLAIN EXECUTE "takeOverdue" ('1 s', 10, '1 s')`)
	h.must(err)
	for rows.Next() {
		var line string
		h.must(rows.Scan(&line))
		plan += line + "\n"
	}
	if want := "Index Cond: (next_at <= statement_timestamp())"; !strings.Contains(plan, "payments_next") || !strings.Contains(plan, want) {
		t.Errorf("the janitor's round does not use its index:\n%s", plan)
	}
	_, err = conn.Exec(t.Context(), `DISCARD ALL`)
	h.must(err)
}
