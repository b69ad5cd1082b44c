package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/problem"
)

// maxNamedTransfers is how many pending transfers a refused closing names.
const maxNamedTransfers = 3

const (
	openOwner   = `INSERT INTO account_owners (owner) VALUES ($1) ON CONFLICT (owner) DO NOTHING`
	lockOwner   = `SELECT closed_at IS NOT NULL, status FROM account_owners WHERE owner = $1 FOR NO KEY UPDATE`
	lockWallets = `SELECT id, currency, balance FROM accounts WHERE owner = $1 ORDER BY id FOR NO KEY UPDATE`
	pendingOf   = `SELECT kind, id::text, amount, currency FROM transfers
		WHERE state = 'pending' AND (debit_account = ANY($1) OR credit_account = ANY($1)) ORDER BY id LIMIT $2`
	closeOwner = `UPDATE account_owners SET status = 'frozen', closed_at = clock_timestamp() WHERE owner = $1`
)

// CloseOwner returns a function that closes all wallets of a user in a transaction, forever: no
// transfer, deposit or reversal can use them. The books stay. The function fails with
// AccountNotEmpty if a wallet has money or a transfer from or to one is pending, and says what is
// left; with AccountFrozen or AccountClosed.
//
// It keeps the row of the owner and the wallets locked until the transaction ends: the owner first,
// as SetStatus does, then the wallets by id, as batches do. A batch that posts to one of them has
// committed before, or finds it frozen. The transaction is READ COMMITTED. The database checks the
// same again (migrations/0031_closed_accounts.sql).
func (l *Ledger) CloseOwner(owner UserID) func(ctx context.Context, tx pgx.Tx) error {
	return func(ctx context.Context, tx pgx.Tx) error {
		err := closeWallets(ctx, tx, owner)
		if _, known := errors.AsType[*problem.Error](err); err != nil && !known {
			return unavailable("close the wallets", err)
		}
		return err
	}
}

func closeWallets(ctx context.Context, tx pgx.Tx, owner UserID) error {
	var (
		closed bool
		status Status
	)
	if _, err := tx.Exec(ctx, openOwner, owner); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, lockOwner, owner).Scan(&closed, &status); err != nil {
		return err
	}
	switch {
	case closed:
		return accountClosed()
	case status == Frozen:
		return problem.New(AccountFrozen, "the account is frozen: ask an operator to unfreeze it, then close it")
	}
	left, err := whatIsLeft(ctx, tx, owner)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return problem.Errorf(AccountNotEmpty, "nothing was closed: %s", strings.Join(left, "; "))
	}
	_, err = tx.Exec(ctx, closeOwner, owner)
	return err
}

// whatIsLeft locks the wallets of a user, and returns what keeps them from being closed, as text
// for the user.
func whatIsLeft(ctx context.Context, tx pgx.Tx, owner UserID) (left []string, err error) {
	rows, err := tx.Query(ctx, lockWallets, owner)
	if err != nil {
		return nil, err
	}
	var (
		ids      []int64
		id       int64
		kind     Kind
		name     string
		amount   int64
		currency money.Currency
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &currency, &amount}, func() error {
		if ids = append(ids, id); amount != 0 {
			left = append(left, fmt.Sprintf("the %s wallet has %s", currency, money.Format(amount, currency)))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if rows, err = tx.Query(ctx, pendingOf, ids, maxNamedTransfers+1); err != nil {
		return nil, err
	}
	pending := 0
	_, err = pgx.ForEachRow(rows, []any{&kind, &name, &amount, &currency}, func() error {
		if pending++; pending > maxNamedTransfers {
			left = append(left, "more transfers are pending")
		} else {
			left = append(left, fmt.Sprintf("the %s %s of %s is pending", kind, name, money.Format(amount, currency)))
		}
		return nil
	})
	return left, err
}

func accountClosed() *problem.Error { return problem.New(AccountClosed, "the account is closed") }
