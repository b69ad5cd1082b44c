package settle

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/embedded/redistest"
	"github.com/JDevAman/kizo/server/ledger"
)

// A rejection by the bank voids the transfer and releases its hold.
func TestRejectionReleasesTheHold(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	h.setFaults(sim.Faults{RejectDeposits: 1, RejectWithdrawals: 1})
	in, out := h.deposit(alice, 5_00), h.withdraw(alice, 30_00)
	h.janitor(h.settler(nil))

	for _, id := range []uuid.UUID{in, out} {
		if got := h.waitForEnd(alice, id); got.State != ledger.Voided || got.Reason != ledger.ReasonBankRejected {
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

// Payments are settled once when a bank that could not be reached is back.
func TestBankAwayAndBack(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	h.stopBank()
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

	h.startBank()
	for _, id := range []uuid.UUID{in, out} {
		if got := h.waitForEnd(alice, id); got.State != ledger.Posted {
			t.Errorf("got %+v", got)
		}
	}
	h.wantWallet(alice, 75_00, 0)
	h.wantOneExecution(in, out)
}

// With all faults of the preset "hell" at once, every transfer ends as the journal of the bank
// says.
func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(1000_00)
	faults, err := sim.Preset("hell")
	h.must(err)
	faults.HangFor, faults.StallFor, faults.Lies = 400*time.Millisecond, 400*time.Millisecond, 0.3
	h.setFaults(faults)
	s := h.settler(h.withShortTimeout)
	h.janitor(s)
	var ids []uuid.UUID
	for range 30 {
		ids = append(ids, h.withdraw(alice, 1_00), h.deposit(alice, 1_00))
	}
	testkit.Eventually(t, "some discrepancies", func() bool {
		found, err := s.Discrepancies(t.Context(), 100)
		h.must(err)
		return len(found) >= 3
	})
	h.setFaults(sim.Faults{RejectDeposits: faults.RejectDeposits, RejectWithdrawals: faults.RejectWithdrawals})
	for _, id := range ids {
		posted := h.waitForEnd(alice, id).State == ledger.Posted
		executed, rejected := h.executions(id)
		if executed+rejected != 1 || posted != (executed == 1) {
			t.Errorf("%s: posted %v, the bank executed %d, rejected %d", id, posted, executed, rejected)
		}
	}
	r, err := s.Reconcile(t.Context())
	h.must(err)
	if r.Read != len(ids) || r.Matched != len(ids) || len(r.Found) != 0 {
		t.Errorf("got %+v", r)
	}
	h.wantAudit()
}
