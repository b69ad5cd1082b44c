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

// result is the result of a run.
type result struct {
	options options
	system  *system
	found   *findings
	history *history

	began, healed time.Time
	faultsFor     time.Duration
	terminalAfter time.Duration // from the heal until no payment was open
	auditTook     time.Duration
	unresolved    int // operations whose outcome was unknown at the end of the faults
	replays       int // operations with a known outcome that were sent again

	operations, attempts, postings, executed int
	outcomes                                 map[outcome]int
	payments                                 map[string]int
	orphans, orphansNet, pickups             []time.Duration
	rate, calmRate                           float64
	lies, liesFound                          int
	repeated, failedRequests                 int64 // by a plain client
	lateSettlements                          int   // rejected by the fencing token
	log                                      []logRow
	lines                                    map[string]int // of the bank's statement, by state
	hit                                      int
	unhit                                    []string
}

// errViolated is the error of a run that has found a violation.
var errViolated = errors.New("rules were broken, see above")

var errMissed = errors.New("a target was missed")

// publish prints the figures and then the evidence, and writes them to a file as well if
// one is named. Its error says whether the run failed. In a scenario a missed target is a
// broken promise; in a run of the nemesis it fails the run with -strict only.
func (r *result) publish(w io.Writer, file string) error {
	var text strings.Builder
	o, missed := r.options, false
	figures := slices.Concat(r.nemesisRows(), r.figureRows())
	if o.scenario == nil {
		fmt.Fprintf(&text, "go run ./loadtest/chaos -duration %s -seed %d -bank %s\n", o.duration, o.seed, o.preset)
	} else {
		fmt.Fprintf(&text, "### %s\n\n%s, for %s (seed %d).\n", o.scenario.name, o.scenario.what, o.duration, o.seed)
		figures = append(o.scenario.rows(r), r.commonRows()...)
	}
	text.WriteString("\n| What | Figure | Target |\n|---|---|---|\n")
	for _, x := range figures {
		fmt.Fprintf(&text, "| %s | %s | %s |\n", x.what, x.value, x.target)
		missed = missed || x.missed
		if x.missed && o.scenario != nil {
			r.found.add("promise", "%s: %s, want %s", x.what, x.value, x.target)
		}
	}
	violations, counts := r.found.all()
	if len(violations) == 0 {
		text.WriteString("\nNo rule was broken.\n")
	}
	for _, v := range violations {
		fmt.Fprintf(&text, "\n#### %s (%d times)\n\n%s\n", v.rule, counts[v.rule], v.evidence)
	}
	if _, err := fmt.Fprintln(w, text.String()); err != nil {
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
	case missed && o.strict:
		return errMissed
	}
	return nil
}

// row of the summary: the name of a figure, its value, and its target if there is one.
type row struct {
	what, value, target string
	missed              bool
}

// figure returns a row without a target.
func figure(what, format string, args ...any) row {
	return row{what: what, value: fmt.Sprintf(format, args...)}
}

// goal adds a target, and whether it was met.
func (x row) goal(met bool, format string, args ...any) row {
	x.missed = !met
	x.target = fmt.Sprintf(format, args...) + ": met"
	if x.missed {
		x.target = fmt.Sprintf(format, args...) + ": **missed**"
	}
	return x
}

// nemesisRows returns the numbers of faults. Their targets are proportional to the duration.
func (r *result) nemesisRows() (rows []row) {
	names, counts := r.system.faultLog.done()
	share := r.options.duration.Minutes() / 5
	atLeast := func(x row, n int, want float64) row {
		if r.options.stress != everything {
			return x
		}
		return x.goal(n >= int(want*share), "≥ %d", int(want*share))
	}
	for _, name := range names {
		x := figure(name, "%d", counts[name])
		switch name {
		case "kizod kill -9":
			x = atLeast(x, counts[name], 100)
		case "PostgreSQL crash":
			x = atLeast(x, counts[name], 15)
		}
		rows = append(rows, x)
	}
	rows = append(rows, figure("COMMITs cut", "%d", r.system.proxy.cutCommits()))
	if r.options.stress == everything {
		n := counts["Redis kill"] + counts["Redis FLUSHALL"]
		rows = append(rows, atLeast(figure("Redis kills and FLUSHALLs", "%d", n), n, 15))
	}
	return rows
}

func (r *result) figureRows() []row {
	perMillion := time.Duration(float64(r.auditTook) / float64(max(r.postings, 1)) * 1e6)
	rows := []row{
		figure("operations (requests)", "%d (%d)", r.operations, r.attempts),
		figure("requests/s, faults included", "%.0f", r.rate),
	}
	if r.calmRate > 0 {
		rows = append(rows, figure("requests/s in the calm between waves", "%.0f", r.calmRate).goal(r.calmRate >= 200, "≥ 200"))
	}
	rows = append(rows,
		figure("accepted / refused / nothing done", "%d / %d / %d", r.outcomes[accepted], r.outcomes[refused], r.outcomes[failed]),
		figure("outcomes unknown after the last fault, unknown forever", "%d, %d", r.unresolved, r.outcomes[unknown]).goal(r.outcomes[unknown] == 0, "0 forever"),
		figure("operations with a known outcome sent again at the end", "%d", r.replays),
		r.paymentsRow(),
		figure("executions in the bank's journal", "%d", r.executed),
		figure("wrong answers of the bank, recorded (the other workers died, or never received one)", "%d, %d", r.lies, r.liesFound),
		figure("statement lines matched / open with a payment in review", "%d / %d", r.lines["matched"], r.lines["open"]),
		figure("new payment to its first claim, p50 / p99 / max", "%s", quantiles(r.pickups)),
	)
	if len(r.orphans) > 0 {
		rows = append(rows,
			figure(fmt.Sprintf("%d orphans: kill to next claim, p50 / p99 / max", len(r.orphans)), "%s", quantiles(r.orphans)),
			figure("the same without the time in which PostgreSQL was down", "%s", quantiles(r.orphansNet)).
				goal(quantile(r.orphansNet, .99) <= redriveWithin, "p99 ≤ 5 s"),
		)
	}
	audit := figure(fmt.Sprintf("audit of %d postings, per million", r.postings), "%s, %s", ms(r.auditTook), ms(perMillion))
	if r.postings >= 20_000 { // fewer give no useful average
		audit = audit.goal(perMillion <= 5*time.Second, "≤ 5 s")
	}
	rows = append(rows, r.healRow(), audit)
	if r.hit > 0 {
		rows = append(rows, figure("failpoints passed, never passed", "%d, %d: %s", r.hit, len(r.unhit), strings.Join(r.unhit, " ")))
	}
	return rows
}

func (r *result) paymentsRow() row {
	return figure("payments executed / rejected / in review", "%d / %d / %d", r.payments["executed"], r.payments["rejected"], r.payments["needs_review"])
}

func (r *result) healRow() row {
	return figure("last fault until nothing is open", "%s", ms(r.terminalAfter)).goal(r.terminalAfter <= stuckAfter, "≤ 10 s")
}

func ms(d time.Duration) string { return d.Round(time.Millisecond).String() }

// quantile returns a quantile of sorted durations, or 0 if there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// quantiles returns p50, p99 and the maximum.
func quantiles(sorted []time.Duration) string {
	return ms(quantile(sorted, .5)) + " / " + ms(quantile(sorted, .99)) + " / " + ms(quantile(sorted, 1))
}

// checkPoints compares the failpoints that kizod passed with the list. A kizod that passes none
// was built without them.
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
