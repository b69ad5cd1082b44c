package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/ledger"
)

// timed is one read, done many times one after the other.
type timed struct {
	name      string
	latencies []time.Duration // sorted
}

type read struct {
	name string
	do   func(ctx context.Context, l *ledger.Ledger) error
}

// look times the reads. Nothing is written meanwhile.
func (b *bench) look(ctx context.Context, s *stage) error {
	reads, err := b.lookups(ctx)
	if err != nil {
		return err
	}
	if err := b.firstSummary(ctx, s); err != nil {
		return err
	}
	return b.books.with(ctx, func(l *ledger.Ledger) error {
		for _, r := range reads {
			t := timed{name: r.name}
			for range b.reads {
				began := time.Now()
				if err := r.do(ctx, l); err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
				t.latencies = append(t.latencies, time.Since(began))
			}
			slices.Sort(t.latencies)
			s.reads = append(s.reads, t)
			b.say("%-44s p50 %7.2f ms, p99 %7.2f ms", t.name, milliseconds(quantile(t.latencies, 0.5)), milliseconds(quantile(t.latencies, 0.99)))
		}
		return nil
	})
}

// firstSummary is one that has nothing to go on from; each needs a new ledger.
func (b *bench) firstSummary(ctx context.Context, s *stage) error {
	t := timed{name: "summary, busy, first of a process"}
	for range 3 {
		err := b.books.with(ctx, func(l *ledger.Ledger) error {
			if _, err := l.Wallets(ctx, b.books.owners[quiet]); err != nil { // a connection is there
				return err
			}
			began := time.Now()
			_, err := l.Summary(ctx, b.books.owners[busy])
			t.latencies = append(t.latencies, time.Since(began))
			return err
		})
		if err != nil {
			return err
		}
	}
	slices.Sort(t.latencies)
	s.reads = append(s.reads, t)
	b.say("%-44s p50 %7.2f ms", t.name, milliseconds(quantile(t.latencies, 0.5)))
	return nil
}

// lookups are the reads, from places in the history of the moment.
func (b *bench) lookups(ctx context.Context) (reads []read, err error) {
	her, rare := b.books.owners[busy], b.books.owners[quiet]
	var (
		deep   ledger.Page
		old    time.Time
		newest uuid.UUID
	)
	err = b.books.with(ctx, func(l *ledger.Ledger) error {
		page, err := l.List(ctx, her, ledger.Query{Limit: 1})
		if err != nil {
			return err
		}
		newest = page.Transfers[0].ID
		oldest := b.started
		old = oldest.Add(page.Transfers[0].CreatedAt.Sub(oldest) / 10)
		deep, err = l.List(ctx, her, ledger.Query{Until: old})
		return err
	})
	if err != nil {
		return nil, err
	}
	list := func(name string, user uuid.UUID, q ledger.Query) {
		reads = append(reads, read{name, func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.List(ctx, user, q)
			return err
		}})
	}
	list("history, busy, first page of 20", her, ledger.Query{})
	list("history, busy, page of 20 deep in it", her, ledger.Query{Cursor: deep.Next})
	list("history, busy, first page of 100", her, ledger.Query{Limit: 100})
	list("history, quiet, first page of 20", rare, ledger.Query{})
	list("history, busy, filtered, plenty found", her, ledger.Query{Direction: "in", State: ledger.Posted, MaxAmount: 10})
	list("history, busy, one person", her, ledger.Query{With: b.books.owners[len(b.books.owners)/2]})
	list("history, busy, filtered, nothing found", her, ledger.Query{Memo: "no such memo"})
	list("history, quiet, filtered, nothing found", rare, ledger.Query{Memo: "no such memo"})
	asOf := func(name string, user uuid.UUID, at time.Time) {
		reads = append(reads, read{name, func(ctx context.Context, l *ledger.Ledger) error {
			_, _, err := l.BalanceAt(ctx, user, "USD", at)
			return err
		}})
	}
	asOf("balance as of now, busy", her, time.Time{})
	asOf("balance as of now, quiet", rare, time.Time{})
	asOf("balance as of a tenth of the history, busy", her, old)
	asOf("balance before all, busy", her, b.started.Add(-time.Hour))
	reads = append(reads,
		read{"summary, busy, again", func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Summary(ctx, her)
			return err
		}},
		read{"summary, quiet", func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Summary(ctx, rare)
			return err
		}},
		read{"one transfer and its postings", func(ctx context.Context, l *ledger.Ledger) error {
			t, err := l.Find(ctx, her, newest)
			if err == nil {
				_, err = l.Postings(ctx, t)
			}
			return err
		}},
	)
	return append(reads, b.catchUps(old)...), nil
}

// catchUps are what a listener asks for who was away since old.
func (b *bench) catchUps(old time.Time) (reads []read) {
	for _, who := range []struct {
		name string
		user uuid.UUID
	}{{"busy", b.books.owners[busy]}, {"quiet", b.books.owners[quiet]}} {
		reads = append(reads, read{"100 events since then, " + who.name, func(ctx context.Context, l *ledger.Ledger) error {
			at, err := l.PositionAt(ctx, old)
			if err != nil {
				return err
			}
			end, err := l.Horizon(ctx)
			if err == nil {
				_, _, _, err = l.EventsOf(ctx, who.user, at, end, 100)
			}
			return err
		}})
	}
	return reads
}
