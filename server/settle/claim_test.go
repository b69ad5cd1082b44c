package settle

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/ledger"
)

// count reads a counter or a gauge.
func count(t *testing.T, counter prometheus.Collector) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(counter)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("gathered %v, %v", families, err)
	}
	metric := families[0].GetMetric()[0]
	return metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
}

type noCancel struct{ context.Context }

func (noCancel) Done() <-chan struct{} { return nil }
func (noCancel) Err() error            { return nil }

type readCloser struct{ *bytes.Buffer }

func (readCloser) Close() error { return nil }

func (h *house) claim(s *Settler, id uuid.UUID) claim {
	h.t.Helper()
	c, ok, err := s.claimOne(h.t.Context(), id)
	if err != nil || !ok {
		h.t.Fatalf("claimed: %v, %v", ok, err)
	}
	return c
}

func TestClaim(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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
	nobody := func(when string) {
		t.Helper()
		if _, ok, err := s.claimOne(t.Context(), id); ok || err != nil {
			t.Errorf("%s: claimed, %v", when, err)
		}
		if got, err := s.claimOverdue(t.Context(), 10); len(got) > 0 || err != nil {
			t.Errorf("%s: the janitor claimed, %v", when, err)
		}
	}
	nobody("held")
	h.must(s.postpone(t.Context(), c, time.Hour, reply{what: loggedUnknown, err: errors.New("later")}))
	nobody("not due")

	// What is late for a postponed claim changes nothing.
	if stands, err := s.renew(t.Context(), c); stands || err != nil {
		t.Errorf("a claim that was given back was renewed: %v", err)
	}
	nobody("renewed late")

	h.must(s.postpone(t.Context(), c, 0, reply{what: loggedUnknown, err: errors.New("twice")}))
	nobody("given back twice")

	h.expireLease(id) // as if its time had come
	if got := h.claim(s, id); got.fence != 2 || got.attempts != 2 {
		t.Errorf("got %+v", got)
	}
	// Should the two times ever disagree, the lease counts.
	_, err := h.pool.Exec(t.Context(), `UPDATE payments SET next_at = clock_timestamp() - interval '1 hour'`)
	h.must(err)
	nobody("leased, and yet due")
	if _, ok, err := s.claimOne(t.Context(), uuid.New()); ok || err != nil {
		t.Errorf("a payment that is not there was claimed, %v", err)
	}
}

// A hint has its grace before the janitor steps in; a dead holder's payment has
// had its lease already.
func TestGraceLeavesTimeForTasks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	s := h.settler(func(c *Config) { c.Grace = time.Hour })
	hinted, orphan := h.deposit(alice, 1_00), h.deposit(alice, 2_00)
	h.claim(s, orphan)
	h.expireLease(orphan)
	got, err := s.claimOverdue(t.Context(), 10)
	if err != nil || len(got) != 1 || got[0].transfer != orphan {
		t.Fatalf("got %+v, %v; want the orphan alone", got, err)
	}
	if got := h.claim(s, hinted); got.attempts != 1 {
		t.Errorf("got %+v", got)
	}
}

// A zombie, stopped while it held the payment and gone on after another had taken
// it over, can do nothing: not settle either way, postpone, renew, or put up.
func TestZombieIsFenced(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	id := h.withdraw(alice, 30_00)
	s := h.settler(func(c *Config) { c.Lease = time.Hour })
	zombie := h.claim(s, id)
	h.expireLease(id)
	h.claim(s, id)
	before := h.payment(id)

	for _, outcome := range []bank.Outcome{bank.Executed, bank.Rejected} {
		h.must(s.finish(t.Context(), zombie, bank.Answer{Outcome: outcome}))
	}
	h.must(s.postpone(t.Context(), zombie, 0, reply{what: loggedUnknown, err: errors.New("zombie")}))
	h.must(s.review(t.Context(), zombie, "exhausted", bank.CodeTimeout))
	if stands, err := s.renew(t.Context(), zombie); stands || err != nil {
		t.Errorf("the zombie's claim stands: %v", err)
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

// Once the payment is settled, an opposite word changes nothing and is told.
func TestOppositeWordAfterTheEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	id := h.withdraw(alice, 30_00)
	s := h.settler(nil)
	c := h.claim(s, id)
	h.must(s.finish(t.Context(), c, bank.Answer{Outcome: bank.Executed}))
	h.must(s.finish(t.Context(), c, bank.Answer{Outcome: bank.Executed})) // the same word again
	h.must(s.finish(t.Context(), c, bank.Answer{Outcome: bank.Rejected}))
	if got := h.transfer(alice, id); got.State != ledger.Posted {
		t.Errorf("got %+v", got)
	}
	h.wantWallet(alice, 70_00, 0)
	if got := count(t, s.config.Metrics.reviews.WithLabelValues(string(ledger.SettlementConflicts))); got != 1 {
		t.Errorf("%v conflicts were counted", got)
	}
}

// The bank takes several leases' time, and janitors look on: nobody takes the
// payment over.
func TestLeaseIsRenewedWhileTheBankIsSlow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	const lease = time.Second
	s := h.settler(func(c *Config) { c.Lease = lease })
	h.inFront(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		h.leasesPass(s, r, 2)
		bank.ServeHTTP(w, r)
	})
	h.janitor(s)
	h.janitor(h.settler(func(c *Config) { c.Lease = lease }))
	id := h.deposit(alice, 5_00)
	if got := h.ends(alice, id); got.State != ledger.Posted {
		t.Errorf("got %+v", got)
	}
	if p := h.payment(id); p.fence != 1 || p.attempts != 1 {
		t.Errorf("it was taken over: %+v", p)
	}
	if n := h.calls.submits.Load(); n != 1 {
		t.Errorf("the bank was asked %d times", n)
	}
}

