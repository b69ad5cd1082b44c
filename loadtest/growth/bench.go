package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/ledger"
)

// bench is one PostgreSQL, the books that grow, and what was measured of them.
type bench struct {
	options
	out     io.Writer
	dir     string
	pg      *embedded.Postgres
	books   *books
	started time.Time
	stages  []*stage
}

// stage is one size.
type stage struct {
	postings int64 // when it was reached
	grew     load  // how it was reached: only elapsed, and how many

	phases, controls []load
	spent            counters // by the phases
	moved            int64    // transfers in them

	reads []timed

	audited             int64 // postings, when it was audited and weighed
	audit, auditBeside  time.Duration
	auditTemp           int64         // bytes of temporary files
	aloneP99, besideP99 time.Duration // of transfers at a trickle

	relations []relation
	hot       float64 // share of accounts' updates that left the indexes alone
}

func openBench(ctx context.Context, o options, out io.Writer) (_ *bench, err error) {
	b := &bench{options: o, out: out, started: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.dir, err = os.MkdirTemp("", "kizo-growth-"); err != nil {
		return b, err
	}
	if err := os.Chmod(b.dir, 0o711); err != nil { //nolint:gosec // under root PostgreSQL runs as somebody else, who has to pass
		return b, err
	}
	if b.pg, err = embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: b.dir, Settings: o.settings}); err != nil {
		return b, err
	}
	b.books, err = openBooks(ctx, b.pg, "kizo", o.accounts)
	return b, err
}

