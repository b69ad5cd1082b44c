package ledger_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

func (h *fixture) close(owner ledger.UserID) error {
	h.t.Helper()
	return pgx.BeginFunc(h.t.Context(), h.pool, func(tx pgx.Tx) error { return h.CloseOwner(owner)(h.t.Context(), tx) })
}

// TestCloseOwner: money, a pending transfer in either direction and a freeze keep wallets from
// being closed. A closed wallet takes part in nothing, and stays closed.
func TestCloseOwner(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	refused := func(what string, owner ledger.UserID, text string) {
		t.Helper()
		err := h.close(owner)
		wantCode(t, err, ledger.AccountNotEmpty)
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", what, err, text)
		}
	}
	refused("money", alice, "the USD wallet has 1.00 USD")
	held := h.authorize(alice, bob, 40)
	refused("an authorization to the user", bob, "the authorization "+held.ID.String()+" of 0.40 USD is pending")
	_, err := h.Capture(t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: held.ID})
	testkit.Must(t, err)
	h.transfer(bob, alice, 40)
	deposit, err := h.OpenDeposit(t.Context(), ledger.TransferRequest{Owner: bob, Key: newKey(), Amount: usd(5)})
	testkit.Must(t, err)
	refused("a deposit", bob, "the deposit "+deposit.Transfer.ID.String()+" of 0.05 USD is pending")
	carol := h.user(0)
	h.setStatus(carol, ledger.Frozen)
	wantCode(t, h.close(carol), ledger.AccountFrozen)
	h.setStatus(carol, ledger.Active)
	testkit.Must(t, h.close(carol))

	_, err = h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: carol, Amount: usd(1)})
	wantCode(t, err, ledger.AccountFrozen)
	_, err = h.OpenDeposit(t.Context(), ledger.TransferRequest{Owner: carol, Key: newKey(), Amount: usd(1)})
	wantCode(t, err, ledger.AccountFrozen)
	wallet, err := h.OpenWallet(t.Context(), carol, "EUR")
	testkit.Must(t, err)
	testkit.Equal(t, "a wallet that is opened later", wallet.Status, ledger.Frozen)
	wantCode(t, h.close(carol), ledger.AccountClosed)
	wantCode(t, h.SetStatus(t.Context(), carol, ledger.Active), ledger.AccountClosed)

	late := h.userWithoutWallet()
	testkit.Must(t, h.close(late))
	wallet, err = h.OpenWallet(t.Context(), late, "USD")
	testkit.Must(t, err)
	testkit.Equal(t, "the first wallet of a closed user", wallet.Status, ledger.Frozen)
	h.books()
}

// TestDatabaseKeepsClosedOwners: the database refuses what CloseOwner never asks for.
func TestDatabaseKeepsClosedOwners(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	rich, closed := h.user(100), h.user(0)
	testkit.Must(t, h.close(closed))
	for _, c := range []struct {
		sql   string
		owner ledger.UserID
		state string
	}{
		{`UPDATE account_owners SET status = 'frozen', closed_at = now() WHERE owner = $1`, rich, "23514"},
		{`UPDATE account_owners SET closed_at = now() WHERE owner = $1`, rich, "P0001"}, // not frozen
		{`UPDATE account_owners SET status = 'active' WHERE owner = $1`, closed, "23000"},
		{`UPDATE account_owners SET closed_at = NULL WHERE owner = $1`, closed, "23000"},
	} {
		_, err := h.pool.Exec(t.Context(), c.sql, c.owner)
		if got, ok := errors.AsType[*pgconn.PgError](err); !ok || got.Code != c.state {
			t.Errorf("%s: %v, want %s", c.sql, err, c.state)
		}
	}
	err := pgx.BeginTxFunc(t.Context(), h.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		return h.CloseOwner(h.user(0))(t.Context(), tx)
	})
	wantCode(t, err, ledger.Unavailable)
}

// TestCloseRacesPayments: while an account is closed, transfers, authorizations and deposits to it
// arrive by two processes. Each is refused, or the closing is: no money and nothing pending is ever
// in a closed account.
func TestCloseRacesPayments(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	other := h.another(ledger.Config{})
	payer := h.user(100_000)
	open := func(ctx context.Context, l *ledger.Ledger, i int, in ledger.TransferRequest) (err error) {
		switch i % 3 {
		case 0:
			_, err = l.Transfer(ctx, in)
		case 1:
			_, err = l.Authorize(ctx, in)
		default:
			_, err = l.OpenDeposit(ctx, ledger.TransferRequest{Owner: in.Payee, Key: in.Key, Amount: in.Amount})
		}
		return err
	}
	counts := map[bool]int{}
	for round := range 50 {
		payee := h.user(0)
		var (
			running  sync.WaitGroup
			closing  error
			payments [4]error
		)
		for i := range payments {
			running.Go(func() {
				l := []*ledger.Ledger{h.Ledger, other}[i%2]
				payments[i] = open(t.Context(), l, round+i, ledger.TransferRequest{Owner: payer, Key: newKey(), Payee: payee, Amount: usd(1)})
			})
		}
		running.Go(func() { closing = h.close(payee) })
		running.Wait()
		if closing != nil {
			wantCode(t, closing, ledger.AccountNotEmpty)
		}
		counts[closing == nil]++
		for i, err := range payments {
			switch {
			case closing == nil:
				wantCode(t, err, ledger.AccountFrozen)
			case err != nil:
				t.Errorf("round %d, payment %d: %v, and the account was not closed", round, i, err)
			}
		}
	}
	t.Logf("closed: %d, refused: %d", counts[true], counts[false])
	var bad int
	testkit.Must(t, h.pool.QueryRow(t.Context(), `SELECT count(*) FROM accounts a JOIN account_owners o USING (owner)
		WHERE o.closed_at IS NOT NULL AND (a.balance <> 0 OR a.held <> 0
			OR EXISTS (SELECT FROM transfers t WHERE t.state = 'pending' AND (t.debit_account = a.id OR t.credit_account = a.id)))`).Scan(&bad))
	testkit.Equal(t, "closed accounts with money", bad, 0)
	h.books()
}
