package main

import (
	"context"
	"errors"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/ledger"
)

// Names of the phases of capacity.
const (
	plainAlone  = "plain SQL"
	ledgerAlone = "ledger alone"
	httpPairs   = "HTTP"
	hotReceiver = "HTTP hot receiver"
	hotSender   = "HTTP hot sender"
)

// capacity measures the same callers on plain SQL, on the ledger and over HTTP.
func capacity(ctx context.Context, b *bench) error {
	plain, err := openPlain(ctx, b.rig.OwnerURL(), b.plainConns, b.options.users)
	if err != nil {
		return err
	}
	defer plain.pool.Close()
	k := &books{name: rig.Database, url: b.rig.AppURL(), owners: make([]ledger.UserID, len(b.users))}
	for i, u := range b.users {
		k.owners[i] = u.ID
	}
	err = k.with(ctx, ledger.Config{OnBatch: b.onBatch}, func(l *ledger.Ledger) error {
		return b.takeTurns(ctx, b.chosen(append([]turn{
			{plainAlone, "plain SQL", "", func(int) caller { return plain.caller(ctx, anyPair) }},
			{ledgerAlone, "transfer", "", func(int) caller { return k.caller(ctx, l, anyPair) }},
		}, b.httpTurns()...)), b.measure)
	})
	b.ratio(httpPairs, plainAlone, 2.5)
	b.ratio(httpPairs, ledgerAlone, 0.7)
	b.httpRatios()
	return errors.Join(err, plain.check(ctx))
}

// httpOnly measures the phases of capacity over HTTP.
func httpOnly(ctx context.Context, b *bench) error {
	err := b.takeTurns(ctx, b.chosen(b.httpTurns()), b.measure)
	b.httpRatios()
	return err
}

func (b *bench) httpTurns() []turn {
	http := func(p pair) func(int) caller {
		return func(int) caller { return payments(b.address(), b.users, p) }
	}
	return []turn{
		{httpPairs, "transfer", "", http(anyPair)}, {hotReceiver, "transfer", "", http(toFirst)}, {hotSender, "transfer", "", http(fromFirst)},
	}
}

func (b *bench) httpRatios() {
	b.ratio(hotReceiver, httpPairs, 0.9)
	b.ratio(hotSender, httpPairs, 0.9)
}
