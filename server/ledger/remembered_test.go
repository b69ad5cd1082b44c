package ledger_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// TestOutdatedAccounts: a ledger that remembers accounts gives the outcome that the tables demand,
// whatever has changed elsewhere.
func TestOutdatedAccounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		change   func(h *fixture, other *ledger.Ledger, alice, bob ledger.UserID, key string) error
		want     problem.Code
		replayed bool
		rejected uint64
	}{
		{"nothing", func(*fixture, *ledger.Ledger, ledger.UserID, ledger.UserID, string) error { return nil }, "", false, 0},
		{"money was spent", func(h *fixture, other *ledger.Ledger, alice, bob ledger.UserID, _ string) error {
			_, err := other.Transfer(h.t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(950)})
			return err
		}, ledger.InsufficientFunds, false, 1},
		{"money was spent, and enough is left", func(h *fixture, other *ledger.Ledger, alice, bob ledger.UserID, _ string) error {
			_, err := other.Transfer(h.t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(50)})
			return err
		}, "", false, 1},
		{"money was held", func(h *fixture, other *ledger.Ledger, alice, bob ledger.UserID, _ string) error {
			_, err := other.Authorize(h.t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(950)})
			return err
		}, ledger.InsufficientFunds, false, 1},
		{"the payer was frozen", func(h *fixture, other *ledger.Ledger, alice, _ ledger.UserID, _ string) error {
			return other.SetStatus(h.t.Context(), alice, ledger.Frozen)
		}, ledger.AccountFrozen, false, 1},
		{"the payee was frozen", func(h *fixture, other *ledger.Ledger, _, bob ledger.UserID, _ string) error {
			return other.SetStatus(h.t.Context(), bob, ledger.Frozen)
		}, ledger.AccountFrozen, false, 1},
		{"the payer was limited", func(h *fixture, other *ledger.Ledger, alice, _ ledger.UserID, _ string) error {
			_, err := other.SetWalletLimit(h.t.Context(), alice, ledger.CurrencyLimit{Currency: "USD", MaxPerTransfer: 50}, nil)
			return err
		}, ledger.LimitExceeded, false, 1},
		{"the key was used", func(h *fixture, other *ledger.Ledger, alice, bob ledger.UserID, key string) error {
			_, err := other.Transfer(h.t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: usd(100)})
			return err
		}, "", true, 1},
		{"the key was used for something else", func(h *fixture, other *ledger.Ledger, alice, bob ledger.UserID, key string) error {
			_, err := other.Transfer(h.t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: usd(1)})
			return err
		}, ledger.KeyReused, false, 1},
		{"a balance was given for a later time", func(h *fixture, other *ledger.Ledger, alice, _ ledger.UserID, _ string) error {
			// As a call of BalanceAt by another process: a posting must not get an earlier time.
			_, err := testkit.Connect(h.t, h.db.AppURL).Exec(h.t.Context(),
				`UPDATE accounts SET as_of = clock_timestamp() + interval '2 seconds' WHERE owner = $1`, alice)
			return err
		}, "", false, 1},
		{"a balance was given", func(h *fixture, _ *ledger.Ledger, alice, _ ledger.UserID, _ string) error {
			_, _, err := h.BalanceAt(h.t.Context(), alice, "USD", time.Time{})
			return err
		}, "", false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			ledger.TrustClock(h.Ledger)
			h.t = t
			other := h.another(ledger.Config{})
			alice, bob := h.user(1000), h.user(1000)
			before := h.remember(alice, bob)
			key := newKey()
			if err := tt.change(h, other, alice, bob, key); err != nil {
				t.Fatal(err)
			}
			got, err := h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: usd(100)})
			switch {
			case tt.want != "":
				wantCode(t, err, tt.want)
			case err != nil || got.Replayed != tt.replayed || got.Transfer.State != ledger.Posted:
				t.Errorf("%+v, %v", got, err)
			}
			if n := h.Remembered().Rejected - before.Rejected; n != tt.rejected {
				t.Errorf("%d batches were rejected, want %d", n, tt.rejected)
			}
			h.books()
		})
	}
}

// remember makes transfers between two users until one was decided on remembered accounts.
func (h *fixture) remember(alice, bob ledger.UserID) (stats ledger.RememberedStats) {
	h.t.Helper()
	testkit.Eventually(h.t, "the accounts are remembered", func() bool {
		before := h.Remembered().Committed
		h.transfer(alice, bob, 1)
		h.transfer(bob, alice, 1) // the balances are as before
		stats = h.Remembered()
		return stats.Committed == before+2
	})
	return stats
}

// TestNewConnectionForgets: what was remembered on one connection is not used on another, which may
// be to a server that does not have the last transactions.
func TestNewConnectionForgets(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	users := []ledger.UserID{h.user(1000), h.user(1000), h.user(1000), h.user(1000)}
	l, proxy := h.throughProxy(ledger.Config{Committers: 1})
	ledger.TrustClock(l)
	h.Ledger = l
	h.remember(users[0], users[1])
	before := h.remember(users[2], users[3])
	proxy.arm(cutBefore)
	h.transfer(users[0], users[1], 1) // is repeated on another connection
	if proxy.faultCount() == 0 {
		t.Fatal("the connection was not cut")
	}
	h.transfer(users[2], users[3], 1)
	if n := l.Remembered().Committed - before.Committed; n != 0 {
		t.Error("a batch was decided on what was remembered from another connection")
	}
	h.remember(users[2], users[3])
	h.books()
}

