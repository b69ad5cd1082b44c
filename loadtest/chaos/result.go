package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// result is what a run has found out.
type result struct {
	options options
	system  *system
	found   *findings
	history *history

	began, healed time.Time
	faultsFor     time.Duration
	terminalAfter time.Duration // from the heal until no payment was open
	auditTook     time.Duration
	unresolved    int // outcomes that had to be asked for at the end
	replays       int // keys of known outcome that were asked for again

	operations, attempts, postings, executed int
	outcomes                                 map[outcome]int
	payments                                 map[string]int
	orphans, orphansNet, pickups             []time.Duration
	rate, calmRate                           float64
	lies, liesFound                          int
	repeated, failedRequests                 int64 // of a plain client
	lateFinalisations                        int   // that the fence refused
	log                                      []logRow
	lines                                    map[string]int // of the bank's statement, by state
	reconciledAfter                          time.Duration  // from the heal until every line was compared
	hit                                      int
	unhit                                    []string
}

// errViolated is what a run ends with that has found something.
var errViolated = errors.New("rules were broken, see above")

var errMissed = errors.New("a target was missed")

// publish prints the table and then the evidence; its error says whether the run failed.
func (r *result) publish(w io.Writer, file string) error {
	table, missed := r.table()
	violations, counts := r.found.all()
	var text strings.Builder
	text.WriteString(table)
	if len(violations) == 0 {
		text.WriteString("\nNo rule was broken.\n")
	}
	for _, v := range violations {
		fmt.Fprintf(&text, "\n### %s (%d times)\n\n%s\n", v.rule, counts[v.rule], v.evidence)
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return err
	}
	if file != "" {
		if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil { //nolint:gosec // a report
			return fmt.Errorf("write the summary: %w", err)
		}
	}
	switch {
	case len(violations) > 0:
		return errViolated
	case missed && r.options.strict:
		return errMissed
	}
	return nil
}

// row of the summary: what, how much, and the target where there is one.
type row struct{ what, value, target string }

func (r *result) table() (table string, missed bool) {
	var b strings.Builder
	o := r.options
	fmt.Fprintf(&b, "go run ./loadtest/chaos -duration %s -seed %d -bank %s\n\n| What | Figure | Target |\n|---|---|---|\n", o.duration, o.seed, o.preset)
	judge := func(met bool, target string) string {
		missed = missed || !met
		if met {
			return target + ": met"
		}
		return target + ": **missed**"
	}
	for _, x := range append(r.nemesisRows(judge), r.figureRows(judge)...) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", x.what, x.value, x.target)
	}
	return b.String(), missed
}

// nemesisRows count the faults; their targets are those of five minutes, by share.
func (r *result) nemesisRows(judge func(bool, string) string) []row {
	names, counts := r.system.faultLog.done()
	share := r.options.duration.Minutes() / 5
	least := map[string]int{"kizod kill -9": int(100 * share), "PostgreSQL crash": int(15 * share)}
	var rows []row
	for _, name := range names {
		target := ""
		if n, ok := least[name]; ok && r.options.stress == everything {
			target = judge(counts[name] >= n, fmt.Sprintf("≥ %d", n))
		}
		rows = append(rows, row{name, fmt.Sprint(counts[name]), target})
	}
	rows = append(rows, row{"COMMITs cut", fmt.Sprint(r.system.proxy.cutCommits()), ""})
	if r.options.stress == everything {
		n, want := counts["Redis kill"]+counts["Redis FLUSHALL"], int(15*share)
		rows = append(rows, row{"Redis kills and FLUSHALLs", fmt.Sprint(n), judge(n >= want, fmt.Sprintf("≥ %d", want))})
	}
	return rows
}

