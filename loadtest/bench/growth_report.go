package main

import (
	"fmt"
	"time"
)

// report adds tables with a column for each size.
func (g *grower) report() {
	first := g.stages[0]
	t := g.table("postings", "%d", func(s *stage) any { return s.postings })
	row := func(name, format string, of func(*stage) any) { g.row(&t, name, format, of) }
	row("transfers/s", "%.0f", func(s *stage) any { return rate(s.phases) })
	row("a new database in turns with it, transfers/s", "%.0f", func(s *stage) any { return rate(s.controls) })
	row("ratio to the new one", "%.2f", func(s *stage) any { return rate(s.phases) / rate(s.controls) })
	row("ratio to the empty database", "%.2f", func(s *stage) any { return rate(s.phases) / rate(first.phases) })
	row("p99 of a transfer, ms", "%.1f", func(s *stage) any { return milliseconds(worstP99(s.phases)) })
	each := func(name, format string, of func(counters) int64) {
		row(name, format, func(s *stage) any { return float64(of(s.spent)) / max(rate(s.phases)*seconds(s.phases), 1) })
	}
	each("buffers hit per transfer", "%.0f", func(c counters) int64 { return c.hit })
	each("buffers read per transfer", "%.2f", func(c counters) int64 { return c.read })
	each("WAL bytes per transfer", "%.0f", func(c counters) int64 { return c.wal })
	each("full pages in the WAL per transfer", "%.3f", func(c counters) int64 { return c.images })
	row("HOT updates of accounts", "%.1f %%", func(s *stage) any { return 100 * s.hot })
	for i, r := range first.reads {
		row(r.name+", p50 / p99 ms", "%s", func(s *stage) any {
			l := latencyOf(s.reads[i].took)
			return fmt.Sprintf("%.2f / %.2f", l.P50, l.P99)
		})
	}
	row("audit, s", "%.2f", func(s *stage) any { return s.audit.Seconds() })
	row("audit, s per million postings", "%.2f", func(s *stage) any { return s.perMillion(s.audit) })
	row("its temporary files, MB", "%d", func(s *stage) any { return s.auditTemp >> 20 })
	row(fmt.Sprintf("audit beside %d transfers/s, s per million", trickle), "%.2f", func(s *stage) any { return s.perMillion(s.auditBeside) })
	row("p99 of those, without → with the audit, ms", "%s", func(s *stage) any {
		return fmt.Sprintf("%.1f → %.1f", milliseconds(s.aloneP99), milliseconds(s.besideP99))
	})
	disk := g.table("on disk, MB (bytes per posting)", "%d", func(s *stage) any { return s.audited })
	for _, r := range first.relations {
		name := r.name
		if r.table != "" {
			name = "· " + name
		}
		g.row(&disk, name, "%s", func(s *stage) any {
			size := s.size(r.name)
			return fmt.Sprintf("%d (%.0f)", size>>20, float64(size)/float64(s.audited))
		})
	}
	g.bench.report.Tables = append(g.bench.report.Tables, t, disk)
}

func (g *grower) table(name, format string, of func(*stage) any) Table {
	t := Table{}
	g.row(&t, name, format, of)
	return Table{Header: t.Rows[0]}
}

func (g *grower) row(t *Table, name, format string, of func(*stage) any) {
	var cells []any
	for _, s := range g.stages {
		cells = append(cells, of(s), format)
	}
	t.add(name, cells...)
}

func (s *stage) size(relation string) int64 {
	for _, r := range s.relations {
		if r.name == relation {
			return r.bytes
		}
	}
	return 0
}

func seconds(phases []*tally) (sum float64) {
	for _, t := range phases {
		sum += t.elapsed.Seconds()
	}
	return sum
}

func worstP99(phases []*tally) (worst time.Duration) {
	for _, t := range phases {
		worst = max(worst, quantile(t.took, .99))
	}
	return worst
}
