package main

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/ledger"
)

// Names of the phases of ledger.
const (
	plainPairs  = "plain"
	ledgerPairs = "ledger"
	plainHot    = "plain-hot"
	ledgerHot   = "ledger-hot"
)

// turn is a phase that takes turns with others.
type turn struct {
	name, step, title string
	make              func(int) caller
}

// groupCommit measures what group commit is worth: package ledger beside plain SQL.
func groupCommit(ctx context.Context, b *bench) error {
	if err := rig.Execute(ctx, b.rig.OwnerURL(), b.statements...); err != nil { // -sql
		return err
	}
	for _, statement := range b.statements {
		b.report.Notes = append(b.report.Notes, "Executed first: `"+statement+"`")
	}
	plain, err := openPlain(ctx, b.rig.OwnerURL(), min(b.connections, 150), b.options.users)
	if err != nil {
		return err
	}
	defer plain.pool.Close()
	err = b.books.with(ctx, ledger.Config{Committers: b.committers, OnBatch: b.onBatch}, func(l *ledger.Ledger) error {
		sql := func(p pair) func(int) caller { return func(int) caller { return plain.caller(ctx, p) } }
		grouped := func(p pair) func(int) caller { return func(int) caller { return b.books.caller(ctx, l, p) } }
		turns := b.chosen([]turn{
			{plainPairs, "plain SQL", "one transaction per transfer", sql(anyPair)},
			{ledgerPairs, "transfer", "the ledger, group commit", grouped(anyPair)},
			{plainHot, "plain SQL", "one transaction per transfer, one hot receiver", sql(toFirst)},
			{ledgerHot, "transfer", "the ledger, one hot receiver", grouped(toFirst)},
		})
		for _, t := range turns { // warm up
			b.expect(t.step, load{callers: b.connections, length: b.duration / 4, make: t.make}.drive(ctx))
		}
		if err := b.takeTurns(ctx, turns, b.measureCold); err != nil {
			return err
		}
		b.reportGroupCommit(turns)
		return nil
	})
	return errors.Join(err, plain.check(ctx))
}

// chosen are the turns that -only selects.
func (b *bench) chosen(turns []turn) []turn {
	return slices.DeleteFunc(turns, func(t turn) bool { return b.only != nil && !slices.Contains(b.only, t.name) })
}

// takeTurns measures the turns in each round, every other round backwards, so that a
// machine that becomes slower is slower for all of them.
func (b *bench) takeTurns(ctx context.Context, turns []turn, measure func(context.Context, string, string, load) (*Phase, error)) error {
	for round := range b.rounds {
		order := slices.Clone(turns)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, t := range order {
			if _, err := measure(ctx, t.name, t.step, load{callers: b.connections, length: b.duration, make: t.make}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) reportGroupCommit(turns []turn) {
	b.ratio(ledgerPairs, plainPairs, 3)
	b.ratio(ledgerHot, plainHot, 20)
	b.ratio(ledgerHot, ledgerPairs, 0.9)
	totals := Table{Header: []string{"All rounds", "transfers/s", "p50 ms", "p99 ms", "worst round", "best round", "transfers per CPU second", ""}}
	spent := Table{Header: []string{
		"Per transfer", "PostgreSQL µs", "this process µs", "WAL bytes", "batches/s", "commands per batch", "ms per batch", "bound by", "idle", "waiting for the disk",
	}}
	for _, t := range turns {
		p, worst, best := b.report.total(t.name)
		totals.add(t.name, p.PerSecond(), "%.0f", p.Latency.P50, "%.1f", p.Latency.P99, "%.1f", worst, "%.0f", best, "%.0f", p.perCPU(), "%.0f", t.title, "%s")
		batches := float64(max(p.Batches, 1))
		idle, flushing := 100-p.busy(), 100*b.report.Environment.Fsync.Seconds()*batches/p.Seconds
		row := []any{p.each(p.Spent.Postgres), "%.0f", p.each(p.Spent.Generator), "%.0f", float64(p.Spent.WAL) / float64(max(p.Accepted, 1)), "%.0f"}
		if p.Batches > 0 {
			row = append(row, batches/p.Seconds, "%.0f", float64(p.Commands)/batches, "%.0f", milliseconds(p.Committing)/batches, "%.1f",
				boundBy(p, idle, flushing), "%s", idle, "%.0f %%", min(flushing, 100), "%.0f %%")
		}
		spent.add(t.name, row...)
	}
	b.report.Tables = append(b.report.Tables, totals, spent)
}

// perCPU is how many requests one second of one CPU pays for, in PostgreSQL, kizod and this
// process together.
func (p Phase) perCPU() float64 {
	return float64(p.Accepted) / max((p.Spent.Postgres+p.Spent.Kizod+p.Spent.Generator).Seconds(), 1e-9)
}

// boundBy names what keeps a phase from being faster. Idle and flushing are in percent.
func boundBy(p Phase, idle, flushing float64) string {
	switch {
	case idle < 20:
		return "the CPUs"
	case flushing > 50:
		return "the disk"
	case p.Spent.Postgres.Seconds() > 0.8*p.Seconds:
		return "one PostgreSQL backend at a time (batches wait for each other's locks)"
	default:
		return "turns: callers, this process and PostgreSQL wait for each other"
	}
}

// busy is the share of the CPUs that all processes used, in percent.
func (p Phase) busy() float64 {
	return 100 * p.Spent.Machine.Seconds() / max(p.Spent.Elapsed.Seconds()*float64(runtime.NumCPU()), 1e-9)
}

// each is what one accepted request used of a time, in µs.
func (p Phase) each(d time.Duration) float64 {
	return float64(d.Microseconds()) / max(float64(p.Accepted), 1)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
