package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// report prints the tables, in markdown.
func report(out io.Writer, b *bench) {
	fmt.Fprintf(out, "\n%d wallets, %d callers, %d phases of %s at each size, %d CPUs; fsync, full_page_writes and synchronous_commit are on\n\n",
		b.accounts, b.callers, b.rounds, b.duration, runtime.NumCPU())
	t := table{out, len(b.stages)}
	t.head("postings", b.stages, func(s *stage) string { return fmt.Sprint(s.postings) })
	empty := rate(b.stages[0].phases)
	t.row("transfers/s", b.stages, func(s *stage) string { return fmt.Sprintf("%.0f", rate(s.phases)) })
	t.row("a new database beside it, transfers/s", b.stages, func(s *stage) string { return fmt.Sprintf("%.0f", rate(s.controls)) })
	t.row("ratio to the new one", b.stages, func(s *stage) string { return fmt.Sprintf("%.2f", rate(s.phases)/rate(s.controls)) })
	t.row("ratio to the empty books", b.stages, func(s *stage) string { return fmt.Sprintf("%.2f", rate(s.phases)/empty) })
	t.row("p99 of a transfer, ms", b.stages, func(s *stage) string { return fmt.Sprintf("%.1f", milliseconds(worstP99(s.phases))) })
	each := func(name, format string, of func(counters) int64) {
		t.row(name, b.stages, func(s *stage) string { return fmt.Sprintf(format, float64(of(s.spent))/float64(max(s.moved, 1))) })
	}
	each("buffers hit per transfer", "%.0f", func(c counters) int64 { return c.hit })
	each("buffers read per transfer", "%.2f", func(c counters) int64 { return c.read })
	each("WAL bytes per transfer", "%.0f", func(c counters) int64 { return c.wal })
	each("full pages in the WAL per transfer", "%.3f", func(c counters) int64 { return c.images })
	t.row("HOT updates of accounts", b.stages, func(s *stage) string { return fmt.Sprintf("%.1f %%", 100*s.hot) })
	for i, r := range b.stages[0].reads {
		t.row(r.name+", p50 / p99 ms", b.stages, func(s *stage) string {
			l := s.reads[i].latencies
			return fmt.Sprintf("%.2f / %.2f", milliseconds(quantile(l, 0.5)), milliseconds(quantile(l, 0.99)))
		})
	}
	perMillion := func(s *stage, d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1e6/float64(s.audited)) }
	t.row("audit, s", b.stages, func(s *stage) string { return fmt.Sprintf("%.2f", s.audit.Seconds()) })
	t.row("audit, s per million postings", b.stages, func(s *stage) string { return perMillion(s, s.audit) })
	t.row("its temporary files, MB", b.stages, func(s *stage) string { return fmt.Sprint(s.auditTemp >> 20) })
	t.row(fmt.Sprintf("audit beside %d transfers/s, s per million", pace), b.stages, func(s *stage) string { return perMillion(s, s.auditBeside) })
	t.row("p99 of those, without → with the audit, ms", b.stages, func(s *stage) string {
		return fmt.Sprintf("%.1f → %.1f", milliseconds(s.aloneP99), milliseconds(s.besideP99))
	})
	fmt.Fprintln(out)
	t.head("on disk, MB (bytes per posting)", b.stages, func(s *stage) string { return fmt.Sprint(s.audited) })
	for i, r := range b.stages[0].relations {
		name := r.name
		if r.of != "" {
			name = "· " + name
		}
		t.row(name, b.stages, func(s *stage) string {
			size := s.named(i, r.name)
			return fmt.Sprintf("%d (%.0f)", size>>20, float64(size)/float64(s.audited))
		})
	}
}

// named is the size of a relation, whose place in the list may have changed.
func (s *stage) named(likely int, name string) int64 {
	if s.relations[likely].name == name {
		return s.relations[likely].bytes
	}
	for _, r := range s.relations {
		if r.name == name {
			return r.bytes
		}
	}
	return 0
}

func worstP99(phases []load) (worst time.Duration) {
	for _, p := range phases {
		worst = max(worst, quantile(p.latencies, 0.99))
	}
	return worst
}

// table is one in markdown, with a column for each stage.
type table struct {
	out     io.Writer
	columns int
}

func (t table) head(name string, stages []*stage, cell func(*stage) string) {
	t.row(name, stages, cell)
	fmt.Fprintln(t.out, "|---|"+strings.Repeat("---:|", t.columns))
}

func (t table) row(name string, stages []*stage, cell func(*stage) string) {
	cells := make([]string, len(stages))
	for i, s := range stages {
		cells[i] = cell(s)
	}
	fmt.Fprintf(t.out, "| %s | %s |\n", name, strings.Join(cells, " | "))
}
