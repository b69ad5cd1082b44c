package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/ledger"
)

// The busy wallet has a tenth of all postings, the quiet one a handful. A wallet's
// history is one month's, which is the worst case of the month's totals.
const (
	busyWallet     = 0
	quietWallet    = 1
	quietTransfers = 5

	reads     = 200 // how often each read is timed
	slowReads = 5   // the same for those that take seconds

	trickle       = 200 // transfers per second beside an audit
	trickleAtOnce = 64
)

// busyPair draws a sender and a receiver, of which the busy wallet is one in a fifth of
// all cases.
func busyPair(n int) (from, to int) {
	from, to = anyPair(n - 2)
	from, to = from+2, to+2
	switch rand.IntN(10) { //nolint:gosec // a load, not a secret
	case 0:
		from = busyWallet
	case 1:
		to = busyWallet
	}
	return from, to
}

// grower is a run of growth.
type grower struct {
	*bench
	started   time.Time
	emptyRate float64 // transfers per second while the database was empty
	audited   int64   // postings during the last audit
	figures   Table   // with a column for each size
	disk      Table   // likewise
}

// growth lets the database grow by the loader, and stops at each size to measure transfers/s,
// lists, balances as of a time, the summary, the events, the audit, and the size of tables
// and indexes; -only selects some of these. Transfers take turns with a new database in the same
// PostgreSQL, so that a machine that becomes slower is slower for both. Reads are timed
// in this process.
func growth(ctx context.Context, b *bench) error {
	g := &grower{
		bench: b, started: time.Now(),
		figures: Table{Header: []string{"postings"}}, disk: Table{Header: []string{"on disk, MB (bytes per posting)"}},
	}
	quietPair := func(int) (from, to int) { return busyWallet, quietWallet }
	if err := g.transfers(ctx, quietTransfers, quietPair); err != nil {
		return err
	}
	measures := []struct {
		name    string
		measure func(context.Context) error
	}{
		{"transfers", g.measureTransfers}, {"reads", g.measureReads}, {"audit", g.measureAudit},
		{"audit-beside", g.measureAuditBeside}, {"sizes", g.weigh},
	}
	if err := g.setWAL(ctx, walSettings[0].size, walSettings[0].timeout); err != nil {
		return err
	}
	b.report.Notes = append(b.report.Notes, "Transfers are measured with max_wal_size 8GB and checkpoint_timeout 15min, and then with the defaults of PostgreSQL.")
	for _, size := range append([]int64{0}, slices.Sorted(slices.Values(b.sizes))...) {
		began := time.Now()
		n := max((size-g.postings()+1)/2, 0)
		if err := g.load(ctx, n); err != nil {
			return fmt.Errorf("grow to %d postings: %w", size, err)
		}
		b.logf("%d postings: %d transfers in %.0f s, %.0f/s", g.postings(), n, time.Since(began).Seconds(), float64(n)/time.Since(began).Seconds())
		g.figures.Header = append(g.figures.Header, fmt.Sprint(g.postings()))
		for _, m := range measures {
			if b.only != nil && !slices.Contains(b.only, m.name) {
				continue
			}
			if err := m.measure(ctx); err != nil {
				return fmt.Errorf("measure %s at %d postings: %w", m.name, size, err)
			}
		}
		b.logf("measured at %d postings", g.postings())
	}
	b.report.Tables = append(b.report.Tables, g.figures, g.disk)
	return nil
}

// postings are two for each transfer and for each deposit that funded a wallet.
func (g *grower) postings() int64 {
	return 2 * (g.expected["transfer"].Accepted.Count + int64(len(g.books.owners)))
}

// transfers makes n transfers by the ledger, one after the other.
func (g *grower) transfers(ctx context.Context, n int64, p pair) error {
	err := g.books.with(ctx, ledger.Config{}, func(l *ledger.Ledger) error {
		send := g.books.caller(ctx, l, p)
		for range n {
			if _, err := send(); err != nil {
				return err
			}
		}
		return nil
	})
	g.expectMoney("transfer", rig.Sum{Count: n, Minor: n}, 0)
	return err
}

// walSettings are those with which transfers are measured. The loader runs with the first.
var walSettings = []struct{ label, size, timeout string }{
	{"", "8GB", "15min"},
	{", default max_wal_size", "1GB", "5min"}, // the defaults of PostgreSQL
}

// setWAL has no effect on what -set sets.
func (g *grower) setWAL(ctx context.Context, size, timeout string) error {
	return rig.Execute(ctx, g.rig.DatabaseURL("postgres", embedded.AdminRole), `ALTER SYSTEM SET max_wal_size = '`+size+`'`,
		`ALTER SYSTEM SET checkpoint_timeout = '`+timeout+`'`, `SELECT pg_reload_conf()`)
}

// measureTransfers takes turns between the database and a new one, with each of walSettings. While
// the database is empty the new one is measured for both, since measuring would fill it.
func (g *grower) measureTransfers(ctx context.Context) error {
	control, err := g.openBooks(ctx, fmt.Sprintf("control%d", len(g.figures.Header)-1))
	if err != nil {
		return err
	}
	for _, s := range walSettings {
		if err := g.setWAL(ctx, s.size, s.timeout); err != nil {
			return err
		}
		if err := g.compare(ctx, control, s.label); err != nil {
			return err
		}
	}
	if err := g.setWAL(ctx, walSettings[0].size, walSettings[0].timeout); err != nil {
		return err
	}
	return rig.Execute(ctx, g.rig.DatabaseURL("postgres", embedded.AdminRole), `DROP DATABASE `+control.name+` WITH (FORCE)`)
}

