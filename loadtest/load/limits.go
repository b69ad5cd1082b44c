package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/loadtest/plain"
	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/ledger"
)

// Names of the phases of limits.
const (
	bare         = "bare SQL"
	ledgerAlone  = "ledger alone"
	uniform      = "HTTP"
	hotReceiver  = "HTTP hot receiver"
	hotSender    = "HTTP hot sender"
	rivalsAtMost = 150 // connections; below max_connections of the rig's PostgreSQL
)

// limits measures the same callers on the plain way, on the ledger and over HTTP,
// in turns, every other round backwards.
func limits(ctx context.Context, b *bench) error {
	rival, err := plain.Open(ctx, b.rig.OwnerURL(), min(b.connections, rivalsAtMost), b.options.users, funds)
	if err != nil {
		return err
	}
	defer rival.Close()
	pool, err := pgxpool.New(ctx, b.rig.AppURL())
	if err != nil {
		return err
	}
	defer pool.Close()
	books := ledger.Open(ledger.Config{Pool: pool})
	defer func() { _ = books.Close(context.WithoutCancel(ctx)) }()

	http := func(pair func() (*rig.User, *rig.User)) func(int) caller {
		return func(int) caller { return payments(b.address(), pair) }
	}
	turns := []struct {
		name   string
		make   func(int) caller
		posted bool
	}{
		{bare, func(int) caller { return plainly(ctx, rival, len(b.users)) }, false},
		{ledgerAlone, func(int) caller { return throughLedger(ctx, books, anyPair(b.users)) }, true},
		{uniform, http(anyPair(b.users)), true},
		{hotReceiver, http(toFirst(b.users)), true},
		{hotSender, http(fromFirst(b.users)), true},
	}
	for round := range b.rounds {
		for i := range turns {
			turn := turns[i]
			if round%2 == 1 {
				turn = turns[len(turns)-1-i]
			}
			if b.only != "" && !slices.Contains(strings.Split(b.only, ","), turn.name) {
				continue
			}
			l := load{callers: b.connections, length: b.duration, make: turn.make}
			if _, err := b.measure(ctx, turn.name, l, turn.posted); err != nil {
				return err
			}
		}
	}
	b.ratio(uniform, bare, 2.5)
	b.ratio(uniform, ledgerAlone, 0.7)
	b.ratio(hotReceiver, uniform, 0.9)
	b.ratio(hotSender, uniform, 0.9)
	return rival.Check(ctx)
}

func plainly(ctx context.Context, rival *plain.Ledger, accounts int) caller {
	return func() (outcome, error) {
		from, to := rand.IntN(accounts), rand.IntN(accounts-1) //nolint:gosec // a load, not a secret
		if to >= from {
			to++
		}
		if err := rival.Transfer(ctx, from, to); err != nil {
			return failed, fmt.Errorf("plain transfer: %w", err)
		}
		return accepted, nil
	}
}

func throughLedger(ctx context.Context, books *ledger.Ledger, pair func() (from, to *rig.User)) caller {
	return func() (outcome, error) {
		from, to := pair()
		_, err := books.Transfer(ctx, ledger.Order{
			Owner: from.ID, Key: newKey(), Payee: to.ID, Amount: money.Amount{Minor: 1, Currency: "USD"},
		})
		if err != nil {
			return failed, err
		}
		return accepted, nil
	}
}
