package settle

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

// The breaker opens after consecutive failures, and then allows one probe in each interval.
func TestBreaker(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := &breaker{threshold: 2, metrics: NewMetrics(), now: func() time.Time { return now }}
	noAnswer := &bank.Error{Code: bank.CodeTransport}
	step := func(err error) {
		t.Helper()
		if !b.allow() {
			t.Fatal("the breaker is open")
		}
		b.report(t.Context(), err)
	}
	step(noAnswer)
	step(nil)
	step(noAnswer)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	b.report(gone, noAnswer)
	step(&bank.Error{Code: bank.CodeHTTPStatus})
	step(noAnswer)
	step(noAnswer)
	if b.allow() {
		t.Error("the breaker is closed after two failures in a row")
	}
	now = now.Add(probeInterval)
	if !b.allow() || b.allow() {
		t.Error("want exactly one probe")
	}
	b.report(t.Context(), noAnswer)
	if b.allow() {
		t.Error("a failed probe closed the breaker")
	}
	now = now.Add(probeInterval)
	step(nil)
	step(nil)
}

// While the breaker is open, no payment is claimed and no attempt is counted. Due payments stay
// due and are attempted when the bank can be reached again.
func TestOpenBreakerLeavesPaymentsDue(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	var asked atomic.Int64
	h.intercept(func(http.ResponseWriter, *http.Request, http.Handler) { asked.Add(1); panic(http.ErrAbortHandler) })
	s := h.settler(func(c *Config) { c.BreakerThreshold = 1 })
	now := time.Now()
	s.breaker.now = func() time.Time { return now } // the clock stands still, so no probe is allowed
	first, second := h.withdraw(alice, 1_00), h.withdraw(alice, 1_00)
	if retryIn, _, err := s.SettleOne(t.Context(), first); err != nil || retryIn == 0 {
		t.Fatalf("retry in %v, %v", retryIn, err)
	}
	if retryIn, _, err := s.SettleOne(t.Context(), second); err != nil || retryIn != 0 {
		t.Errorf("retry in %v, %v", retryIn, err)
	}
	j := NewJanitor(s)
	h.must(j.settleOverdue(t.Context()))
	// The error contains the last failure of the bank, although the bank is not asked now.
	if err := j.reconcileOnce(t.Context()); !errors.Is(err, errBankUnreachable) || !errors.Is(err, bank.CodeTransport) && !errors.Is(err, bank.CodeTimeout) {
		t.Errorf("the statement was asked for: %v", err)
	}
	j.Wait()
	if p := h.payment(second); p.leased || !p.due || p.attempts != 0 || asked.Load() != 1 {
		t.Errorf("got %+v after %d calls", p, asked.Load())
	}
	if count(t, s.config.Metrics.breaker) != 1 {
		t.Error("the gauge is not 1")
	}

	h.interceptor.Store(nil)
	s.breaker.now = time.Now
	h.janitor(s)
	h.waitForEnd(alice, first)
	h.waitForEnd(alice, second)
	h.wantOneExecution(first, second)
	if count(t, s.config.Metrics.breaker) != 0 {
		t.Error("the gauge is not 0")
	}
}
