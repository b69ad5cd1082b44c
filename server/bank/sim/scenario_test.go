package sim

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

// TestScenarios: an armed scenario decides what happens to the next payment of its amount, and to
// no other one, whatever faults the bank has.
func TestScenarios(t *testing.T) {
	url, received := callbackReceiver(t, 0)
	r := start(t, withCallbacks(url, Faults{RejectDeposits: 1, RejectWithdrawals: 1}))
	var waited []time.Duration
	r.wait = func(_ context.Context, d time.Duration) error {
		waited = append(waited, d)
		return nil
	}
	c := r.client(t, longTimeout)
	for n, s := range Scenarios() {
		in := bank.Instruction{Ref: pay(n).Ref, Direction: s.direction, Amount: 500, Currency: "USD"}
		if err := r.Arm(s.Name, 500, "USD"); err != nil {
			t.Fatal(err)
		}
		other := in
		other.Ref, other.Amount = pay(1000+n).Ref, 501
		if a, err := c.Submit(t.Context(), other); err != nil || a.Outcome != bank.Rejected {
			t.Errorf("%s: another payment: %+v, %v", s.Name, a, err)
		}
		waited = nil
		first, firstErr := c.Submit(t.Context(), in)
		if s.first.Hang > 0 && (len(waited) == 0 || waited[0] < s.first.HangFor) {
			t.Errorf("%s: waited %v", s.Name, waited)
		}
		again, err := c.Submit(t.Context(), in)
		want := bank.Executed
		if s.first.RejectDeposits > 0 {
			want = bank.Rejected
		}
		// The client reports an answer with another amount as an error.
		good := func(a bank.Answer, err error) bool { return err == nil && a.Outcome == want }
		if bad := s.first.Fail+s.first.CutAfter+s.first.Lies+s.first.Stubborn > 0; good(first, firstErr) == bad {
			t.Errorf("%s: first attempt: %+v, %v", s.Name, first, firstErr)
		}
		if good(again, err) == (s.later.Stubborn > 0) {
			t.Errorf("%s: second attempt: %+v, %v", s.Name, again, err)
		}
		callbacks := 0
		r.callbacks.wg.Wait() // all were sent
		for len(received) > 0 {
			if (<-received).Instruction.Ref == in.Ref {
				callbacks++
			}
		}
		if twice := s.first.CallbackDuplicate > 0; twice && callbacks != 2 {
			t.Errorf("%s: %d callbacks", s.Name, callbacks)
		}
	}
	if err := r.Arm("deposit.lost", 1, "USD"); !errors.Is(err, ErrNoScenario) {
		t.Error(err)
	}
}

// TestArmedScenariosAreBounded: neither scenarios without a payment nor those of payments pile up.
func TestArmedScenariosAreBounded(t *testing.T) {
	r := start(t, func(c *Config) {})
	now := time.Now()
	r.cfg.Clock = func() time.Time { return now }
	for n := range maxArmed + 10 {
		if err := r.Arm("deposit.confirmed", int64(n+1), "USD"); err != nil {
			t.Fatal(err)
		}
		r.assign(bank.Instruction{Ref: pay(n).Ref, Direction: bank.Deposit, Amount: int64(n + 1), Currency: "USD"})
	}
	if len(r.armed.byRef) != maxArmed || len(r.armed.refs) != maxArmed || len(r.armed.waiting) != 0 {
		t.Errorf("%d, %d, %d", len(r.armed.byRef), len(r.armed.refs), len(r.armed.waiting))
	}
	for range maxArmed + 10 {
		_ = r.Arm("deposit.confirmed", 1, "USD")
	}
	if len(r.armed.waiting) != maxArmed {
		t.Errorf("%d wait", len(r.armed.waiting))
	}
	now = now.Add(armedTime + time.Second)
	r.assign(bank.Instruction{Ref: "late", Direction: bank.Deposit, Amount: 1, Currency: "USD"})
	if _, armed := r.armed.byRef["late"]; armed || len(r.armed.waiting) != 0 {
		t.Error("an expired scenario was used")
	}
}