func (b *bench) close() error {
	var err error
	if b.pg != nil {
		err = b.pg.Kill() // nobody reads the data again
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.out, "%7.1f s  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}

// grow measures the books as they are, and at each size.
func (b *bench) grow(ctx context.Context) error {
	for _, size := range append([]int64{0}, b.sizes...) {
		began, before := time.Now(), b.books.transfers.Load()
		if err := b.books.growTo(ctx, size, b.growers); err != nil {
			return fmt.Errorf("grow to %d postings: %w", size, err)
		}
		s := &stage{postings: b.books.postings(), grew: load{elapsed: time.Since(began)}}
		b.stages = append(b.stages, s)
		if grown := b.books.transfers.Load() - before; grown > 0 {
			b.say("%d postings: %d transfers in %.0f s, %.0f/s", s.postings, grown, s.grew.elapsed.Seconds(), float64(grown)/s.grew.elapsed.Seconds())
		}
		if err := b.measure(ctx, s); err != nil {
			return fmt.Errorf("measure at %d postings: %w", s.postings, err)
		}
	}
	return nil
}

func (b *bench) measure(ctx context.Context, s *stage) error {
	if err := b.transfers(ctx, s); err != nil {
		return err
	}
	if err := b.look(ctx, s); err != nil {
		return err
	}
	if err := b.auditQuiet(ctx, s); err != nil {
		return err
	}
	if err := b.auditBeside(ctx, s); err != nil {
		return err
	}
	return b.weigh(ctx, s)
}

// transfers takes turns between the books and new ones. While the books are empty
// the new ones stand for both, or measuring would fill them.
func (b *bench) transfers(ctx context.Context, s *stage) error {
	control, err := openBooks(ctx, b.pg, fmt.Sprintf("control%d", len(b.stages)), b.accounts)
	if err != nil {
		return err
	}
	measured, both := b.books, []*books{control, b.books}
	if len(b.stages) == 1 {
		measured, both = control, both[:1]
	}
	for round := range b.rounds {
		turn := slices.Clone(both)
		if round%2 == 1 {
			slices.Reverse(turn)
		}
		for _, k := range turn {
			before, err := b.counters(ctx, k.name)
			if err != nil {
				return err
			}
			phase, err := k.drive(ctx, b.callers, b.duration)
			if err != nil {
				return err
			}
			after, err := b.counters(ctx, k.name)
			if err != nil {
				return err
			}
			spent := after.minus(before)
			b.say("%-9s %6.0f transfers/s, p99 %.1f ms; %s", k.name, phase.rate(), milliseconds(quantile(phase.latencies, 0.99)), spent.each(int64(len(phase.latencies))))
			if k == control {
				s.controls = append(s.controls, phase)
			}
			if k == measured {
				s.phases = append(s.phases, phase)
				s.spent, s.moved = s.spent.plus(spent), s.moved+int64(len(phase.latencies))
			}
		}
	}
	return b.drop(ctx, control.name)
}

// rate is that of all phases taken together.
func rate(phases []load) float64 {
	n, elapsed := 0, time.Duration(0)
	for _, p := range phases {
		n, elapsed = n+len(p.latencies), elapsed+p.elapsed
	}
	return float64(n) / elapsed.Seconds()
}

func (b *bench) auditQuiet(ctx context.Context, s *stage) error {
	before, err := b.counters(ctx, b.books.name)
	if err != nil {
		return err
	}
	err = b.books.connected(ctx, func(pool *pgxpool.Pool) error {
		s.audited = b.books.postings()
		s.audit, err = b.audit(ctx, pool)
		return err
	})
	if err != nil {
		return err
	}
	after, err := b.counters(ctx, b.books.name)
	s.auditTemp = after.temp - before.temp
	b.say("audit %.2f s, %.2f s per million postings; %d MB of temporary files", s.audit.Seconds(),
		s.audit.Seconds()*1e6/float64(s.audited), s.auditTemp>>20)
	return err
}

// audit is an error where the books are wrong.
func (b *bench) audit(ctx context.Context, pool *pgxpool.Pool) (time.Duration, error) {
	began := time.Now()
	audit, err := ledger.Audit(ctx, pool)
	if err == nil && !audit.OK() {
		err = errors.Join(errors.New("the books are wrong"), audit.WriteTable(b.out))
	}
	return time.Since(began), err
}

const pace = 200 // transfers a second while an audit is running

// auditBeside audits while transfers come in at a trickle, which is what the audit's
// neighbours feel of it.
func (b *bench) auditBeside(ctx context.Context, s *stage) error {
	return b.books.connected(ctx, func(pool *pgxpool.Pool) error {
		return b.books.with(ctx, func(l *ledger.Ledger) error {
			alone, err := b.beside(ctx, l, func() error {
				select {
				case <-time.After(b.duration):
				case <-ctx.Done():
				}
				return ctx.Err()
			})
			if err != nil {
				return err
			}
			shared, err := b.beside(ctx, l, func() (err error) {
				s.auditBeside, err = b.audit(ctx, pool)
				return err
			})
			s.aloneP99, s.besideP99 = quantile(alone.latencies, 0.99), quantile(shared.latencies, 0.99)
			b.say("%d transfers/s beside it: audit %.2f s; p50 %.1f → %.1f ms, p99 %.1f → %.1f ms", pace, s.auditBeside.Seconds(),
				milliseconds(quantile(alone.latencies, 0.5)), milliseconds(quantile(shared.latencies, 0.5)),
				milliseconds(s.aloneP99), milliseconds(s.besideP99))
			return err
		})
	})
}

// beside lets transfers trickle in while work is done.
func (b *bench) beside(ctx context.Context, l *ledger.Ledger, work func() error) (load, error) {
	stop := make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		defer close(stop)
		failed <- work()
	}()
	felt, err := b.books.trickle(ctx, l, pace, stop)
	return felt, errors.Join(err, <-failed)
}

// check audits the books after the run.
func (b *bench) check(ctx context.Context) error {
	const count = `SELECT count(*) FROM transfers WHERE kind = 'transfer' AND state = 'posted'`
	return b.books.connected(ctx, func(pool *pgxpool.Pool) error {
		var posted int64
		if err := pool.QueryRow(ctx, count).Scan(&posted); err != nil {
			return fmt.Errorf("count what was posted: %w", err)
		}
		if posted != b.books.transfers.Load() {
			return fmt.Errorf("%d transfers were accepted, %d stand in the books", b.books.transfers.Load(), posted)
		}
		took, err := b.audit(ctx, pool)
		if err == nil {
			fmt.Fprintf(b.out, "\nthe books are right: %d transfers accepted, all of them posted, audited in %.1f s; the run took %.0f s\n",
				posted, took.Seconds(), time.Since(b.started).Seconds())
		}
		return err
	})
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
