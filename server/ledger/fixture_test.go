package ledger_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

// another returns a second ledger on the same database, as in a second kizod process.
func (h *fixture) another(config ledger.Config) *ledger.Ledger {
	h.t.Helper()
	if config.Pool == nil {
		pool, err := pgxpool.New(h.t.Context(), h.db.AppURL)
		if err != nil {
			h.t.Fatal(err)
		}
		config.Pool = pool
		h.t.Cleanup(pool.Close)
	}
	config.LockTimeout = cmp.Or(config.LockTimeout, 5*time.Second) // a busy machine must not split a batch
	l := ledger.Open(config)
	h.t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			h.t.Error(err)
		}
	})
	return l
}

// watched returns a logger that fails the test if a deadlock is logged.
func (h *fixture) watched() *slog.Logger {
	watch := &deadlockWatch{Handler: slog.DiscardHandler}
	h.t.Cleanup(func() {
		if n := watch.seen.Load(); n > 0 {
			h.t.Errorf("%d deadlocks", n)
		}
	})
	return slog.New(watch)
}

// untilWaiting returns when n backends of the database wait for a lock.
func (h *fixture) untilWaiting(super *pgx.Conn, n int) {
	h.t.Helper()
	testkit.Eventually(h.t, "backends wait for a lock", func() bool {
		var waiting int
		if err := super.QueryRow(h.t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting); err != nil {
			h.t.Fatal(err)
		}
		return waiting >= n
	})
}

// blockWrites keeps all sessions from writing transfers until unblock is called. They can still
// read transfers, and decide commands.
func (h *fixture) blockWrites() (unblock func()) {
	h.t.Helper()
	conn := testkit.Connect(h.t, h.db.AdminURL)
	tx, err := conn.Begin(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := tx.Exec(h.t.Context(), `LOCK TABLE transfers IN SHARE MODE`); err != nil {
		h.t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(h.t.Context()); err != nil {
			h.t.Error(err)
		}
	}
}

// asOneBatch runs commands so that the ledger, which must have one committer, commits them as one
// batch in this order: another batch waits for a lock while the commands are queued.
func (h *fixture) asOneBatch(l *ledger.Ledger, commands ...func()) {
	h.t.Helper()
	busy, other := h.user(1), h.user(0)
	super := testkit.Connect(h.t, h.db.SuperuserURL)
	tx, err := testkit.Connect(h.t, h.db.AppURL).Begin(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := tx.Exec(h.t.Context(), `SELECT FROM accounts WHERE owner = $1 FOR NO KEY UPDATE`, busy); err != nil {
		h.t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		_, _ = l.Transfer(h.t.Context(), ledger.TransferRequest{Owner: busy, Key: newKey(), Payee: other, Amount: usd(1)})
	})
	h.untilWaiting(super, 1)
	for i, command := range commands {
		running.Go(command)
		testkit.Eventually(h.t, "the command is queued", func() bool { return l.QueueLength() == i+1 })
	}
	if err := tx.Rollback(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	running.Wait()
}

// euros opens a wallet in EUR and funds it.
func (h *fixture) euros(owner ledger.UserID, funds int64) {
	h.t.Helper()
	if _, err := h.OpenWallet(h.t.Context(), owner, "EUR"); err != nil {
		h.t.Fatal(err)
	}
	if funds == 0 {
		return
	}
	r, err := h.OpenDeposit(h.t.Context(), ledger.TransferRequest{Owner: owner, Key: newKey(), Amount: eur(funds)})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.Settle(h.t.Context(), ledger.Settlement{Transfer: r.Transfer.ID, Executed: true}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *fixture) authorize(payer, payee ledger.UserID, minor int64) ledger.Transfer {
	h.t.Helper()
	r, err := h.Authorize(h.t.Context(), ledger.TransferRequest{Owner: payer, Key: newKey(), Payee: payee, Amount: usd(minor), ExpiresAt: time.Now().Add(time.Hour)})
	if err != nil {
		h.t.Fatal(err)
	}
	return r.Transfer
}

func (h *fixture) transfer(payer, payee ledger.UserID, minor int64) ledger.Transfer {
	h.t.Helper()
	r, err := h.Transfer(h.t.Context(), ledger.TransferRequest{Owner: payer, Key: newKey(), Payee: payee, Amount: usd(minor)})
	if err != nil {
		h.t.Fatal(err)
	}
	return r.Transfer
}

func (h *fixture) withdraw(owner ledger.UserID, minor int64) ledger.Transfer {
	h.t.Helper()
	r, err := h.OpenWithdrawal(h.t.Context(), ledger.TransferRequest{Owner: owner, Key: newKey(), Amount: usd(minor)})
	if err != nil {
		h.t.Fatal(err)
	}
	return r.Transfer
}

// lapse moves the expiry of an authorization into the past, as the owner of the table.
func (h *fixture) lapse(id uuid.UUID) {
	h.t.Helper()
	conn := testkit.Connect(h.t, h.db.AdminURL)
	if _, err := conn.Exec(h.t.Context(), `UPDATE transfers SET expires_at = now() - interval '1 second' WHERE id = $1`, id); err != nil {
		h.t.Fatal(err)
	}
}

// oneOfEverything makes transfers of several kinds, and returns a replacer of names such as $alice
// and $posted by the ids of accounts and transfers.
func (h *fixture) oneOfEverything() *strings.Replacer {
	h.t.Helper()
	alice, bob, other := h.user(1000), h.user(500), h.user(300)
	h.euros(alice, 50)
	posted := h.transfer(alice, bob, 10)
	pending := h.authorize(alice, bob, 10)
	h.withdraw(alice, 10)
	reversed := h.transfer(alice, bob, 20)
	if _, err := h.Reverse(h.t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: reversed.ID, Amount: 5}); err != nil {
		h.t.Fatal(err)
	}
	captured := h.authorize(alice, bob, 7)
	if _, err := h.Capture(h.t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: captured.ID}); err != nil {
		h.t.Fatal(err)
	}
	_, err := h.Transfer(h.t.Context(), ledger.TransferRequest{Owner: bob, Key: newKey(), Payee: alice, Amount: usd(100_000)})
	refused := *wantCode(h.t, err, ledger.InsufficientFunds).Transfer
	h.limitWallet(alice, ledger.CurrencyLimit{Currency: "EUR", MaxPerTransfer: 20, MaxPerDay: 30})
	limited, err := h.OpenWithdrawal(h.t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Amount: eur(10)})
	testkit.Must(h.t, err)
	account := func(owner ledger.UserID, currency string) string {
		var id int64
		conn := testkit.Connect(h.t, h.db.AppURL)
		if err := conn.QueryRow(h.t.Context(), `SELECT id FROM accounts WHERE owner = $1 AND currency = $2`, owner, currency).Scan(&id); err != nil {
			h.t.Fatal(err)
		}
		return fmt.Sprint(id)
	}
	return strings.NewReplacer(
		"$alice", account(alice, "USD"), "$bob", account(bob, "USD"), "$other", account(other, "USD"), "$euro", account(alice, "EUR"),
		"$posted", posted.ID.String(), "$captured", captured.ID.String(), "$pending", pending.ID.String(), "$refused", refused.ID.String(), "$reversed", reversed.ID.String(), "$limited", limited.Transfer.ID.String())
}

// userWithoutWallet returns the id of a user who has no wallet.
func (h *fixture) userWithoutWallet() ledger.UserID { return ledger.UserID(uuid.Must(uuid.NewV7())) }
