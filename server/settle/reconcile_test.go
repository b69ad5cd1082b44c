package settle

import (
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/ledger"
)

// A payment whose statement line contradicts its outcome is a discrepancy, which is booked to
// suspense once.
func TestReconcileBooksSuspense(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	s := h.settler(nil)
	submit := func(id uuid.UUID, direction bank.Direction, amount int64) {
		t.Helper()
		_, err := h.client.Submit(t.Context(), bank.Instruction{Ref: id.String(), Direction: direction, Amount: amount, Currency: "USD"})
		h.must(err)
	}
	settled := func(id uuid.UUID, executed bool) {
		t.Helper()
		_, err := h.Settle(t.Context(), ledger.Settlement{Transfer: id, Executed: executed})
		h.must(err)
	}
	paid, received, open, unknown := h.withdraw(alice, 10_00), h.deposit(alice, 5_00), h.withdraw(alice, 1_00), uuid.New()
	settled(paid, false)
	settled(received, false)
	submit(paid, bank.Withdrawal, 10_00)
	submit(received, bank.Deposit, 5_00)
	submit(open, bank.Withdrawal, 1_00)
	submit(unknown, bank.Deposit, 3)
	h.setFaults(sim.Faults{RejectWithdrawals: 1})
	unpaid := h.withdraw(alice, 2_00)
	settled(unpaid, true)
	submit(unpaid, bank.Withdrawal, 2_00)
	other := h.withdraw(alice, 4_00)
	settled(other, true)
	h.setFaults(sim.Faults{})
	submit(other, bank.Withdrawal, 4_01)

	r, err := s.Reconcile(t.Context())
	h.must(err)
	if r.Read != 6 || r.Open != 1 || r.Matched != 0 || len(r.Found) != 5 {
		t.Errorf("got %+v", r)
	}
	h.wantKinds(s, paid, ExecutedNotPosted)
	h.wantKinds(s, received, ExecutedNotPosted)
	h.wantKinds(s, unpaid, PostedNotExecuted)
	h.wantKinds(s, other, AmountDiffers)
	h.wantKinds(s, unknown, UnknownRef)
	h.wantKinds(s, open)
	var suspense int64
	h.must(h.pool.QueryRow(t.Context(), `SELECT balance FROM accounts WHERE kind = 'suspense'`).Scan(&suspense))
	// The suspense account has what the clearing account would otherwise lack.
	if suspense != -10_00+5_00+2_00+3+4_00-4_01 {
		t.Errorf("suspense holds %d", suspense)
	}
	again, err := s.Reconcile(t.Context())
	h.must(err)
	if again.Read != 0 || len(again.Found) != 0 {
		t.Errorf("found again: %+v", again)
	}
	h.janitor(s)
	h.waitForEnd(alice, open)
	if r, err = s.Reconcile(t.Context()); err != nil || r.Matched != 1 || r.Open != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	h.wantAudit()
}

// The bank executed another amount than it was asked for. The discrepancy is recorded at once, and
// booked to suspense when an operator has decided about the payment.
func TestAnotherAmountWaitsForTheOperator(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	s := h.settler(func(c *Config) { c.MaxAttempts = 1 })
	id := h.withdraw(alice, 10_00)
	_, err := h.client.Submit(t.Context(), bank.Instruction{Ref: id.String(), Direction: bank.Withdrawal, Amount: 9_00, Currency: "USD"})
	h.must(err)
	_, _, err = s.SettleOne(t.Context(), id)
	h.must(err)
	h.waitForState(id, ledger.PaymentNeedsReview)
	for range 2 {
		r, err := s.Reconcile(t.Context())
		h.must(err)
		if r.Open != 1 {
			t.Errorf("got %+v", r)
		}
	}
	h.wantKinds(s, id, AnswersDiffer, AmountDiffers)
	h.wantWallet(alice, 100_00, 10_00)

	_, err = s.Resolve(t.Context(), id, ResolveRejected)
	h.must(err)
	for range 2 {
		r, err := s.Reconcile(t.Context())
		h.must(err)
		if r.Open != 0 {
			t.Errorf("got %+v", r)
		}
	}
	h.wantWallet(alice, 100_00, 0)
	var suspense int64
	h.must(h.pool.QueryRow(t.Context(), `SELECT balance FROM accounts WHERE kind = 'suspense'`).Scan(&suspense))
	if suspense != -9_00 {
		t.Errorf("suspense holds %d", suspense)
	}
	h.wantAudit()
}
