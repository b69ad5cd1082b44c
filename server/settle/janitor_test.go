package settle

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/redistest"
	"github.com/JDevAman/kizo/server/ledger"
)

// The janitor settles all payments while a worker and a dispatcher cannot reach Redis.
func TestJanitorSettlesWithoutRedis(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	s := h.settler(nil)
	d, stop := h.worker(s, noRedis)
	h.janitor(s)

	in, out := h.deposit(alice, 5_00), h.withdraw(alice, 30_00)
	d.Enqueue(in)
	d.Enqueue(out)
	for _, id := range []uuid.UUID{in, out} {
		if got := h.waitForEnd(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
	}
	h.wantWallet(alice, 75_00, 0)
	h.wantOneExecution(in, out)
	stop() // returns although Redis cannot be reached
}

// The payment of a worker that dies is attempted again after its lease. The worker here only
// claims. The test logs the time until the settlement with the default configuration.
func TestOrphanIsAttemptedAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	id := h.withdraw(alice, 30_00)
	s := New(Config{Pool: h.pool, Ledger: h.Ledger, Bank: h.client})
	h.janitor(s)
	c := h.claim(s, id)
	died := time.Now()
	if got := h.waitForEnd(alice, id); got.State != ledger.Posted {
		t.Errorf("got %+v", got)
	}
	t.Logf("an orphan was settled after %v (lease %v, rounds every %v)",
		time.Since(died).Round(time.Millisecond), s.config.Lease, s.config.Interval)
	if p := h.payment(id); p.fence != c.fence+1 {
		t.Errorf("got %+v", p)
	}
	h.wantOneExecution(id)
}

// The janitor claims no more payments than it has slots, and starts the next round when slots are
// free. A payment that never ends is left to an operator, with its hold.
func TestJanitorClaimsWhatItsSlotsAllow(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(1000_00)
	const slots = 4
	ids := make([]uuid.UUID, 40)
	for i := range ids {
		ids[i] = h.withdraw(alice, 1_00)
	}
	s := h.settler(func(c *Config) { c.Concurrency, c.Grace, c.Interval = slots, time.Nanosecond, time.Hour })
	if got, err := s.claimOverdue(t.Context(), 3); err != nil || len(got) != 3 {
		t.Fatalf("claimed %d of 3, %v", len(got), err)
	} else {
		for _, c := range got {
			h.must(s.postpone(t.Context(), c, 0, attemptResult{kind: logStopped, err: errors.New("only counted")}))
		}
	}
	// Rounds are an hour apart: only free slots can start the next one.
	h.janitor(s)
	for _, id := range ids {
		if got := h.waitForEnd(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
	}
	if highest := h.calls.max.Load(); highest > slots {
		t.Errorf("%d payments were at the bank at once, want %d at most", highest, slots)
	}
	h.wantOneExecution(ids...)

	// A payment that never ends needs review and keeps its hold.
	h.stopBank()
	stuck := h.withdraw(alice, 30_00)
	h.janitor(h.settler(func(c *Config) { c.MaxAttempts, c.MaxAge = 3, time.Nanosecond }))
	h.waitForState(stuck, ledger.PaymentNeedsReview)
	h.wantWallet(alice, 960_00, 30_00)
}

// Two janitors and a worker that compete for the same payments settle each one once.
func TestTwoJanitorsAndAWorker(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(1000_00)
	noGrace := func(c *Config) { c.Grace, c.Interval = time.Nanosecond, time.Millisecond }
	h.janitor(h.settler(noGrace))
	h.janitor(h.settler(noGrace))
	d, _ := h.worker(h.settler(noGrace), redisOpt(redistest.New(t)))
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
		if got := h.waitForEnd(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
	}
	h.wantOneExecution(ids...)
	h.wantWallet(alice, 1000_00+30*3_00-30*1_00, 0)
	if n := h.calls.submits.Load(); n != 60 {
		t.Errorf("60 payments were submitted %d times", n)
	}
}

// Payments are attempted although authorizations cannot be expired.
func TestExpiryDoesNotDelayPayments(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	id := h.deposit(alice, 5_00)
	dead, err := pgxpool.New(t.Context(), h.db.AppURL)
	h.must(err)
	dead.Close()
	broken := ledger.Open(ledger.Config{Pool: dead})
	t.Cleanup(func() { _ = broken.Close(context.Background()) })
	asked := make(chan struct{}, 1)
	s := h.settler(func(c *Config) { c.Grace, c.Ledger, c.Bank = time.Nanosecond, broken, signalingBank{asked} })
	ctx, cancel := context.WithCancel(t.Context())
	j := NewJanitor(s)
	if err := j.RunOnce(ctx); err == nil {
		t.Error("expiring with a closed database succeeded")
	}
	testkit.Receive(t, "the bank is asked", asked)
	cancel()
	j.Wait()
	if p := h.payment(id); p.attempts != 1 {
		t.Errorf("got %+v", p)
	}
}

// The janitor voids an authorization that has expired.
func TestAuthorizationsExpire(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice, bob := h.user(100_00), h.user(0)
	r, err := h.Authorize(t.Context(), ledger.TransferRequest{
		Owner: alice, Payee: bob, Key: uuid.NewString(), Amount: usd(30_00), ExpiresAt: time.Now().Add(time.Second),
	})
	h.must(err)
	h.wantWallet(alice, 100_00, 30_00)
	h.janitor(h.settler(nil))
	if got := h.waitForEnd(alice, r.Transfer.ID); got.State != ledger.Voided || got.Reason != ledger.ReasonExpired {
		t.Errorf("got %+v", got)
	}
	h.wantWallet(alice, 100_00, 0)
}

// The janitor continues after its database connections were terminated.
func TestJanitorSurvivesLostConnections(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
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
