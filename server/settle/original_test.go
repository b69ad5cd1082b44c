package settle

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/embedded/redistest"
	"github.com/JDevAman/kizo/server/ledger"
)

// The defects of the Kizo that this one takes over from, by their numbers.

// 7: a replayed request put the payment into the queue a second time.
func TestOriginalDefect07(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	opt := redisOpt(redistest.New(t))
	tasks := inspect(t, opt)
	d, stop := h.dispatcher(opt)
	id, other := h.deposit(alice, 5_00), h.deposit(alice, 1_00)
	for range 5 {
		d.Enqueue(id)
	}
	d.Enqueue(other) // the last in line: when it is there, the others were sent
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
	h.ends(alice, id)
	h.ends(alice, other)
	testkit.Eventually(t, "the queue is empty", func() bool { return queued(tasks) == 0 })
	d.Enqueue(id) // a replay after the end: the id is free again, the payment is not
	testkit.Eventually(t, "the late hint was followed", func() bool {
		info, err := tasks.GetQueueInfo(Queue)
		return err == nil && info.Size == 0 && info.Processed >= 3
	})
	if n := h.calls.submits.Load(); n != 2 {
		t.Errorf("two payments were submitted %d times", n)
	}
	h.wantOneExecution(id, other)
	h.wantWallet(alice, 6_00, 0)
}

// 8: with Redis away, intake failed after its commit, and the money stayed locked.
func TestOriginalDefect08(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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
	h.ends(alice, first)

	h.must(server.Kill())
	var ids []uuid.UUID
	for range 5 {
		id := h.withdraw(alice, 10_00) // fails the test if it fails
		d.Enqueue(id)
		ids = append(ids, id)
	}
	h.wantWallet(alice, 90_00, 50_00)
	h.janitor(s)
	for _, id := range ids {
		if got := h.ends(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
	}
	h.wantWallet(alice, 40_00, 0)

	// Redis is back, empty: hints go through it again.
	redistest.NewIn(t, dir)
	testkit.Eventually(t, "the queue takes hints again", func() bool {
		id := h.deposit(alice, 1)
		d.Enqueue(id)
		h.ends(alice, id)
		return queued(tasks) >= 0
	})
	h.wantOneExecution(append(ids, first)...)
}

// 9: the bank was told neither ref nor amount, was given all the time in the world,
// and a retry could pay twice.
func TestOriginalDefect09(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	var (
		mu     sync.Mutex
		bodies []string
	)
	h.inFront(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		kept := detach(r)
		if r.Method == http.MethodPost {
			text, _ := io.ReadAll(kept.Body)
			mu.Lock()
			bodies = append(bodies, string(text))
			mu.Unlock()
			kept.Body = io.NopCloser(strings.NewReader(string(text)))
		}
		bank.ServeHTTP(w, kept)
	})
	h.weather(sim.Faults{Hang: 1, HangFor: 1500 * time.Millisecond}) // beyond the client's timeout, then it pays
	out := h.withdraw(alice, 12_50)
	s := h.settler(h.giveUpSoon)
	if again, _, err := s.SettleOne(t.Context(), out); err != nil || again <= 0 {
		t.Fatalf("a bank that hangs: again in %v, %v", again, err)
	}
	h.weather(sim.Faults{})
	h.janitor(s)
	if got := h.ends(alice, out); got.State != ledger.Posted {
		t.Errorf("got %+v", got)
	}
	testkit.Eventually(t, "the first request arrives as well", func() bool { return h.calls.now.Load() == 0 })
	mu.Lock()
	defer mu.Unlock()
	want := `{"ref":"` + out.String() + `","direction":"withdrawal","amount":1250,"currency":"USD"}`
	for _, body := range bodies {
		if body != want {
			t.Errorf("the bank got %s, want %s", body, want)
		}
	}
	if len(bodies) < 2 {
		t.Errorf("the bank got %d submissions, want the one that hung and its retry", len(bodies))
	}
	h.wantOneExecution(out)
	h.wantWallet(alice, 87_50, 0)
}

// 10: the reference was five random letters, made after the bank had paid.
func TestOriginalDefect10(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	owner, err := pgx.Connect(t.Context(), h.db.AdminURL)
	h.must(err)
	t.Cleanup(func() { _ = owner.Close(noCancel{t.Context()}) })
	stored := make(chan string, 1)
	h.inFront(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		var ref string // read by another connection: it is committed
		_ = h.pool.QueryRow(r.Context(), `SELECT external_ref FROM payments WHERE amount = 501 AND state = 'unknown' AND lease_until IS NOT NULL`).Scan(&ref)
		stored <- ref
		bank.ServeHTTP(w, r)
	})
	id, other := h.deposit(alice, 501), h.deposit(alice, 502)
	s := h.settler(nil)
	if _, _, err := s.SettleOne(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if ref := testkit.Receive(t, "the bank is asked", stored); ref != id.String() {
		t.Errorf("while the bank was asked, the ref %q was stored", ref)
	}
	h.wantOneExecution(id)
	_, err = owner.Exec(t.Context(), `UPDATE payments SET external_ref = $1 WHERE transfer_id = $2`, id.String(), other)
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "23505" {
		t.Errorf("two payments may have one ref: %v", err)
	}
}

// 11: the janitor read everything at once, defeated its own deduplication, and
// after three tries left the money locked for ever with nobody told.
func TestOriginalDefect11(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(1000_00)
	const slots = 4
	ids := make([]uuid.UUID, 40)
	for i := range ids {
		ids[i] = h.withdraw(alice, 1_00)
	}
	s := h.settler(func(c *Config) { c.Concurrency, c.Grace, c.Every = slots, time.Nanosecond, time.Hour })
	if got, err := s.claimOverdue(t.Context(), 3); err != nil || len(got) != 3 {
		t.Fatalf("claimed %d of 3, %v", len(got), err)
	} else {
		for _, c := range got {
			h.must(s.postpone(t.Context(), c, 0, reply{what: loggedStopped, err: errors.New("only counted")}))
		}
	}
	// A round takes no more than it has slots; the next begins when there are free
	// ones again, not an hour later.
	h.janitor(s)
	for _, id := range ids {
		if got := h.ends(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
	}
	if most := h.calls.most.Load(); most > slots {
		t.Errorf("%d payments were at the bank at once, want %d at most", most, slots)
	}
	h.wantOneExecution(ids...)

	// What never ends is given to an operator, with its hold.
	h.bankGoes()
	stuck := h.withdraw(alice, 30_00)
	h.janitor(h.settler(func(c *Config) { c.MaxAttempts, c.MaxAge = 3, time.Nanosecond }))
	h.becomes(stuck, ledger.PaymentNeedsReview)
	h.wantWallet(alice, 960_00, 30_00)
}
