package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/ledger"
)

// books is one database with funded wallets, which this process uses by package ledger.
type books struct {
	name   string
	url    string
	owners []ledger.UserID
}

const fundersAtOnce = 256

// openBooks funds new wallets in a database of the rig, which it creates if necessary.
func (b *bench) openBooks(ctx context.Context, name string) (*books, error) {
	if err := b.rig.CreateDatabase(ctx, name); err != nil {
		return nil, err
	}
	k := &books{name: name, url: b.rig.DatabaseURL(name, embedded.AppRole), owners: make([]ledger.UserID, b.options.users)}
	for i := range k.owners {
		k.owners[i] = ledger.UserID(uuid.Must(uuid.NewV7()))
	}
	return k, k.with(ctx, ledger.Config{}, func(l *ledger.Ledger) error {
		return rig.Parallel(ctx, fundersAtOnce, len(k.owners), func(ctx context.Context, i int) error {
			return fund(ctx, l, k.owners[i])
		})
	})
}

func fund(ctx context.Context, l *ledger.Ledger, owner ledger.UserID) error {
	if _, err := l.OpenWallet(ctx, owner, "USD"); err != nil {
		return err
	}
	deposit, err := l.OpenDeposit(ctx, ledger.TransferRequest{Owner: owner, Key: "fund", Amount: money.Amount{Minor: funds, Currency: "USD"}})
	if err != nil {
		return fmt.Errorf("fund a wallet: %w", err)
	}
	_, err = l.Settle(ctx, ledger.Settlement{Transfer: deposit.Transfer.ID, Executed: true})
	return err
}

// with opens a ledger with connections of its own, as a new kizod does. When they are
// closed, PostgreSQL has counted everything that they did.
func (k *books) with(ctx context.Context, config ledger.Config, use func(*ledger.Ledger) error) error {
	return k.connected(ctx, func(pool *pgxpool.Pool) error {
		config.Pool, config.BatchTimeout = pool, time.Minute
		l := ledger.Open(config)
		return errors.Join(use(l), l.Close(context.WithoutCancel(ctx)))
	})
}

func (k *books) connected(ctx context.Context, use func(*pgxpool.Pool) error) error {
	pool, err := pgxpool.New(ctx, k.url)
	if err != nil {
		return err
	}
	defer pool.Close()
	return use(pool)
}

// caller makes transfers of one minor unit.
func (k *books) caller(ctx context.Context, l *ledger.Ledger, pair pair) caller {
	return func() (outcome, error) {
		from, to := pair(len(k.owners))
		_, err := l.Transfer(ctx, ledger.TransferRequest{
			Owner: k.owners[from], Key: newKey(), Payee: k.owners[to], Amount: money.Amount{Minor: 1, Currency: "USD"},
		})
		if err != nil {
			return failed, err
		}
		return accepted, nil
	}
}