func (r *result) figureRows(judge func(bool, string) string) []row {
	ms := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
	perMillion := time.Duration(float64(r.auditTook) / float64(max(r.postings, 1)) * 1e6)
	rows := []row{
		{"operations (requests)", fmt.Sprintf("%d (%d)", r.operations, r.attempts), ""},
		{"requests/s, faults included", fmt.Sprintf("%.0f", r.rate), ""},
	}
	if r.calmRate > 0 {
		rows = append(rows, row{"requests/s in the calm between waves", fmt.Sprintf("%.0f", r.calmRate), judge(r.calmRate >= 200, "≥ 200")})
	}
	rows = append(rows,
		row{"accepted / refused / nothing done", fmt.Sprintf("%d / %d / %d", r.outcomes[accepted], r.outcomes[refused], r.outcomes[failed]), ""},
		row{"outcomes unknown at the heal, unknown for good", fmt.Sprintf("%d, %d", r.unresolved, r.outcomes[unknown]), judge(r.outcomes[unknown] == 0, "0 for good")},
		row{"known keys asked again at the end", fmt.Sprint(r.replays), ""},
		row{"payments executed / rejected / in review", fmt.Sprintf("%d / %d / %d", r.payments["executed"], r.payments["rejected"], r.payments["needs_review"]), ""},
		row{"executions in the bank's journal", fmt.Sprint(r.executed), ""},
		row{"lies of the bank, found (the other attempts died, or received no answer)", fmt.Sprintf("%d, %d", r.lies, r.liesFound), ""},
		row{"statement lines matched / open with a payment in review", fmt.Sprintf("%d / %d", r.lines["matched"], r.lines["open"]), ""},
		row{"new payment to its first claim, p50 / p99 / max", ms(quantile(r.pickups, .5)) + " / " + ms(quantile(r.pickups, .99)) + " / " + ms(quantile(r.pickups, 1)), ""},
	)
	if len(r.orphans) > 0 {
		p99 := quantile(r.orphansNet, .99)
		rows = append(rows, row{
			fmt.Sprintf("%d orphans: kill to next claim, p50 / p99 / max", len(r.orphans)),
			ms(quantile(r.orphans, .5)) + " / " + ms(quantile(r.orphans, .99)) + " / " + ms(quantile(r.orphans, 1)), "",
		}, row{
			"the same without the time that PostgreSQL was away",
			ms(quantile(r.orphansNet, .5)) + " / " + ms(p99) + " / " + ms(quantile(r.orphansNet, 1)), judge(p99 <= redriveWithin, "p99 ≤ 5 s"),
		})
	}
	rows = append(rows,
		row{"heal until nothing is open", ms(r.terminalAfter), judge(r.terminalAfter <= stuckAfter, "≤ 10 s")},
		row{fmt.Sprintf("audit of %d postings, per million", r.postings), ms(r.auditTook) + ", " + ms(perMillion), r.auditTarget(judge, perMillion)},
	)
	if r.hit > 0 {
		rows = append(rows, row{"named points passed, never passed", fmt.Sprintf("%d, %d: %s", r.hit, len(r.unhit), strings.Join(r.unhit, " ")), ""})
	}
	return rows
}

// auditTarget judges only where there is enough to divide by.
func (r *result) auditTarget(judge func(bool, string) string, perMillion time.Duration) string {
	if r.postings < 20_000 {
		return ""
	}
	return judge(perMillion <= 5*time.Second, "≤ 5 s")
}

// checkPoints compares the points that kizod passed with the list. A kizod that
// passes none has none.
func (r *result) checkPoints() error {
	entries, err := os.ReadDir(r.system.hits)
	if err != nil {
		return fmt.Errorf("read which points were passed: %w", err)
	}
	passed := make(map[string]bool)
	for _, entry := range entries {
		passed[entry.Name()] = true
	}
	r.hit = len(passed)
	for _, p := range points {
		if passed[p] {
			delete(passed, p)
			continue
		}
		r.unhit = append(r.unhit, p)
		if r.hit > 0 && !slices.Contains(rarePoints, p) && r.options.scenario == nil && r.options.stress == everything && r.options.duration >= time.Minute {
			r.found.add("points", "kizod never passed %s: what happens there is not tested", p)
		}
	}
	for name := range passed {
		r.found.add("points", "kizod passes %s, which is not in the list", name)
	}
	return nil
}
