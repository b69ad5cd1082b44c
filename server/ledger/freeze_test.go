package ledger_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/ledger"
)

func (h *fixture) setStatus(owner ledger.UserID, s ledger.Status) {
	h.t.Helper()
	if err := h.SetStatus(h.t.Context(), owner, s); err != nil {
		h.t.Fatal(err)
	}
}

// TestFreezeCoversLaterWallets: a freeze applies to the owner: wallets that the owner opens later
// are frozen as well, in every currency, and reactivating applies to all of them.
func TestFreezeCoversLaterWallets(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob, late := h.user(100), h.user(100), h.userWithoutWallet()
	h.euros(bob, 100)
	h.setStatus(alice, ledger.Frozen)
	h.setStatus(late, ledger.Frozen) // before this user has a wallet
	for _, owner := range []ledger.UserID{alice, late} {
		for _, c := range []money.Currency{"EUR", "JPY", "USD", "EUR"} {
			w, err := h.OpenWallet(t.Context(), owner, c)
			if err != nil || w.Status != ledger.Frozen {
				t.Errorf("a %s wallet of a frozen user is %s, %v", c, w.Status, err)
			}
		}
		in := ledger.TransferRequest{Owner: bob, Key: newKey(), Payee: owner, Amount: eur(1)}
		_, err := h.Transfer(t.Context(), in)
		wantCode(t, err, ledger.AccountFrozen)
		_, err = h.OpenDeposit(t.Context(), ledger.TransferRequest{Owner: owner, Key: newKey(), Amount: eur(1)})
		wantCode(t, err, ledger.AccountFrozen)
		h.setStatus(owner, ledger.Active)
		in.Key = newKey()
		if _, err := h.Transfer(t.Context(), in); err != nil {
			t.Error(err)
		}
		if w, err := h.OpenWallet(t.Context(), owner, "GBP"); err != nil || w.Status != ledger.Active {
			t.Errorf("after the user is reactivated, a new wallet is %s, %v", w.Status, err)
		}
	}
	h.books()
}

// TestFreezeRacesOpenWallet: a wallet that is opened concurrently with the freeze of its owner is
// frozen, whichever of the two commits first.
func TestFreezeRacesOpenWallet(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	other := h.another(ledger.Config{})
	currencies := []money.Currency{"EUR", "JPY", "GBP", "CHF", "SEK", "NOK"}
	for range 20 {
		owner := h.userWithoutWallet()
		var running sync.WaitGroup
		for i, c := range currencies {
			running.Go(func() {
				l := []*ledger.Ledger{h.Ledger, other}[i%2]
				if _, err := l.OpenWallet(t.Context(), owner, c); err != nil {
					t.Error(err)
				}
			})
		}
		running.Go(func() {
			if err := other.SetStatus(t.Context(), owner, ledger.Frozen); err != nil {
				t.Error(err)
			}
		})
		running.Wait()
		wallets, err := h.Wallets(t.Context(), owner)
		if err != nil || len(wallets) != len(currencies) {
			t.Fatalf("%d wallets, %v", len(wallets), err)
		}
		for _, w := range wallets {
			if w.Status != ledger.Frozen {
				t.Errorf("the %s wallet of a frozen user is %s", w.Currency, w.Status)
			}
		}
	}
}

// TestFreezeWaitsForOpenWallet is the order of the race above that could fail: the wallet is
// inserted and not committed yet when the freeze reads the wallets. The freeze has to wait.
func TestFreezeWaitsForOpenWallet(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	owner := h.user(0)
	tx, err := testkit.Connect(t, h.db.AppURL).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO accounts (public_id, owner, currency, kind, floor)
		VALUES (gen_random_uuid(), $1, 'EUR', 'wallet', 0)`, owner); err != nil {
		t.Fatal(err)
	}
	frozen := make(chan error, 1)
	go func() { frozen <- h.SetStatus(t.Context(), owner, ledger.Frozen) }()
	h.untilWaiting(testkit.Connect(t, h.db.SuperuserURL), 1)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-frozen; err != nil {
		t.Fatal(err)
	}
	wallets, err := h.Wallets(t.Context(), owner)
	if err != nil || len(wallets) != 2 {
		t.Fatalf("%d wallets, %v", len(wallets), err)
	}
	for _, w := range wallets {
		if w.Status != ledger.Frozen {
			t.Errorf("the %s wallet is %s", w.Currency, w.Status)
		}
	}
}

// TestFreezeRacesTransfers: after SetStatus has returned, no transfer of the frozen user is posted,
// however many are in progress.
func TestFreezeRacesTransfers(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	other := h.another(ledger.Config{Logger: h.watched()})
	alice, bob := h.user(1000), h.user(1000)
	h.euros(alice, 1000)
	h.euros(bob, 1000)
	var running sync.WaitGroup
	stop := make(chan struct{})
	for i := range 8 {
		running.Go(func() {
			from, to := alice, bob
			if i%2 == 1 {
				from, to = bob, alice
			}
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				amount := usd(1)
				if n%2 == 1 {
					amount = eur(1)
				}
				l := []*ledger.Ledger{h.Ledger, other}[n%2]
				_, err := l.Transfer(t.Context(), ledger.TransferRequest{Owner: from, Key: newKey(), Payee: to, Amount: amount})
				if err != nil && !errors.Is(err, ledger.AccountFrozen) {
					t.Error(err)
					return
				}
			}
		})
	}
	super := testkit.Connect(t, h.db.SuperuserURL)
	posted := func() (n int64) {
		if err := super.QueryRow(t.Context(), `SELECT sum(a.seq) FROM accounts a WHERE a.owner = $1`, alice).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 6 {
		before := posted()
		testkit.Eventually(t, "transfers are posted", func() bool { return posted() > before })
		h.setStatus(alice, ledger.Frozen)
		before = posted()
		for range 5 { // each is decided after the freeze
			_, err := other.Transfer(t.Context(), ledger.TransferRequest{Owner: bob, Key: newKey(), Payee: alice, Amount: usd(1)})
			wantCode(t, err, ledger.AccountFrozen)
		}
		if after := posted(); after != before {
			t.Errorf("%d postings after the freeze had returned", after-before)
		}
		h.setStatus(alice, ledger.Active)
	}
	close(stop)
	running.Wait()
	h.books()
}