// TestKeyInAnotherPartition: if transfers had partitions, no unique index would refuse a key of
// another one. A batch that is decided on remembered accounts looks its keys up all the same.
func TestKeyInAnotherPartition(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledger.TrustClock(h.Ledger)
	alice, bob := h.user(1000), h.user(1000)
	posted := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(100)}
	refused := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1500)}
	first, err := h.Transfer(t.Context(), posted)
	testkit.Must(t, err)
	_, err = h.Transfer(t.Context(), refused)
	firstRefused := wantCode(t, err, ledger.InsufficientFunds)
	h.fund(alice, 1000) // now it would be posted
	h.partitionAfter(h.transfer(alice, bob, 1).ID)

	before := h.remember(alice, bob)
	again, err := h.Transfer(t.Context(), posted)
	if err != nil || !again.Replayed || again.Transfer.ID != first.Transfer.ID {
		t.Errorf("the key of a transfer: %+v, %v", again, err)
	}
	h.remember(alice, bob)
	_, err = h.Transfer(t.Context(), refused)
	if got := wantCode(t, err, ledger.InsufficientFunds); !got.Replayed || got.Transfer.ID != firstRefused.Transfer.ID {
		t.Errorf("the key of a refusal: %+v", got)
	}
	if n := h.Remembered().Rejected - before.Rejected; n != 2 {
		t.Errorf("%d batches were rejected, want 2", n)
	}
	h.wantOneOfKey(posted.Key, refused.Key)
}

// wantOneOfKey checks that each key has one transfer, and all invariants.
func (h *fixture) wantOneOfKey(keys ...string) {
	h.t.Helper()
	for _, key := range keys {
		var n int
		testkit.Must(h.t, h.pool.QueryRow(h.t.Context(), `SELECT count(*) FROM transfers WHERE idem_key = $1`, key).Scan(&n))
		if n != 1 {
			h.t.Errorf("the key %s has %d transfers", key, n)
		}
	}
	h.wantSound()
}

// TestKeyInTwoPartitionsAtOnce: a process decides a command on locked rows, and its row goes to the
// old partition. Meanwhile another process inserts the same key into the new partition, and waits
// for the account of the payer. Only one of them takes effect.
func TestKeyInTwoPartitionsAtOnce(t *testing.T) {
	t.Parallel()
	for amount, want := range map[int64]problem.Code{10: "", 5000: ledger.InsufficientFunds} {
		t.Run(string(want), func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			h.t = t
			alice, bob, carol, dave := h.user(1000), h.user(1000), h.user(0), h.user(1000)
			tomorrow := h.now().Add(24 * time.Hour)
			super := testkit.Connect(t, h.db.SuperuserURL)
			testkit.Must(t, execAll(super, strings.ReplaceAll(partition, "$cut", ledger.FirstTransferID(tomorrow).String())))
			// A transfer to bob belongs to the new partition: postings follow as_of.
			_, err := super.Exec(t.Context(), `UPDATE accounts SET as_of = $2 WHERE owner = $1`, bob, tomorrow.Add(time.Hour))
			testkit.Must(t, err)

			first, second := h.another(ledger.Config{}), h.another(ledger.Config{})
			reached, resume := make(chan struct{}, 100), make(chan struct{})
			ledger.PauseAt(first, "pause", reached, resume)
			ledger.SetUnlockedTimeout(second, time.Minute)
			ledger.TrustClock(second)
			h.Ledger = second
			h.remember(alice, dave)
			before := h.remember(bob, dave)

			key := newKey()
			outcomes := make(chan error, 1)
			go func() {
				_, err := first.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: carol, Amount: usd(amount), Memo: "pause"})
				outcomes <- err
			}()
			<-reached // it has locked alice, and not found the key
			go func() {
				_, err := second.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: usd(1)})
				outcomes <- err
			}()
			h.untilWaiting(super, 1) // it has inserted the key, and waits for alice
			close(resume)
			codes := []problem.Code{problem.CodeOf(<-outcomes), problem.CodeOf(<-outcomes)}
			slices.Sort(codes)
			if want := slices.Sorted(slices.Values([]problem.Code{want, ledger.KeyReused})); !slices.Equal(codes, want) {
				t.Errorf("got %q, want %q", codes, want)
			}
			if n := h.Remembered().Rejected - before.Rejected; n != 1 {
				t.Errorf("%d batches were rejected, want 1", n)
			}
			h.wantOneOfKey(key)
		})
	}
}

// TestKeyOnTwoProcessesAtOnce: a batch without locks inserts its key and then waits for an account
// whose owner waits for that key. Neither ends by a deadlock.
func TestKeyOnTwoProcessesAtOnce(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	super := testkit.Connect(t, h.db.SuperuserURL)
	for _, sql := range []string{ // only this session looks for deadlocks
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = %L', current_database(), '10min'); END $$`,
		`SET deadlock_timeout = '2s'`,
	} {
		if _, err := super.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	h.Ledger = h.another(ledger.Config{LockTimeout: time.Minute, BatchTimeout: time.Minute})
	ledger.TrustClock(h.Ledger)
	alice, bob := h.user(1000), h.user(1000)
	h.remember(alice, bob)
	key := newKey()
	// What another process does: it locks the accounts first, and inserts the key last.
	other, err := super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec(t.Context(), `SELECT FROM accounts WHERE owner = ANY($1) ORDER BY id FOR NO KEY UPDATE`, []ledger.UserID{alice, bob}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: usd(1)})
		done <- err
	}()
	h.untilWaiting(testkit.Connect(t, h.db.SuperuserURL), 1)
	if _, err := other.Exec(t.Context(), `INSERT INTO transfers (id, kind, state, debit_account, amount, currency, owner, idem_key, fingerprint, reason, created_at, resolved_at)
		SELECT gen_random_uuid(), 'transfer', 'refused', id, 1, 'USD', owner, $2, sha256(''), 'x', now(), now() FROM accounts WHERE owner = $1`, alice, key); err != nil {
		t.Error(err)
	}
	if err := other.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	h.books()
}
