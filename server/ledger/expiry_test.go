package ledger_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// TestFollowUpsOfExpiredAuthorization: a follow-up of an expired authorization gets the same answer
// whether or not ExpireDue has voided it yet, and gets it again under the same key.
func TestFollowUpsOfExpiredAuthorization(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	for name, follow := range map[string]struct {
		do   func(f ledger.FollowUp) (ledger.Result, error)
		code problem.Code
	}{
		"capture": {func(f ledger.FollowUp) (ledger.Result, error) { return h.Capture(t.Context(), f) }, ledger.AuthorizationExpired},
		"part":    {func(f ledger.FollowUp) (ledger.Result, error) { f.Amount = 4; return h.Capture(t.Context(), f) }, ledger.AuthorizationExpired},
		"void":    {func(f ledger.FollowUp) (ledger.Result, error) { return h.Void(t.Context(), f) }, ledger.AuthorizationExpired},
		"reverse": {func(f ledger.FollowUp) (ledger.Result, error) { return h.Reverse(t.Context(), f) }, ledger.TransferNotReversible},
	} {
		a := h.authorize(alice, bob, 10)
		h.lapse(a.ID)
		before := ledger.FollowUp{Owner: bob, Key: newKey(), Target: a.ID}
		_, err := follow.do(before)
		wantCode(t, err, follow.code)
		if n, err := h.ExpireDue(t.Context(), 10); n != 1 || err != nil {
			t.Fatalf("%s: %d expired, %v", name, n, err)
		}
		after := before
		after.Key = newKey()
		_, err = follow.do(after)
		wantCode(t, err, follow.code)
		_, err = follow.do(before)
		if e := wantCode(t, err, follow.code); !e.Replayed {
			t.Errorf("%s: not replayed: %+v", name, e)
		}
	}
	// An authorization that was voided before it expired is not expired.
	a := h.authorize(alice, bob, 10)
	if _, err := h.Void(t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: a.ID}); err != nil {
		t.Fatal(err)
	}
	h.lapse(a.ID)
	_, err := h.Capture(t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: a.ID})
	wantCode(t, err, ledger.TransferNotPending)
	if got := h.wallet(alice); got.Balance != 100 || got.Held != 0 {
		t.Errorf("alice has %+v", got)
	}
}

// TestExpiryUsesDatabaseClock: only the clock of PostgreSQL decides when a hold expires, and how
// far ahead its expiry may be.
func TestExpiryUsesDatabaseClock(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	o := ledger.TransferRequest{Owner: alice, Payee: bob, Amount: usd(1)}
	request := func(expiresAt time.Time) ledger.TransferRequest {
		o.Key, o.ExpiresAt = uuid.NewString(), expiresAt
		return o
	}
	r, err := h.Authorize(t.Context(), request(time.Time{}))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Transfer; !got.ExpiresAt.Equal(got.CreatedAt.Add(ledger.DefaultAuthorization)) {
		t.Errorf("created at %v, expires at %v", got.CreatedAt, got.ExpiresAt)
	}
	if _, err := h.Authorize(t.Context(), request(h.now().Add(ledger.MaxAuthorization))); err != nil {
		t.Error(err)
	}
	late := request(h.now().Add(ledger.MaxAuthorization + time.Hour))
	_, err = h.Authorize(t.Context(), late)
	wantCode(t, err, ledger.ExpiryOutOfRange)
	_, err = h.Preview(t.Context(), late, true)
	wantCode(t, err, ledger.ExpiryOutOfRange)
	late.ExpiresAt = h.now().Add(time.Hour) // nothing was stored under the key
	if _, err := h.Authorize(t.Context(), late); err != nil {
		t.Error(err)
	}
	h.books()
}

// TestClockJumpsAheadAndBack: a wallet was used while the clock of the database was an hour ahead.
// docs/operations.md describes the consequences.
func TestClockJumpsAheadAndBack(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob, carol := h.user(100), h.user(0), h.user(100)
	conn := testkit.Connect(t, h.db.AdminURL)
	if _, err := conn.Exec(t.Context(), `UPDATE accounts SET as_of = clock_timestamp() + interval '1 hour' WHERE owner = $1`, alice); err != nil {
		t.Fatal(err)
	}
	sent := h.transfer(alice, bob, 10)
	if !sent.ResolvedAt.After(h.now().Add(50 * time.Minute)) {
		t.Errorf("posted at %v", sent.ResolvedAt)
	}
	h.transfer(bob, carol, 1) // its posting has to have a later time than the first one
	for user, want := range map[ledger.UserID]struct{ now, posted int64 }{alice: {100, 90}, bob: {0, 9}, carol: {100, 101}} {
		got, _, err := h.BalanceAt(t.Context(), user, "USD", time.Time{})
		if err != nil || got != want.now || h.wallet(user).Balance != want.posted {
			t.Errorf("as of now %d, %v, posted %d; want %+v", got, err, h.wallet(user).Balance, want)
		}
	}
	if _, _, err := h.BalanceAt(t.Context(), alice, "USD", h.now().Add(2*time.Hour)); err == nil {
		t.Error("a time in the future has a balance")
	}
	h.books()
}
