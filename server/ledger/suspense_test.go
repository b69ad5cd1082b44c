package ledger_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/ledger"
)

// TestBookToSuspense: a difference is booked once, also if another process finds it again, and the
// audit passes afterwards.
func TestBookToSuspense(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.user(100)
	paid := ledger.SuspenseBooking{Ref: newKey(), Cause: "executed_not_posted", Currency: "USD", Amount: 30, IntoClearing: true}
	first, err := h.BookToSuspense(t.Context(), paid)
	if err != nil {
		t.Fatal(err)
	}
	if first.Kind != ledger.KindSuspense || first.State != ledger.Posted || first.PostedAmount != 30 {
		t.Errorf("got %+v", first)
	}
	again, err := h.another(ledger.Config{}).BookToSuspense(t.Context(), paid)
	if err != nil || again.ID != first.ID {
		t.Errorf("booked again as %s, not %s: %v", again.ID, first.ID, err)
	}
	unpaid := paid
	unpaid.Ref, unpaid.Amount, unpaid.IntoClearing = newKey(), 12, false
	if _, err := h.BookToSuspense(t.Context(), unpaid); err != nil {
		t.Fatal(err)
	}
	h.wantSystemBalance("clearing", -100+30-12)
	h.wantSystemBalance("suspense", -30+12)
	postings, err := h.Postings(t.Context(), first)
	if err != nil || len(postings) != 2 || postings[0].Amount != -30 || postings[1].Amount != 30 {
		t.Errorf("got %+v, %v", postings, err)
	}
	if got, err := h.Get(t.Context(), first.ID); err != nil || got.Memo != paid.Ref {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = h.Get(t.Context(), uuid.New())
	wantCode(t, err, ledger.TransferNotFound)
	report, err := ledger.Audit(t.Context(), h.pool)
	if err != nil {
		t.Fatal(err)
	}
	if broken, is := report.FirstBroken(); is {
		t.Errorf("the audit does not pass: %+v", broken)
	}
}

func TestBookToSuspenseRejectsAnotherAmount(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	s := ledger.SuspenseBooking{Ref: newKey(), Cause: "executed_not_posted", Currency: "EUR", Amount: 30}
	if _, err := h.BookToSuspense(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.Amount = 31
	_, err := h.BookToSuspense(t.Context(), s)
	wantCode(t, err, ledger.KeyReused)
	s.Amount, s.Currency = 30, "EURO"
	_, err = h.BookToSuspense(t.Context(), s)
	wantCode(t, err, ledger.AmountOutOfRange)
}

func (h *fixture) wantSystemBalance(kind string, balance int64) {
	h.t.Helper()
	var got int64
	if err := h.pool.QueryRow(h.t.Context(), `SELECT balance FROM accounts WHERE kind = $1 AND currency = 'USD'`, kind).Scan(&got); err != nil {
		h.t.Fatal(err)
	}
	if got != balance {
		h.t.Errorf("%s has %d, want %d", kind, got, balance)
	}
}
