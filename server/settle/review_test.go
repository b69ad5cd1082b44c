package settle

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/ledger"
)

// An operator decides each payment in review once: executed, rejected, or another attempt.
func TestOperatorResolves(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	alice := h.user(100_00)
	s := h.settler(nil)
	inReview := func() uuid.UUID {
		t.Helper()
		id := h.withdraw(alice, 10_00)
		h.must(s.moveToReview(t.Context(), h.claim(s, id), "exhausted", errors.New("no answer")))
		return id
	}
	paid, unpaid, asked := inReview(), inReview(), inReview()
	h.wantWallet(alice, 100_00, 30_00)
	page, next, err := s.Payments(t.Context(), ledger.PaymentNeedsReview, "", 2)
	if err != nil || len(page) != 2 || page[0].Transfer != asked || next == "" {
		t.Fatalf("got %+v, %q, %v", page, next, err)
	}
	page, next, err = s.Payments(t.Context(), ledger.PaymentNeedsReview, next, 2)
	if err != nil || len(page) != 1 || page[0].Transfer != paid || next != "" {
		t.Fatalf("got %+v, %q, %v", page, next, err)
	}
	found, err := s.PaymentsOf(t.Context(), []uuid.UUID{paid, asked, uuid.New()})
	if err != nil || len(found) != 2 || found[paid].Instruction.Amount != 10_00 || found[asked].Owner != page[0].Owner || page[0].Owner.IsZero() {
		t.Errorf("got %+v, %v", found, err)
	}
	for id, resolution := range map[uuid.UUID]Resolution{paid: ResolveExecuted, unpaid: ResolveRejected, asked: ResolveAsk} {
		if _, err := s.Resolve(t.Context(), id, resolution); err != nil {
			t.Errorf("%s: %v", resolution, err)
		}
		if _, err := s.Resolve(t.Context(), id, resolution); !errors.Is(err, ErrNotInReview) {
			t.Errorf("%s a second time: %v", resolution, err)
		}
	}
	if _, err := s.Resolve(t.Context(), uuid.New(), ResolveAsk); !errors.Is(err, ErrNoPayment) {
		t.Errorf("got %v", err)
	}
	h.janitor(s)
	h.waitForEnd(alice, asked)
	h.wantOneExecution(asked)
	h.wantWallet(alice, 80_00, 0)
	if got := h.logKinds(s, unpaid); got != "needs_review rejected" {
		t.Errorf("the log says %q", got)
	}
	h.wantAudit()
}
