package settle

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/ledger"
)

func TestClaim(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	id := h.deposit(alice, 5_00)
	s := h.settler(func(c *Config) { c.Lease = time.Hour })

	c := h.claim(s, id)
	if c.fence != 1 || c.attempts != 1 || c.age <= 0 || c.age > time.Minute {
		t.Errorf("got %+v", c)
	}
	want := bank.Instruction{Ref: id.String(), Direction: bank.Deposit, Amount: 5_00, Currency: "USD"}
	if c.instruction != want {
		t.Errorf("got %+v", c.instruction)
	}
	refused := func(when string) {
		t.Helper()
		if _, ok, err := s.claimOne(t.Context(), id); ok || err != nil {
			t.Errorf("%s: claimed, %v", when, err)
		}
		if got, err := s.claimOverdue(t.Context(), 10); len(got) > 0 || err != nil {
			t.Errorf("%s: the janitor claimed, %v", when, err)
		}
	}
	refused("held")
	h.must(s.postpone(t.Context(), c, time.Hour, attemptResult{kind: logUnknown, err: errors.New("later")}))
	refused("not due")

	// A late renewal of a released claim changes nothing.
	if valid, err := s.renew(t.Context(), c); valid || err != nil {
		t.Errorf("a released claim was renewed: %v", err)
	}
	refused("renewed late")

	h.must(s.postpone(t.Context(), c, 0, attemptResult{kind: logUnknown, err: errors.New("twice")}))
	refused("released twice")

	h.endLease(id)
	if got := h.claim(s, id); got.fence != 2 || got.attempts != 2 {
		t.Errorf("got %+v", got)
	}
	// If next_at and lease_until ever disagree, the lease counts.
	_, err := h.pool.Exec(t.Context(), `UPDATE payments SET next_at = clock_timestamp() - interval '1 hour'`)
	h.must(err)
	refused("leased, and yet due")
	if _, ok, err := s.claimOne(t.Context(), uuid.New()); ok || err != nil {
		t.Errorf("a payment that does not exist was claimed, %v", err)
	}
}

// The janitor leaves a due payment to the workers for Config.Grace, but claims one whose lease has
// ended at once.
func TestGraceLeavesTimeForTasks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	s := h.settler(func(c *Config) { c.Grace = time.Hour })
	due, orphan := h.deposit(alice, 1_00), h.deposit(alice, 2_00)
	h.claim(s, orphan)
	h.endLease(orphan)
	got, err := s.claimOverdue(t.Context(), 10)
	if err != nil || len(got) != 1 || got[0].transfer != orphan {
		t.Fatalf("got %+v, %v; want the orphan alone", got, err)
	}
	if got := h.claim(s, due); got.attempts != 1 {
		t.Errorf("got %+v", got)
	}
}

// A zombie is a worker that paused while it had a claim and continues after another worker has
// claimed the payment. It can neither settle, postpone nor renew the payment, nor move it to
// review.
func TestZombieIsFenced(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	id := h.withdraw(alice, 30_00)
	s := h.settler(func(c *Config) { c.Lease = time.Hour })
	zombie := h.claim(s, id)
	h.endLease(id)
	h.claim(s, id)
	before := h.payment(id)

	for _, outcome := range []bank.Outcome{bank.Executed, bank.Rejected} {
		h.must(s.finish(t.Context(), zombie, bank.Answer{Outcome: outcome}))
	}
	h.must(s.postpone(t.Context(), zombie, 0, attemptResult{kind: logUnknown, err: errors.New("zombie")}))
	h.must(s.moveToReview(t.Context(), zombie, "exhausted", bank.CodeTimeout))
	if valid, err := s.renew(t.Context(), zombie); valid || err != nil {
		t.Errorf("the zombie's claim is still valid: %v", err)
	}
	if after := h.payment(id); after != before || after.fence != 2 {
		t.Errorf("it was %+v, now %+v", before, after)
	}
	if got := h.transfer(alice, id); got.State != ledger.Pending {
		t.Errorf("got %+v", got)
	}
	h.wantWallet(alice, 100_00, 30_00)
	if got := count(t, s.config.Metrics.reviews.WithLabelValues("exhausted")); got != 0 {
		t.Errorf("a review was counted that did not take place")
	}
}

// Of fifty concurrent claims of one payment exactly one succeeds.
func TestOneClaimant(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	id := h.deposit(alice, 5_00)
	s := h.settler(func(c *Config) { c.Lease, c.Grace = time.Hour, time.Nanosecond })
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		took int
	)
	for i := range 50 {
		all.Go(func() {
			n := 0
			if i%2 == 0 {
				if _, ok, err := s.claimOne(t.Context(), id); err != nil {
					t.Error(err)
				} else if ok {
					n = 1
				}
			} else if got, err := s.claimOverdue(t.Context(), 5); err != nil {
				t.Error(err)
			} else {
				n = len(got)
			}
			mu.Lock()
			took += n
			mu.Unlock()
		})
	}
	all.Wait()
	if took != 1 {
		t.Errorf("%d claims succeeded", took)
	}
}

// While the bank needs longer than several leases to answer, the lease is renewed: no janitor
// claims the payment.
func TestLeaseIsRenewedWhileTheBankIsSlow(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	const lease = time.Second
	s := h.settler(func(c *Config) { c.Lease = lease })
	h.intercept(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		h.waitForLeases(s, r, 2)
		bank.ServeHTTP(w, r)
	})
	h.janitor(s)
	h.janitor(h.settler(func(c *Config) { c.Lease = lease }))
	id := h.deposit(alice, 5_00)
	if got := h.waitForEnd(alice, id); got.State != ledger.Posted {
		t.Errorf("got %+v", got)
	}
	if p := h.payment(id); p.fence != 1 || p.attempts != 1 {
		t.Errorf("it was taken over: %+v", p)
	}
	if n := h.calls.submits.Load(); n != 1 {
		t.Errorf("the bank was asked %d times", n)
	}
}

// waitForLeases returns when n times the duration of a lease has passed by the database's clock.
func (h *harness) waitForLeases(s *Settler, r *http.Request, n int) {
	const clock = `SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8`
	read := func() (now float64) {
		_ = h.pool.QueryRow(context.WithoutCancel(r.Context()), clock).Scan(&now)
		return now
	}
	start := read()
	testkit.Eventually(h.t, "the leases pass", func() bool { return read()-start > float64(n)*s.config.Lease.Seconds() })
}

// An attempt ends without an effect when another worker has claimed the payment meanwhile.
func TestLostClaimStopsAsking(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(0)
	id := h.deposit(alice, 5_00)
	s := h.settler(func(c *Config) { c.Lease = 60 * time.Millisecond; c.Bank = silentBank{} })
	c := h.claim(s, id)
	_, err := h.pool.Exec(t.Context(), `UPDATE payments SET fence = fence + 1,
		lease_until = clock_timestamp() + interval '1 hour', next_at = clock_timestamp() + interval '1 hour' WHERE transfer_id = $1`, id)
	h.must(err)
	before := h.payment(id)
	retryIn, err := s.attempt(t.Context(), c) // returns although the bank never answers
	if retryIn != 0 || err != nil {
		t.Errorf("retry in %v, %v", retryIn, err)
	}
	if after := h.payment(id); after != before {
		t.Errorf("it was %+v, now %+v", before, after)
	}
}
