package ledger_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/ledger"
)

// TestOnlyTheReceiverFollowsUp: only the receiver of a transfer can capture, void or reverse it.
// The sender gets Forbidden with the receiver in its cause; for every other user the transfer does
// not exist. A rejected attempt stores nothing under its key.
func TestOnlyTheReceiverFollowsUp(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob, carol := h.user(100), h.user(0), h.user(0)
	held, sent, withdrawal := h.authorize(alice, bob, 10), h.transfer(alice, bob, 10), h.withdraw(alice, 10)
	for name, tt := range map[string]struct {
		do       func(context.Context, ledger.FollowUp) (ledger.Result, error)
		target   ledger.Transfer
		receiver ledger.UserID
	}{
		"capture":                 {h.Capture, held, bob},
		"void":                    {h.Void, held, bob},
		"reverse":                 {h.Reverse, sent, bob},
		"reverse of the bank's":   {h.Reverse, withdrawal, ledger.UserID{}},
		"void of the bank's":      {h.Void, withdrawal, ledger.UserID{}},
		"capture of a withdrawal": {h.Capture, withdrawal, ledger.UserID{}},
	} {
		f := ledger.FollowUp{Owner: alice, Key: newKey(), Target: tt.target.ID}
		_, err := tt.do(t.Context(), f)
		wantCode(t, err, ledger.Forbidden)
		denied, ok := errors.AsType[*ledger.NotReceiverError](err)
		if !ok || denied.Receiver != tt.receiver || denied.Target.ID != tt.target.ID {
			t.Errorf("%s: the cause is %+v", name, denied)
		}
		f.Owner = carol
		_, err = tt.do(t.Context(), f)
		wantCode(t, err, ledger.TransferNotFound)
		f.Owner, f.Target = bob, uuid.New()
		_, err = tt.do(t.Context(), f)
		wantCode(t, err, ledger.TransferNotFound)
		var stored int
		if err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM transfers WHERE idem_key = $1`, f.Key).Scan(&stored); err != nil || stored != 0 {
			t.Errorf("%s: %d rows under the key, %v", name, stored, err)
		}
	}
	if a, b := h.wallet(alice), h.wallet(bob); a.Balance != 90 || a.Held != 20 || b.Balance != 10 {
		t.Errorf("alice has %+v, bob %+v", a, b)
	}
	if _, err := h.Capture(t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: held.ID}); err != nil {
		t.Error(err)
	}
	if _, err := h.Reverse(t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: sent.ID}); err != nil {
		t.Error(err)
	}
	h.books()
}
