package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/ledger"
)

// The busy wallet has a tenth of all postings, the quiet one a handful. A wallet's
// history is one month's, which is the worst case of the month's totals.
const (
	busyWallet     = 0
	quietWallet    = 1
	quietTransfers = 5

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

// stage is the database at one size.
type stage struct {
	postings         int64 // when the size was reached
	phases, controls []*tally
	spent            counters // by the phases

	reads []read

	audited             int64 // postings during the audit
	audit, auditBeside  time.Duration
	auditTemp           int64         // bytes of temporary files
	aloneP99, besideP99 time.Duration // of transfers at a trickle

	relations []relation
	hot       float64 // share of updates of accounts that changed no index
}

// growth lets the database grow by package ledger, and stops at each size to measure
// transfers/s, lists, balances as of a time, the summary, the events, the audit, and the
// size of tables and indexes. Transfers take turns with a new database in the same
// PostgreSQL, so that a machine that becomes slower is slower for both. Reads are timed
// in this process.
func growth(ctx context.Context, b *bench) error {
	g := &grower{bench: b, started: time.Now()}
	quietPair := func(int) (from, to int) { return busyWallet, quietWallet }
	if err := g.transfers(ctx, quietTransfers, 1, quietPair); err != nil {
		return err
	}
	for _, size := range append([]int64{0}, b.sizes...) {
		began := time.Now()
		n := (size - g.postings() + 1) / 2
		if err := g.transfers(ctx, n, b.growers, busyPair); err != nil {
			return fmt.Errorf("grow to %d postings: %w", size, err)
		}
		if n > 0 {
			b.logf("%d postings: %d transfers in %.0f s, %.0f/s", g.postings(), n, time.Since(began).Seconds(), float64(n)/time.Since(began).Seconds())
		}
		s := &stage{postings: g.postings()}
		g.stages = append(g.stages, s)
		for _, measure := range []func(context.Context, *stage) error{g.measureTransfers, g.measureReads, g.measureAudit, g.measureAuditBeside, g.weigh} {
			if err := measure(ctx, s); err != nil {
				return fmt.Errorf("measure at %d postings: %w", s.postings, err)
			}
		}
	}
	g.report()
	return nil
}

// grower is a run of growth.
type grower struct {
	*bench
	started time.Time
	stages  []*stage
}

// postings are two for each transfer and for each deposit that funded a wallet.
func (g *grower) postings() int64 {
	return 2 * (g.expected["transfer"].Accepted.Count + int64(len(g.books.owners)))
}

// transfers makes n transfers with so many callers.
func (g *grower) transfers(ctx context.Context, n int64, callers int, p pair) error {
	var left atomic.Int64
	left.Store(n)
	err := g.books.with(ctx, ledger.Config{}, func(l *ledger.Ledger) error {
		send := g.books.caller(ctx, l, p)
		return rig.Parallel(ctx, callers, callers, func(context.Context, int) error {
			for left.Add(-1) >= 0 {
				if _, err := send(); err != nil {
					return err
				}
			}
			return nil
		})
	})
	g.expectMoney("transfer", rig.Sum{Count: max(n, 0), Minor: max(n, 0)}, 0)
	return err
}

// measureTransfers takes turns between the database and a new one. While the database
// is empty the new one is measured for both, since measuring would fill it.
func (g *grower) measureTransfers(ctx context.Context, s *stage) error {
	control, err := g.openBooks(ctx, fmt.Sprintf("control%d", len(g.stages)))
	if err != nil {
		return err
	}
	measured, both := g.books, []*books{control, g.books}
	if len(g.stages) == 1 {
		measured, both = control, both[:1]
	}
	for round := range g.rounds {
		order := slices.Clone(both)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, k := range order {
			t, spent, err := g.drive(ctx, k)
			if err != nil {
				return err
			}
			if k == control {
				s.controls = append(s.controls, t)
			}
			if k == measured {
				s.phases, s.spent = append(s.phases, t), s.spent.plus(spent, 1)
			}
		}
	}
	return g.drop(ctx, control.name)
}

func (g *grower) drive(ctx context.Context, k *books) (t *tally, spent counters, err error) {
	before, err := g.counters(ctx, k.name)
	if err != nil {
		return nil, spent, err
	}
	gauge := g.rig.Gauge()
	err = k.with(ctx, ledger.Config{}, func(l *ledger.Ledger) error {
		t = load{callers: g.connections, length: g.duration, make: func(int) caller { return k.caller(ctx, l, busyPair) }}.drive(ctx)
		return t.err
	})
	if err != nil {
		return nil, spent, err
	}
	p := newPhase(fmt.Sprintf("%s, %d postings", k.name, g.postings()), "transfer", t)
	p.Spent = g.rig.Gauge().Since(gauge)
	if k == g.books {
		g.expect("transfer", t)
	}
	after, err := g.counters(ctx, k.name)
	if err != nil {
		return nil, spent, err
	}
	spent = after.plus(before, -1)
	g.logf("%s", spent.each(p.Accepted))
	_, err = g.add(ctx, p, t)
	return t, spent, err
}

// rate is that of all phases together.
func rate(phases []*tally) float64 {
	n, elapsed := int64(0), time.Duration(0)
	for _, t := range phases {
		n, elapsed = n+t.count[accepted], elapsed+t.elapsed
	}
	return float64(n) / elapsed.Seconds()
}

func (g *grower) measureAudit(ctx context.Context, s *stage) error {
	before, err := g.counters(ctx, g.books.name)
	if err != nil {
		return err
	}
	s.audited = g.postings()
	err = g.books.connected(ctx, func(pool *pgxpool.Pool) (err error) {
		s.audit, err = audit(ctx, pool)
		return err
	})
	if err != nil {
		return err
	}
	after, err := g.counters(ctx, g.books.name)
	s.auditTemp = after.temp - before.temp
	g.logf("audit %.2f s, %.2f s per million postings; %d MB of temporary files", s.audit.Seconds(), s.perMillion(s.audit), s.auditTemp>>20)
	return err
}

func audit(ctx context.Context, pool *pgxpool.Pool) (time.Duration, error) {
	began := time.Now()
	_, err := rig.Audit(ctx, pool)
	return time.Since(began), err
}

func (s *stage) perMillion(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(s.audited) }

// measureAuditBeside audits beside a trickle of transfers, and measures their latency
// without and with the audit.
func (g *grower) measureAuditBeside(ctx context.Context, s *stage) error {
	return g.books.connected(ctx, func(pool *pgxpool.Pool) error {
		return g.books.with(ctx, ledger.Config{}, func(l *ledger.Ledger) error {
			alone, err := g.beside(ctx, l, func() error {
				rig.Pause(ctx, g.duration)
				return ctx.Err()
			})
			if err != nil {
				return err
			}
			shared, err := g.beside(ctx, l, func() (err error) {
				s.auditBeside, err = audit(ctx, pool)
				return err
			})
			s.aloneP99, s.besideP99 = quantile(alone.took, .99), quantile(shared.took, .99)
			g.logf("%d transfers/s beside it: audit %.2f s; p50 %.1f → %.1f ms, p99 %.1f → %.1f ms", trickle, s.auditBeside.Seconds(),
				milliseconds(quantile(alone.took, .5)), milliseconds(quantile(shared.took, .5)), milliseconds(s.aloneP99), milliseconds(s.besideP99))
			return err
		})
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
