package settle

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/embedded/redistest"
	"github.com/JDevAman/kizo/server/ledger"
)

func TestWorkerSettlesThroughRedis(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	d, _ := h.worker(h.settler(nil), redisOpt(redistest.New(t)))

	in, out := h.deposit(alice, 5_00), h.withdraw(alice, 30_00)
	h.wantWallet(alice, 100_00, 30_00)
	d.Enqueue(in)
	d.Enqueue(out)
	for _, id := range []uuid.UUID{in, out} {
		if got := h.ends(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
		if p := h.payment(id); p.state != ledger.PaymentExecuted || p.attempts != 1 || p.leased {
			t.Errorf("got %+v", p)
		}
	}
	h.wantWallet(alice, 75_00, 0)
	h.wantOneExecution(in, out)
}

// Redis is not there from start to end, though a worker and a dispatcher believe
// in it.
func TestJanitorSettlesWithoutRedis(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	s := h.settler(nil)
	d, stop := h.worker(s, noRedis)
	h.janitor(s)

	in, out := h.deposit(alice, 5_00), h.withdraw(alice, 30_00)
	d.Enqueue(in)
	d.Enqueue(out)
	for _, id := range []uuid.UUID{in, out} {
		if got := h.ends(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
	}
	h.wantWallet(alice, 75_00, 0)
	h.wantOneExecution(in, out)
	stop() // returns, with Redis away as well
}

func TestRejectionReleasesTheHold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	h.weather(sim.Faults{RejectDeposits: 1, RejectWithdrawals: 1})
	in, out := h.deposit(alice, 5_00), h.withdraw(alice, 30_00)
	h.janitor(h.settler(nil))

	for _, id := range []uuid.UUID{in, out} {
		if got := h.ends(alice, id); got.State != ledger.Voided || got.Reason != ledger.ReasonBankRejected {
			t.Errorf("got %+v", got)
		}
		if p := h.payment(id); p.state != ledger.PaymentRejected || p.lastError == "" {
			t.Errorf("got %+v", p)
		}
		if executed, rejected := h.executions(id); executed != 0 || rejected != 1 {
			t.Errorf("the bank executed %d, rejected %d", executed, rejected)
		}
	}
	h.wantWallet(alice, 100_00, 0)
}

// The bank pays and cannot say so: nothing is voided, and the truth comes later,
// by Status, without a second payment.
func TestExecutedThenSilence(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	h.weather(sim.Faults{CutAfter: 1, StallFor: time.Hour})
	out := h.withdraw(alice, 30_00)
	s := h.settler(h.giveUpSoon)

	again, attempt, err := s.SettleOne(t.Context(), out)
	if err != nil || again <= 0 || attempt != 2 {
		t.Fatalf("again in %v as attempt %d, %v", again, attempt, err)
	}
	if p := h.payment(out); p.state != ledger.PaymentUnknown || p.leased || p.lastError == "" {
		t.Errorf("got %+v", p)
	}
	if got := h.transfer(alice, out); got.State != ledger.Pending {
		t.Errorf("unknown was taken for an answer: %+v", got)
	}
	h.wantWallet(alice, 100_00, 30_00)
	h.wantOneExecution(out)

	h.weather(sim.Faults{})
	h.janitor(s)
	if got := h.ends(alice, out); got.State != ledger.Posted {
		t.Errorf("got %+v", got)
	}
	h.wantWallet(alice, 70_00, 0)
	h.wantOneExecution(out)
	if n := h.calls.submits.Load(); n != 1 {
		t.Errorf("submitted %d times; Status knew", n)
	}
}

// "Not found" is no rejection: the request is still on its way, and arrives.
func TestNotSeenIsNoRejection(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	onItsWay, arrive, arrived := make(chan struct{}), make(chan struct{}), make(chan struct{})
	h.inFront(func(_ http.ResponseWriter, r *http.Request, bank http.Handler) {
		defer close(arrived)
		kept := detach(r)
		close(onItsWay)
		<-arrive
		bank.ServeHTTP(httptest.NewRecorder(), kept)
	})
	out := h.withdraw(alice, 30_00)
	s := h.settler(h.giveUpSoon)
	if _, _, err := s.SettleOne(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	testkit.Receive(t, "the request is on its way", onItsWay)

	// The bank has not seen it. Nobody may conclude anything: nor does Kizo, though
	// it cannot submit again either.
	h.inFront(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		bank.ServeHTTP(w, r)
	})
	stop := h.janitor(s)
	testkit.Eventually(t, "three questions", func() bool { return h.calls.statuses.Load() >= 3 })
	stop()
	if got := h.transfer(alice, out); got.State != ledger.Pending {
		t.Fatalf("404 was taken for an answer: %+v", got)
	}
	h.wantWallet(alice, 100_00, 30_00)

	// It arrives after all, while the same ref is submitted again.
	h.front.Store(nil)
	h.janitor(s)
	close(arrive)
	if got := h.ends(alice, out); got.State != ledger.Posted {
		t.Errorf("got %+v", got)
	}
	testkit.Receive(t, "the request arrives", arrived)
	h.wantOneExecution(out)
	h.wantWallet(alice, 70_00, 0)
}

// detach makes a request that outlives its sender, body and all.
func detach(r *http.Request) *http.Request {
	var body bytes.Buffer
	_, _ = body.ReadFrom(r.Body)
	kept := r.Clone(noCancel{r.Context()})
	kept.Body = readCloser{&body}
	return kept
}

func TestContradictionNeedsReview(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]front{
		"another amount": func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
			answer := httptest.NewRecorder()
			bank.ServeHTTP(answer, r)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(strings.Replace(answer.Body.String(), `"amount":3000`, `"amount":3001`, 1)))
		},
		"another instruction under this ref": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusConflict)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			alice := h.user(100_00)
			h.inFront(lie)
			out := h.withdraw(alice, 30_00)
			s := h.settler(func(c *Config) { c.MaxAttempts = 3 })
			stop := h.janitor(s)
			p := h.becomes(out, ledger.PaymentNeedsReview)
			if p.leased || p.due || p.attempts != 3 || p.lastError == "" {
				t.Errorf("got %+v", p)
			}
			h.wantWallet(alice, 100_00, 30_00) // the hold is kept
			if got := count(t, s.config.Metrics.reviews.WithLabelValues("contradiction")); got != 1 {
				t.Errorf("%v reviews were counted", got)
			}
			// And nobody touches it any more, hint or not.
			stop()
			h.front.Store(nil)
			if _, _, err := s.SettleOne(t.Context(), out); err != nil {
				t.Error(err)
			}
			if again := h.payment(out); again != p {
				t.Errorf("it was %+v, now %+v", p, again)
			}
		})
	}
}

func TestBankAwayAndBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	h.bankGoes()
	s := h.settler(nil)
	d, _ := h.worker(s, redisOpt(redistest.New(t)))
	h.janitor(s)
	in, out := h.deposit(alice, 5_00), h.withdraw(alice, 30_00)
	d.Enqueue(in)
	d.Enqueue(out)
	testkit.Eventually(t, "several attempts", func() bool {
		return h.payment(in).attempts >= 3 && h.payment(out).attempts >= 3
	})
	h.wantWallet(alice, 100_00, 30_00)

	h.bankComes()
	for _, id := range []uuid.UUID{in, out} {
		if got := h.ends(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
	}
	h.wantWallet(alice, 75_00, 0)
	h.wantOneExecution(in, out)
}

func TestExhaustedNeedsReview(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(100_00)
	h.bankGoes()
	young, old := h.withdraw(alice, 10_00), h.withdraw(alice, 30_00)
	patient := h.settler(func(c *Config) { c.MaxAttempts, c.MaxAge = 3, time.Hour })
	brief := h.settler(func(c *Config) { c.MaxAttempts, c.MaxAge = 3, time.Nanosecond })

	drive := func(s *Settler, id uuid.UUID, until func(row) bool) {
		t.Helper()
		testkit.Eventually(t, "it was tried often enough", func() bool {
			if _, _, err := s.SettleOne(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			return until(h.payment(id))
		})
	}
	drive(patient, young, func(r row) bool { return r.attempts >= 5 })
	drive(brief, old, func(r row) bool { return r.state == ledger.PaymentNeedsReview })

	if p := h.payment(young); p.state != ledger.PaymentUnknown {
		t.Errorf("often enough but not long enough: %+v", p)
	}
	if p := h.payment(old); p.attempts != 3 || p.leased || p.due {
		t.Errorf("got %+v", p)
	}
	h.wantWallet(alice, 100_00, 40_00)
	if got := count(t, brief.config.Metrics.reviews.WithLabelValues("exhausted")); got != 1 {
		t.Errorf("%v reviews were counted", got)
	}
}

// A defect in the way to the bank costs that payment an attempt, no more.
func TestPanicIsAnAttempt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user(0)
	in := h.deposit(alice, 5_00)
	s := h.settler(func(c *Config) { c.Bank = nil })
	if again, _, err := s.SettleOne(t.Context(), in); err != nil || again <= 0 {
		t.Fatalf("again in %v, %v", again, err)
	}
	if p := h.payment(in); p.state != ledger.PaymentUnknown || p.leased || !strings.Contains(p.lastError, "panic") {
		t.Errorf("got %+v", p)
	}
}
