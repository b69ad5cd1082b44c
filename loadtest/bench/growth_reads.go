package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/ledger"
)

// read is one query of the ledger, and its latencies.
type read struct {
	name string
	do   func(ctx context.Context, l *ledger.Ledger) error
	took []time.Duration // sorted
}

// measureReads times the reads, one after the other. Nothing is written meanwhile.
func (g *grower) measureReads(ctx context.Context, s *stage) error {
	reads, err := g.lookups(ctx)
	if err != nil {
		return err
	}
	if err := g.firstSummary(ctx, s); err != nil {
		return err
	}
	return g.books.with(ctx, ledger.Config{}, func(l *ledger.Ledger) error {
		for _, r := range reads {
			for range g.reads {
				began := time.Now()
				if err := r.do(ctx, l); err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
				r.took = append(r.took, time.Since(began))
			}
			g.addRead(s, r)
		}
		return nil
	})
}

func (g *grower) addRead(s *stage, r read) {
	slices.Sort(r.took)
	s.reads = append(s.reads, r)
	l := latencyOf(r.took)
	g.logf("%-44s p50 %7.2f ms, p99 %7.2f ms", r.name, l.P50, l.P99)
}

// firstSummary times the first summary of a process; each needs a new ledger.
func (g *grower) firstSummary(ctx context.Context, s *stage) error {
	r := read{name: "summary, busy, first of a process"}
	for range 3 {
		err := g.books.with(ctx, ledger.Config{}, func(l *ledger.Ledger) error {
			if _, err := l.Wallets(ctx, g.books.owners[quietWallet]); err != nil { // opens a connection
				return err
			}
			began := time.Now()
			_, err := l.Summary(ctx, g.books.owners[busyWallet])
			r.took = append(r.took, time.Since(began))
			return err
		})
		if err != nil {
			return err
		}
	}
	g.addRead(s, r)
	return nil
}

// lookups returns the reads, from places in the current history.
func (g *grower) lookups(ctx context.Context) (reads []read, err error) {
	busy, quiet := g.books.owners[busyWallet], g.books.owners[quietWallet]
	var (
		deep   ledger.Page
		old    time.Time
		newest uuid.UUID
	)
	err = g.books.with(ctx, ledger.Config{}, func(l *ledger.Ledger) error {
		page, err := l.List(ctx, busy, ledger.Query{Limit: 1})
		if err != nil {
			return err
		}
		newest = page.Transfers[0].ID
		old = g.started.Add(page.Transfers[0].CreatedAt.Sub(g.started) / 10)
		deep, err = l.List(ctx, busy, ledger.Query{Until: old})
		return err
	})
	if err != nil {
		return nil, err
	}
	list := func(name string, user uuid.UUID, q ledger.Query) {
		reads = append(reads, read{name: name, do: func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.List(ctx, user, q)
			return err
		}})
	}
	list("history, busy, first page of 20", busy, ledger.Query{})
	list("history, busy, page of 20 deep in it", busy, ledger.Query{Cursor: deep.Next})
	list("history, busy, first page of 100", busy, ledger.Query{Limit: 100})
	list("history, quiet, first page of 20", quiet, ledger.Query{})
	list("history, busy, filtered, plenty found", busy, ledger.Query{Direction: "in", State: ledger.Posted, MaxAmount: 10})
	list("history, busy, one counterparty", busy, ledger.Query{With: g.books.owners[len(g.books.owners)/2]})
	list("history, busy, filtered, nothing found", busy, ledger.Query{Memo: "no such memo"})
	list("history, quiet, filtered, nothing found", quiet, ledger.Query{Memo: "no such memo"})
	asOf := func(name string, user uuid.UUID, at time.Time) {
		reads = append(reads, read{name: name, do: func(ctx context.Context, l *ledger.Ledger) error {
			_, _, err := l.BalanceAt(ctx, user, "USD", at)
			return err
		}})
	}
	asOf("balance as of now, busy", busy, time.Time{})
	asOf("balance as of now, quiet", quiet, time.Time{})
	asOf("balance as of a tenth of the history, busy", busy, old)
	asOf("balance before the first transfer, busy", busy, g.started.Add(-time.Hour))
	reads = append(reads,
		read{name: "summary, busy, again", do: func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Summary(ctx, busy)
			return err
		}},
		read{name: "summary, quiet", do: func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Summary(ctx, quiet)
			return err
		}},
		read{name: "one transfer and its postings", do: func(ctx context.Context, l *ledger.Ledger) error {
			t, err := l.Find(ctx, busy, newest)
			if err == nil {
				_, err = l.Postings(ctx, t)
			}
			return err
		}},
	)
	return append(reads, g.catchUps(old)...), nil
}

// catchUps are what a client of the events reads that was disconnected since old.
func (g *grower) catchUps(old time.Time) (reads []read) {
	for _, owner := range []struct {
		name string
		user uuid.UUID
	}{{"busy", g.books.owners[busyWallet]}, {"quiet", g.books.owners[quietWallet]}} {
		reads = append(reads, read{name: "100 events since then, " + owner.name, do: func(ctx context.Context, l *ledger.Ledger) error {
			at, err := l.PositionAt(ctx, old)
			if err != nil {
				return err
			}
			end, err := l.Horizon(ctx)
			if err == nil {
				_, _, _, err = l.EventsOf(ctx, owner.user, at, end, 100)
			}
			return err
		}})
	}
	return reads
}