// leasesPass returns when the payment under way has seen its lease end n times, or
// would have, by the database's clock.
func (h *house) leasesPass(s *Settler, r *http.Request, n int) {
	const clock = `SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8`
	read := func() (now float64) {
		_ = h.pool.QueryRow(context.WithoutCancel(r.Context()), clock).Scan(&now)
		return now
	}
	start := read()
	testkit.Eventually(h.t, "the leases pass", func() bool { return read()-start > float64(n)*s.config.Lease.Seconds() })
}

// A claim that was lost while the bank was asked is not spoken for any more.
func TestLostClaimStopsAsking(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	id := h.deposit(alice, 5_00)
	s := h.settler(func(c *Config) { c.Lease = 60 * time.Millisecond; c.Bank = deaf{} })
	c := h.claim(s, id)
	_, err := h.pool.Exec(t.Context(), `UPDATE payments SET fence = fence + 1,
		lease_until = clock_timestamp() + interval '1 hour', next_at = clock_timestamp() + interval '1 hour' WHERE transfer_id = $1`, id)
	h.must(err)
	before := h.payment(id)
	again, err := s.drive(t.Context(), c) // returns: the bank never would
	if again != 0 || err != nil {
		t.Errorf("again in %v, %v", again, err)
	}
	if after := h.payment(id); after != before {
		t.Errorf("it was %+v, now %+v", before, after)
	}
}

// deaf is a bank that never answers.
type deaf struct{ bank.Bank }

func (deaf) Submit(ctx context.Context, in bank.Instruction) (bank.Answer, error) {
	<-ctx.Done()
	return bank.Answer{}, &bank.Error{Code: bank.CodeTimeout, Op: "submit", Ref: in.Ref, Err: ctx.Err()}
}

func (d deaf) Status(ctx context.Context, in bank.Instruction) (bank.Answer, error) {
	return d.Submit(ctx, in)
}

// Fifty claimants, one payment: one of them has it.
func TestOneClaimant(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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
		t.Errorf("%d claimants have it", took)
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	s := New(Config{FirstDelay: 500 * time.Millisecond, MaxDelay: 30 * time.Second})
	for _, c := range []struct {
		attempts     int
		age, longest time.Duration
	}{
		{1, time.Hour, 500 * time.Millisecond},
		{2, 0, time.Second},
		{3, 0, 2 * time.Second},
		{6, 0, youngDelay},
		{6, time.Minute, youngDelay},
		{6, 2 * time.Minute, 12 * time.Second},
		{6, time.Hour, 16 * time.Second},
		{7, time.Hour, 30 * time.Second},
		{17, time.Hour, 30 * time.Second},
		{1_000_000, time.Hour, 30 * time.Second},
		{1_000_000, 0, youngDelay},
	} {
		seen := map[time.Duration]bool{}
		for range 200 {
			d := s.delay(c.attempts, c.age)
			if d < c.longest/2 || d > c.longest {
				t.Fatalf("attempt %d after %v: %v, want %v to %v", c.attempts, c.age, d, c.longest/2, c.longest)
			}
			seen[d] = true
		}
		if len(seen) < 100 {
			t.Errorf("attempt %d: no jitter", c.attempts)
		}
	}
}

func (w waits) Submit(ctx context.Context, in bank.Instruction) (bank.Answer, error) {
	w.asked <- struct{}{}
	return deaf{}.Submit(ctx, in)
}

func (w waits) Status(ctx context.Context, in bank.Instruction) (bank.Answer, error) {
	return w.Submit(ctx, in)
}

func (waits) Statement(context.Context, int64, int) (bank.Page, error) { return bank.Page{}, nil }
