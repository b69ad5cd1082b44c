package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// TestPoisonFailsAlone: one command of a batch cannot be carried out, for the
// database will not have it or the rule book panics. Its neighbours are, and it
// is told that it was not.
func TestPoisonFailsAlone(t *testing.T) {
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
					t.Errorf("neighbour %d: %v", i, err)
				}
			}
			if got := h.wallet(bob); got.Balance != 6 {
				t.Errorf("bob has %d", got.Balance)
			}
			// The ledger lives on.
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

// TestRetryDecidesAnew: "all of what is left" is a matter of the try that commits,
// not of one before it that failed.
func TestRetryDecidesAnew(t *testing.T) {
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

// TestPoisonedExpiryHoldsUpNobody: one authorization that cannot be voided must
// not keep others from their end.
func TestPoisonedExpiryHoldsUpNobody(t *testing.T) {
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
	// Not h.books(): the one that is left has an expiry that its event does not know.
}

// TestWordsOfTheBankFit: whatever the bank says about a payment, the payment can be
// settled.
func TestWordsOfTheBankFit(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(100)
	for _, words := range []string{strings.Repeat("ä", 10_000), "a\x00b", "\xff\xfe", "\x1b[2J"} {
		w := h.withdraw(alice, 1)
		if _, err := h.Settle(t.Context(), ledger.Settlement{Transfer: w.ID, Executed: true, BankRef: words, Note: words}); err != nil {
			t.Errorf("%.20q: %v", words, err)
		}
	}
	h.books()
}

// TestReplayAfterExpiry: an authorization is asked for again when its own expiry has
// passed; the key comes first.
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
		for owner, code := range map[uuid.UUID]problem.Code{alice: ledger.Forbidden, payee: ledger.TransferNotFound, bob: ledger.TransferNotFound} {
			f.Owner = owner
			_, err = h.Reverse(t.Context(), f)
			wantCode(t, err, code)
			_, err = h.Capture(t.Context(), f)
			wantCode(t, err, code)
		}
	}
	h.books()
}

// TestBalanceLimit: a wallet holds what a JSON number can say, and no more.
func TestBalanceLimit(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	const full = 9_007_199_254_740_991
	alice, bob := h.user(0), h.user(10)
	for range 9 {
		h.fund(alice, 1_000_000_000_000_000)
	}
	h.fund(alice, full-9_000_000_000_000_000-10) // the clearing account has given bob 10
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
