package settle

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/ledger"
)

// decideRetry follows its table of rules, and an earlier rule wins over a later one.
func TestDecideRetry(t *testing.T) {
	t.Parallel()
	config := Config{MaxAttempts: 3, MaxAge: time.Hour}.withDefaults()
	var (
		noAnswer = &bank.Error{Code: bank.CodeTimeout, Op: "submit"}
		stated   = &bank.Error{Code: bank.CodeContradiction, Op: "status"}
		answered = &bank.Error{Code: bank.CodeContradiction, Op: "submit"}
		conflict = &bank.Error{Code: bank.CodeConflict, Op: "submit"}
		invalid  = &bank.Error{Code: bank.CodeInvalid, Op: "submit"}
	)
	for name, c := range map[string]struct {
		attempts           int
		age                time.Duration
		err                error
		stopped, leaseLost bool
		want               retryDecision
	}{
		"no answer":                      {1, 0, noAnswer, false, false, retryDecision{action: retryLater}},
		"enough attempts":                {9, time.Minute, noAnswer, false, false, retryDecision{action: retryLater}},
		"enough age":                     {2, 2 * time.Hour, noAnswer, false, false, retryDecision{action: retryLater}},
		"enough attempts and age":        {3, time.Hour, noAnswer, false, false, retryDecision{needsReview, 0, causeExhausted}},
		"contradiction":                  {2, 0, stated, false, false, retryDecision{action: retryLater}},
		"contradiction, enough attempts": {3, 0, stated, false, false, retryDecision{needsReview, 0, causeContradiction}},
		"contradiction of Submit only":   {3, 0, answered, false, false, retryDecision{action: retryLater}},
		"conflict, enough attempts":      {3, time.Hour, conflict, false, false, retryDecision{needsReview, 0, causeContradiction}},
		"malformed":                      {1, 0, invalid, false, false, retryDecision{needsReview, 0, causeInvalid}},
		"stopped":                        {3, time.Hour, stated, true, true, retryDecision{action: handOver}},
		"lease lost":                     {3, time.Hour, invalid, false, true, retryDecision{action: dropClaim}},
	} {
		got := config.decideRetry(claim{attempts: c.attempts, age: c.age}, c.err, c.stopped, c.leaseLost)
		if delayed := got.delay > 0; delayed != (got.action == retryLater) {
			t.Errorf("%s: a delay of %v", name, got.delay)
		}
		got.delay = 0
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// The delay doubles, is bounded by MaxDelay and by the age of the payment, and varies by up to a
// half.
func TestRetryDelay(t *testing.T) {
	t.Parallel()
	config := Config{FirstDelay: 500 * time.Millisecond, MaxDelay: 30 * time.Second}.withDefaults()
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
			d := config.retryDelay(c.attempts, c.age)
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

// A payment needs review after MaxAttempts and MaxAge, not after one of them.
func TestExhaustedNeedsReview(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	h.stopBank()
	young, old := h.withdraw(alice, 10_00), h.withdraw(alice, 30_00)
	longAge := h.settler(func(c *Config) { c.MaxAttempts, c.MaxAge = 3, time.Hour })
	shortAge := h.settler(func(c *Config) { c.MaxAttempts, c.MaxAge = 3, time.Nanosecond })

	attemptUntil := func(s *Settler, id uuid.UUID, done func(row) bool) {
		t.Helper()
		testkit.Eventually(t, "enough attempts", func() bool {
			if _, _, err := s.SettleOne(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			return done(h.payment(id))
		})
	}
	attemptUntil(longAge, young, func(r row) bool { return r.attempts >= 5 })
	attemptUntil(shortAge, old, func(r row) bool { return r.state == ledger.PaymentNeedsReview })

	if p := h.payment(young); p.state != ledger.PaymentUnknown {
		t.Errorf("enough attempts but not old enough: %+v", p)
	}
	if p := h.payment(old); p.attempts != 3 || p.leased || p.due {
		t.Errorf("got %+v", p)
	}
	h.wantWallet(alice, 100_00, 40_00)
	if got := count(t, shortAge.config.Metrics.reviews.WithLabelValues("exhausted")); got != 1 {
		t.Errorf("%v reviews were counted", got)
	}
}

// A contradiction that the bank repeats needs review after MaxAttempts, and is then left alone.
func TestContradictionNeedsReview(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]interceptor{
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
			h := newHarness(t)
			alice := h.user(100_00)
			h.intercept(lie)
			out := h.withdraw(alice, 30_00)
			s := h.settler(func(c *Config) { c.MaxAttempts = 3 })
			stop := h.janitor(s)
			p := h.waitForState(out, ledger.PaymentNeedsReview)
			if p.leased || p.due || p.attempts != 3 || p.lastError == "" {
				t.Errorf("got %+v", p)
			}
			h.wantWallet(alice, 100_00, 30_00) // the hold is kept
			if got := count(t, s.config.Metrics.reviews.WithLabelValues("contradiction")); got != 1 {
				t.Errorf("%v reviews were counted", got)
			}
			// No attempt is made at a payment in review, even if a task names it.
			stop()
			h.interceptor.Store(nil)
			if _, _, err := s.SettleOne(t.Context(), out); err != nil {
				t.Error(err)
			}
			if again := h.payment(out); again != p {
				t.Errorf("it was %+v, now %+v", p, again)
			}
		})
	}
}

// A retry sends the same reference and amount, so the bank executes the payment once even if the
// first request arrives after its timeout.
func TestRetryPaysOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	var (
		mu     sync.Mutex
		bodies []string
	)
	h.intercept(func(w http.ResponseWriter, r *http.Request, bank http.Handler) {
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
	h.setFaults(sim.Faults{Hang: 1, HangFor: 1500 * time.Millisecond}) // longer than the client's timeout; then the bank executes
	out := h.withdraw(alice, 12_50)
	s := h.settler(h.withShortTimeout)
	if retryIn, _, err := s.SettleOne(t.Context(), out); err != nil || retryIn <= 0 {
		t.Fatalf("a bank that hangs: retry in %v, %v", retryIn, err)
	}
	h.setFaults(sim.Faults{})
	h.janitor(s)
	if got := h.waitForEnd(alice, out); got.State != ledger.Posted {
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
