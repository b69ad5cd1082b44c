package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// plainSQL is what the ledger is compared with: a transaction for each transfer, one
// statement at a time. It has every advantage: primary keys and the unique key, no
// triggers, checks, events, running balances or list indexes, prepared statements, and
// a connection for each caller.
type plainSQL struct {
	pool     *pgxpool.Pool
	accounts int
	total    int64 // minor units of all accounts
}

const plainSchema = `
	CREATE SCHEMA plain;
	CREATE TABLE plain.accounts (id int PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
	CREATE TABLE plain.transfers (
		id uuid PRIMARY KEY, owner int NOT NULL, idem_key text NOT NULL,
		debit_account int NOT NULL, credit_account int NOT NULL, amount bigint NOT NULL,
		created_at timestamptz NOT NULL DEFAULT now(), UNIQUE (owner, idem_key));
	CREATE TABLE plain.postings (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		transfer_id uuid NOT NULL, account_id int NOT NULL, amount bigint NOT NULL)`

// The statements of a transfer.
const (
	plainLock   = `SELECT balance FROM plain.accounts WHERE id = $1 FOR UPDATE`
	plainInsert = `INSERT INTO plain.transfers (id, owner, idem_key, debit_account, credit_account, amount) VALUES ($1, $2, $3, $4, $5, $6)`
	plainMove   = `UPDATE plain.accounts SET balance = balance + $2 WHERE id = $1`
	plainEntry  = `INSERT INTO plain.postings (transfer_id, account_id, amount) VALUES ($1, $2, $3)`
)

// openPlain creates the tables, as their owner, and funds the accounts.
func openPlain(ctx context.Context, url string, conns, accounts int) (_ *plainSQL, err error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(conns) // below max_connections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			pool.Close()
		}
	}()
	if _, err := pool.Exec(ctx, plainSchema); err != nil {
		return nil, fmt.Errorf("create the plain tables: %w", err)
	}
	const fund = `INSERT INTO plain.accounts SELECT i, $2 FROM generate_series(0, $1 - 1) i`
	if _, err := pool.Exec(ctx, fund, accounts, funds); err != nil {
		return nil, fmt.Errorf("fund the plain accounts: %w", err)
	}
	return &plainSQL{pool, accounts, int64(accounts) * funds}, nil
}

var errNoFunds = errors.New("insufficient funds")

// caller makes transfers of one minor unit.
func (p *plainSQL) caller(ctx context.Context, pair pair) caller {
	return func() (outcome, error) {
		from, to := pair(p.accounts)
		if err := p.transfer(ctx, from, to); err != nil {
			return failed, fmt.Errorf("plain transfer: %w", err)
		}
		return accepted, nil
	}
}

func (p *plainSQL) transfer(ctx context.Context, from, to int) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		balances := map[int]int64{}
		for _, account := range []int{min(from, to), max(from, to)} { // in id order, or they deadlock
			var balance int64
			if err := tx.QueryRow(ctx, plainLock, account).Scan(&balance); err != nil {
				return err
			}
			balances[account] = balance
		}
		if balances[from] < 1 {
			return errNoFunds
		}
		if _, err := tx.Exec(ctx, plainInsert, id, from, uuid.NewString(), from, to, 1); err != nil {
			return err
		}
		for account, amount := range map[int]int64{from: -1, to: 1} {
			if _, err := tx.Exec(ctx, plainMove, account, amount); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, plainEntry, id, account, amount); err != nil {
				return err
			}
		}
		return nil
	})
}

// check returns an error if the total of the balances has changed.
func (p *plainSQL) check(ctx context.Context) error {
	var sum int64
	if err := p.pool.QueryRow(ctx, `SELECT sum(balance)::bigint FROM plain.accounts`).Scan(&sum); err != nil {
		return err
	}
	if sum != p.total {
		return fmt.Errorf("the plain accounts hold %d, want %d", sum, p.total)
	}
	return nil
}