func (g *grower) compare(ctx context.Context, control *books, label string) error {
	measured, both := g.books, []*books{control, g.books}
	if len(g.figures.Header) == 2 { // the first size
		measured, both = control, both[:1]
	}
	postings := g.postings()
	phase := func(k *books) string { return fmt.Sprintf("%s, %d postings%s", k.name, postings, label) }
	var spent counters
	for round := range g.rounds {
		if round > 0 {
			slices.Reverse(both)
		}
		for _, k := range both {
			used, err := g.drive(ctx, k, phase(k))
			if err != nil {
				return err
			}
			if k == measured {
				spent = spent.plus(used, 1)
			}
		}
	}
	p, _, _ := g.report.total(phase(measured))
	c, _, _ := g.report.total(phase(control))
	if g.emptyRate == 0 {
		g.emptyRate = p.PerSecond()
	}
	n := float64(max(p.Accepted, 1))
	set := func(name, format string, value float64) { g.figures.set(name+label, format, value) }
	set("transfers/s", "%.0f", p.PerSecond())
	set("a new database in turns with it, transfers/s", "%.0f", c.PerSecond())
	set("ratio to the new one", "%.2f", p.PerSecond()/c.PerSecond())
	set("ratio to the new one by PostgreSQL's CPU time", "%.2f", c.each(c.Spent.Postgres)/p.each(p.Spent.Postgres))
	if label == "" {
		set("ratio to the empty database", "%.2f", p.PerSecond()/g.emptyRate)
	}
	set("p99 of a transfer, ms", "%.1f", p.Latency.P99)
	set("buffers hit per transfer", "%.0f", float64(spent.Hit)/n)
	set("buffers read per transfer", "%.2f", float64(spent.Read)/n)
	set("buffers written by backends per transfer", "%.2f", float64(spent.ByBackends)/n)
	set("WAL bytes per transfer", "%.0f", float64(spent.WAL)/n)
	set("full pages in the WAL per transfer", "%.3f", float64(spent.Images)/n)
	set("checkpoints", "%.0f", float64(spent.Checkpoints))
	return nil
}

// drive measures a phase of transfers in a database. Those in a new one are another step,
// since the money that is compared at the end is not there.
func (g *grower) drive(ctx context.Context, k *books, phase string) (spent counters, err error) {
	step := "transfer"
	if k != g.books {
		step = "transfer in a new database"
	}
	before, err := g.counters(ctx, k.name)
	if err != nil {
		return spent, err
	}
	err = k.with(ctx, ledger.Config{OnBatch: g.onBatch}, func(l *ledger.Ledger) error {
		_, err := g.measureCold(ctx, phase, step, load{
			callers: g.connections, length: g.duration, make: func(int) caller { return k.caller(ctx, l, busyPair) },
		})
		return err
	})
	if err != nil {
		return spent, err
	}
	after, err := g.counters(ctx, k.name)
	return after.plus(before, -1), err
}

func (g *grower) measureAudit(ctx context.Context) error {
	before, err := g.counters(ctx, g.books.name)
	if err != nil {
		return err
	}
	g.audited = g.postings()
	took, err := g.audit(ctx)
	if err != nil {
		return err
	}
	after, err := g.counters(ctx, g.books.name)
	temp := (after.Temp - before.Temp) >> 20
	g.logf("audit %.2f s, %.2f s per million postings; %d MB of temporary files", took.Seconds(), g.perMillion(took), temp)
	g.figures.set("audit, s", "%.2f", took.Seconds())
	g.figures.set("audit, s per million postings", "%.2f", g.perMillion(took))
	g.figures.set("its temporary files, MB", "%d", temp)
	return err
}

func (g *grower) audit(ctx context.Context) (took time.Duration, err error) {
	err = g.books.connected(ctx, func(pool *pgxpool.Pool) error {
		began := time.Now()
		_, err := rig.Audit(ctx, pool)
		took = time.Since(began)
		return err
	})
	return took, err
}

func (g *grower) perMillion(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(g.audited) }

// measureAuditBeside audits beside a trickle of transfers, and measures their latency
// without and with the audit.
func (g *grower) measureAuditBeside(ctx context.Context) error {
	return g.books.with(ctx, ledger.Config{}, func(l *ledger.Ledger) error {
		alone, err := g.beside(ctx, l, func() error {
			rig.Pause(ctx, g.duration)
			return ctx.Err()
		})
		if err != nil {
			return err
		}
		var took time.Duration
		shared, err := g.beside(ctx, l, func() (err error) {
			took, err = g.audit(ctx)
			return err
		})
		x, y := latencyOf(alone.took), latencyOf(shared.took)
		g.logf("%d transfers/s beside it: audit %.2f s; p50 %.1f → %.1f ms, p99 %.1f → %.1f ms", trickle, took.Seconds(), x.P50, y.P50, x.P99, y.P99)
		g.figures.set(fmt.Sprintf("audit beside %d transfers/s, s per million", trickle), "%.2f", g.perMillion(took))
		g.figures.set("p99 of those, without → with the audit, ms", "%.1f → %.1f", x.P99, y.P99)
		return err
	})
}

// beside makes a trickle of transfers while work runs.
func (g *grower) beside(ctx context.Context, l *ledger.Ledger, work func() error) (*tally, error) {
	trickling, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		defer stop()
		done <- work()
	}()
	t := load{
		callers: trickleAtOnce, rate: trickle, length: defaultTimeout,
		make: func(int) caller { return g.books.caller(ctx, l, busyPair) },
	}.drive(trickling)
	g.expect("transfer", t)
	return t, errors.Join(t.err, <-done)
}
