package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// TestRejectedCommandFailsAlone: one command of a batch fails, because the database rejects its row
// or because its decision panics. It fails with Internal, and the other commands of the batch are
// committed.
func TestRejectedCommandFailsAlone(t *testing.T) {
	t.Parallel()
	const memo = "poison"
	for name, plant := range map[string]func(h *fixture, l *ledger.Ledger){
		"the database": func(h *fixture, _ *ledger.Ledger) {
			h.owner(`ALTER TABLE transfers ADD CONSTRAINT planted CHECK (memo <> 'poison')`)
		},
		"the rules": func(_ *fixture, l *ledger.Ledger) { ledger.PanicAt(l, memo) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			l := h.another(ledger.Config{Committers: 1})
			plant(h, l)
			alice, bob := h.user(100), h.user(0)
			errs := make([]error, 7)
			var commands []func()
			for i := range errs {
				o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)}
				if i == 3 {
					o.Memo = memo
				}
				commands = append(commands, func() { _, errs[i] = l.Transfer(t.Context(), o) })
			}
			h.asOneBatch(l, commands...)
			for i, err := range errs {
				if i == 3 {
					wantCode(t, err, ledger.Internal)
				} else if err != nil {
					t.Errorf("command %d: %v", i, err)
				}
			}
			if got := h.wallet(bob); got.Balance != 6 {
				t.Errorf("bob has %d", got.Balance)
			}
			// The ledger still accepts commands.
			if _, err := l.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)}); err != nil {
				t.Error(err)
			}
			h.books()
		})
	}
}

func (h *fixture) owner(sql string) {
	h.t.Helper()
	if _, err := testkit.Connect(h.t, h.db.AdminURL).Exec(h.t.Context(), sql); err != nil {
		h.t.Fatal(err)
	}
}

// TestRetryDecidesAgain: a reversal of the whole remaining amount reverses what is left in the
// attempt that commits, not in an earlier attempt that failed.
func TestRetryDecidesAgain(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{Committers: 1})
	h.owner(`ALTER TABLE transfers ADD CONSTRAINT planted CHECK (idem_key <> 'poison')`)
	alice, bob := h.user(100), h.user(0)
	sent := h.transfer(alice, bob, 100)
	var poisoned, all error
	var reversed ledger.Result
	h.asOneBatch(l,
		func() {
			_, poisoned = l.Reverse(t.Context(), ledger.FollowUp{Owner: bob, Key: "poison", Target: sent.ID, Amount: 40})
		},
		func() {
			reversed, all = l.Reverse(t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: sent.ID})
		})
	wantCode(t, poisoned, ledger.Internal)
	if all != nil || reversed.Transfer.PostedAmount != 100 {
		t.Errorf("reversed %d of 100, %v", reversed.Transfer.PostedAmount, all)
	}
	h.books()
}

// TestRejectedExpiryDelaysNoOther: an authorization that cannot be voided does not keep ExpireDue
// from voiding others.
func TestRejectedExpiryDelaysNoOther(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	first, second := h.authorize(alice, bob, 13), h.authorize(alice, bob, 10)
	h.lapse(first.ID)
	h.lapse(second.ID)
	h.owner(`ALTER TABLE transfers ADD CONSTRAINT planted CHECK (amount <> 13 OR state = 'pending')`)
	n, err := h.ExpireDue(t.Context(), 10)
	if n != 1 || err == nil {
		t.Errorf("%d expired, %v", n, err)
	}
	if got := h.wallet(alice); got.Held != 13 {
		t.Errorf("%d is held", got.Held)
	}
	// h.books would fail: lapse has changed the expiry, so that it differs from the event's digest.
}

// TestSettleAcceptsAnyTextOfTheBank: a payment can be settled whatever text the bank returns with
// it.
func TestSettleAcceptsAnyTextOfTheBank(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(100)
	for _, text := range []string{strings.Repeat("ä", 10_000), "a\x00b", "\xff\xfe", "\x1b[2J"} {
		w := h.withdraw(alice, 1)
		if _, err := h.Settle(t.Context(), ledger.Settlement{Transfer: w.ID, Executed: true, BankRef: text, Note: text}); err != nil {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	h.books()
}

// TestReplayAfterExpiry: the request of an authorization is repeated after its expiry has passed.
// It is replayed, since the key is checked before the expiry.
func TestReplayAfterExpiry(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(10), ExpiresAt: time.Now().Add(300 * time.Millisecond)}
	first, err := h.Authorize(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "it has expired", func() bool { return h.now().After(o.ExpiresAt) })
	again, err := h.Authorize(t.Context(), o)
	if err != nil || !again.Replayed || again.Transfer.ID != first.Transfer.ID {
		t.Errorf("got %+v, %v", again, err)
	}
	_, err = h.Capture(t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: first.Transfer.ID})
	wantCode(t, err, ledger.AuthorizationExpired)
	if n, err := h.ExpireDue(t.Context(), 10); n != 1 || err != nil {
		t.Errorf("%d expired, %v", n, err)
	}
	o.Key = newKey()
	_, err = h.Authorize(t.Context(), o)
	wantCode(t, err, ledger.AuthorizationExpired)
	h.books()
}

// TestFollowUpsOfTransferWithoutCreditAccount: a transfer that was refused because the payee has no
// wallet has no receiver who could capture or reverse it.
func TestFollowUpsOfTransferWithoutCreditAccount(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob, payee := h.user(100), h.user(0), h.userWithoutWallet()
	_, err := h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: payee, Amount: usd(10)})
	f := ledger.FollowUp{Key: newKey(), Target: wantCode(t, err, ledger.PayeeWalletMissing).Transfer.ID}
	for range 2 {
		for owner, code := range map[ledger.UserID]problem.Code{alice: ledger.Forbidden, payee: ledger.TransferNotFound, bob: ledger.TransferNotFound} {
			f.Owner = owner
			_, err = h.Reverse(t.Context(), f)
			wantCode(t, err, code)
			_, err = h.Capture(t.Context(), f)
			wantCode(t, err, code)
		}
	}
	h.books()
}

// TestBalanceLimit: the largest balance is the largest integer that JSON represents exactly.
func TestBalanceLimit(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	const full = 9_007_199_254_740_991
	alice, bob := h.user(0), h.user(10)
	for range 9 {
		h.fund(alice, 1_000_000_000_000_000)
	}
	h.fund(alice, full-9_000_000_000_000_000-10) // the clearing account is at -10 from bob's deposit
	_, err := h.OpenDeposit(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Amount: usd(1)})
	wantCode(t, err, ledger.BalanceLimit)
	if got := h.transfer(bob, alice, 10); got.State != ledger.Posted {
		t.Errorf("got %+v", got)
	}
	if got := h.wallet(alice).Balance; got != full {
		t.Errorf("alice has %d", got)
	}
	h.books()
}
