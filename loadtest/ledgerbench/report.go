package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/JDevAman/kizo/server/ledger"
)

// sample is one phase in one round.
type sample struct {
	spent     reading
	latencies []time.Duration // sorted
}

func (s sample) rate() float64 { return float64(len(s.latencies)) / s.spent.elapsed.Seconds() }

// perCPU is how many transfers one second of one processor has paid for, in
// PostgreSQL and in this process together.
func (s sample) perCPU() float64 {
	used := s.spent.goCPU + s.spent.pgCPU
	if used <= 0 {
		return 0
	}
	return float64(len(s.latencies)) / used.Seconds()
}

// total is all rounds of a phase taken together.
func (p *phase) total() sample {
	var t sample
	for _, s := range p.samples {
		t.spent = t.spent.plus(s.spent)
		t.latencies = append(t.latencies, s.latencies...)
	}
	slices.Sort(t.latencies)
	return t
}

func (s sample) quantile(q float64) time.Duration {
	if len(s.latencies) == 0 {
		return 0
	}
	return s.latencies[min(int(q*float64(len(s.latencies))), len(s.latencies)-1)]
}

func report(out io.Writer, b *bench, phases []*phase) {
	fmt.Fprintf(out, "\n%d callers, %d accounts, %d rounds of %s for each phase; %d CPUs, one fsync takes %s; fsync, full_page_writes and synchronous_commit are on\n\n",
		b.callers, b.accounts, b.options.rounds, b.duration, runtime.NumCPU(), b.fsync.Round(time.Microsecond))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\ttransfers/s\tp50 ms\tp99 ms\tworst round\tbest round\ttransfers per CPU second\t")
	totals := map[string]sample{}
	for _, p := range phases {
		t := p.total()
		totals[p.name] = t
		worst, best := t.rate(), t.rate()
		for _, s := range p.samples {
			worst, best = min(worst, s.rate()), max(best, s.rate())
		}
		fmt.Fprintf(table, "%s\t%.0f\t%.1f\t%.1f\t%.0f\t%.0f\t%.0f\t  %s\n", p.name, t.rate(),
			milliseconds(t.quantile(0.5)), milliseconds(t.quantile(0.99)), worst, best, t.perCPU(), p.title)
	}
	_ = table.Flush()
	fmt.Fprintln(out)
	ratio(out, totals, "b", "a", 3)
	ratio(out, totals, "b'", "a'", 20)
	ratio(out, totals, "b'", "b", 0.9)
	disturbance(out, phases)
	fmt.Fprintln(out, "\nwhat it was spent on, per transfer:")
	for _, p := range phases {
		spending(out, p, totals[p.name])
	}
	fmt.Fprintln(out)
	for _, p := range phases {
		if p.grouped {
			bound(out, p, totals[p.name].spent, b.fsync)
		}
	}
}

func ratio(out io.Writer, totals map[string]sample, of, to string, aim float64) {
	x, ok1 := totals[of]
	y, ok2 := totals[to]
	if !ok1 || !ok2 || y.rate() == 0 || y.perCPU() == 0 {
		return
	}
	verdict := "reached"
	r := x.rate() / y.rate()
	if r < aim {
		verdict = "MISSED"
	}
	fmt.Fprintf(out, "%-2s / %-2s  %6.2f   aim %g: %s   (per CPU second %.2f)\n", of, to, r, aim, verdict, x.perCPU()/y.perCPU())
}

// disturbance warns when the machine was busy with something else. Then the plain
// way looks better than it is: its hundred processes get a larger share of what
// is left than the ledger's two or three, and the share of CPU time is what one
// way costs more than the other.
func disturbance(out io.Writer, phases []*phase) {
	var spent reading
	for _, p := range phases {
		spent = spent.plus(p.total().spent)
	}
	others := spent.machineCPU - spent.pgCPU - spent.goCPU
	share := 100 * others.Seconds() / (spent.elapsed.Seconds() * float64(runtime.NumCPU()))
	if share > 15 {
		fmt.Fprintf(out, "\nOTHERS TOOK %.0f %% OF THE CPU TIME: run it again on a quiet machine, or go by the ratios per CPU second\n", share)
	}
}

func spending(out io.Writer, p *phase, t sample) {
	n := float64(max(len(t.latencies), 1))
	micros := func(d time.Duration) float64 { return float64(d.Microseconds()) / n }
	fmt.Fprintf(out, "%-2s  CPU %3.0f µs in PostgreSQL, %3.0f µs in this process; WAL %4.0f bytes", p.name,
		micros(t.spent.pgCPU), micros(t.spent.goCPU), float64(t.spent.wal)/n)
	if p.grouped && t.spent.batches > 0 {
		fmt.Fprintf(out, "; %.0f batches/s of %.0f commands, %.1f ms each", float64(t.spent.batches)/t.spent.elapsed.Seconds(),
			float64(t.spent.commands)/float64(t.spent.batches), milliseconds(t.spent.committing)/float64(t.spent.batches))
	}
	fmt.Fprintln(out)
}

// bound says what keeps a phase from being faster.
func bound(out io.Writer, p *phase, r reading, fsync time.Duration) {
	cpus := r.elapsed.Seconds() * float64(runtime.NumCPU())
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / cpus }
	others := max(r.machineCPU-r.pgCPU-r.goCPU, 0)
	idle := max(100-share(r.pgCPU)-share(r.goCPU)-share(others), 0)
	flushing := 100 * fsync.Seconds() * float64(r.batches) / r.elapsed.Seconds()
	fmt.Fprintf(out, "%-2s is bound by %s: of all CPU time PostgreSQL took %.0f %%, this process %.0f %%, others on the machine %.0f %%, idle %.0f %%; "+
		"about %.0f %% of the time a commit was waiting for the disk\n",
		p.name, boundBy(r, idle, flushing), share(r.pgCPU), share(r.goCPU), share(others), idle, min(flushing, 100))
}

func boundBy(r reading, idle, flushing float64) string {
	switch {
	case idle < 20:
		return "the processors"
	case flushing > 50:
		return "the disk"
	case r.pgCPU.Seconds() > 0.8*r.elapsed.Seconds():
		return "one PostgreSQL backend at a time (batches wait for each other's locks)"
	default:
		return "turns: callers, this process and PostgreSQL wait for each other"
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// check audits the books after the run.
func (b *bench) check(ctx context.Context) error {
	const count = `SELECT count(*) FROM transfers WHERE kind = 'transfer' AND state = 'posted'`
	var posted int64
	if err := b.pool.QueryRow(ctx, count).Scan(&posted); err != nil {
		return fmt.Errorf("count what was posted: %w", err)
	}
	if posted != b.accepted.Load() {
		return fmt.Errorf("%d transfers were accepted, %d stand in the books", b.accepted.Load(), posted)
	}
	before, err := b.gauge(ctx)
	if err != nil {
		return err
	}
	audit, err := ledger.Audit(ctx, b.pool)
	if err != nil {
		return err
	}
	after, err := b.gauge(ctx)
	if err != nil {
		return err
	}
	if !audit.OK() {
		return errors.Join(errors.New("the books are wrong"), audit.WriteTable(b.out))
	}
	if err := b.plain.Check(ctx); err != nil {
		return err
	}
	spent := after.minus(before)
	fmt.Fprintf(b.out, "\nthe books are right: %d transfers accepted, all of them posted, %d checks passed in %.1f s (%.1f s of CPU time)\n",
		posted, len(audit.Checks), spent.elapsed.Seconds(), (spent.goCPU + spent.pgCPU).Seconds())
	return nil
}
