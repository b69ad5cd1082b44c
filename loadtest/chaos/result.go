package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/bank/sim"
)

// result is the result of a run.
type result struct {
	options options
	system  *system
	found   *findings
	history *history
	load    *workload

	began, healed time.Time
	terminalAfter time.Duration // from the heal until no payment was open
	auditTook     time.Duration
	unresolved    int // operations whose outcome was unknown at the end of the faults
	replays       int // operations with a known outcome that were sent again

	*evidence
	attempts, executed  int
	outcomes            map[outcome]int
	payments            map[string]int
	orphans, orphansNet []time.Duration
	rate, calmRate      float64
	lateSettlements     int            // rejected by the fencing token
	lines               map[string]int // of the bank's statement, by state
	hit                 int
	unhit               []string
}

// errViolated is the error of a run that has found a violation.
var errViolated = errors.New("rules were broken, see above")

var errMissed = errors.New("a target was missed")

// publish prints the figures and then the evidence. Its error says whether the run failed.
// In a scenario a missed target is a broken promise; in a run of the nemesis it fails the
// run with -strict only.
func (r *result) publish(w io.Writer) error {
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
	if o.loses && counts["promise"] == 0 { // all violations follow from the losses
		fmt.Fprintf(&text, "\nRules that noticed: %s.\n", strings.Join(slices.Sorted(maps.Keys(counts)), ", "))
		_, err := fmt.Fprintln(w, text.String())
		return err
	}
	if len(violations) == 0 {
		text.WriteString("\nNo rule was broken.\n")
	}
	for _, v := range violations {
		fmt.Fprintf(&text, "\n#### %s (%d times)\n\n%s\n", v.rule, counts[v.rule], v.evidence)
	}
	if _, err := fmt.Fprintln(w, text.String()); err != nil {
		return err
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
	lies, liesFound := r.liesFound()
	perMillion := time.Duration(float64(r.auditTook) / float64(max(len(r.books.postings), 1)) * 1e6)
	rows := []row{
		figure("operations (requests)", "%d (%d)", len(r.operations), r.attempts),
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
		figure("wrong answers of the bank, recorded (the other workers died, or never received one)", "%d, %d", lies, liesFound),
		figure("statement lines matched / open with a payment in review", "%d / %d", r.lines["matched"], r.lines["open"]),
		figure("new payment to its first claim, p50 / p99 / max", "%s", quantiles(pickups(r.books.log))),
	)
	if len(r.orphans) > 0 {
		rows = append(rows,
			figure(fmt.Sprintf("%d orphans: kill to next claim, p50 / p99 / max", len(r.orphans)), "%s", quantiles(r.orphans)),
			figure("the same without the time in which PostgreSQL was down", "%s", quantiles(r.orphansNet)).
				goal(rig.Quantile(r.orphansNet, .99) <= redriveWithin, "p99 ≤ 5 s"),
		)
	}
	audit := figure(fmt.Sprintf("audit of %d postings, per million", len(r.books.postings)), "%s, %s", ms(r.auditTook), ms(perMillion))
	if len(r.books.postings) >= 20_000 { // fewer give no useful average
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

// quantiles returns p50, p99 and the maximum.
func quantiles(sorted []time.Duration) string {
	return ms(rig.Quantile(sorted, .5)) + " / " + ms(rig.Quantile(sorted, .99)) + " / " + ms(rig.Quantile(sorted, 1))
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

// redriveWithin is the target for the next claim of a payment whose worker was killed.
const redriveWithin = 5 * time.Second

// measure computes the figures of the summary.
func (r *result) measure(e *evidence) {
	r.evidence = e
	r.outcomes = make(map[outcome]int)
	for _, o := range e.operations {
		r.outcomes[o.conclusion().Outcome]++
		r.attempts += len(o.tries())
	}
	r.payments = make(map[string]int)
	for _, p := range e.books.payments {
		r.payments[p.State]++
	}
	for _, o := range orphans(e.books.log, e.deaths) {
		r.orphans = append(r.orphans, o.waited)
		net := r.system.faultLog.without(o.died, o.again.At)
		r.orphansNet = append(r.orphansNet, net)
		if net > redriveWithin {
			r.system.note("late: %s, %s of it with a database", o, net.Round(time.Millisecond))
		}
	}
	slices.Sort(r.orphansNet)
	r.rates()
	executed := make(map[string]bool, len(e.journal))
	for _, entry := range e.journal {
		if entry.Status == sim.StatusExecuted {
			executed[entry.Ref] = true
		}
	}
	r.executed = len(executed)
}

// rates are attempts that ended per second: in all, and in the calm between waves without
// the first two seconds, in which Kizo recovers.
func (r *result) rates() {
	count := func(from, to time.Duration) (attempts, seconds float64) {
		offset := r.began.Sub(r.history.began)
		for s := int((offset+from)/time.Second) + 1; time.Duration(s+1)*time.Second <= offset+to; s++ {
			attempts, seconds = attempts+float64(r.history.seconds[s]), seconds+1
		}
		return attempts, seconds
	}
	all, seconds := count(0, r.options.duration)
	r.rate = all / max(seconds, 1)
	var calm, calmSeconds float64
	for at := waveFor; at+calmFor <= r.options.duration && r.options.scenario == nil; at += waveFor + calmFor {
		n, seconds := count(at+2*time.Second, at+calmFor)
		calm, calmSeconds = calm+n, calmSeconds+seconds
	}
	r.calmRate = calm / max(calmSeconds, 1)
}

// orphans returns the payments whose worker was killed while it had claimed them, with the time
// from the kill to the next claim.
func orphans(log []logRow, deaths map[string]time.Time) []orphan {
	last := make(map[uuid.UUID]logRow)
	var waits []orphan
	for _, l := range log {
		before, seen := last[l.Transfer]
		last[l.Transfer] = l
		if !seen || before.OldFence == nil || before.Fence == *before.OldFence { // not a claim
			continue
		}
		died, dead := deaths[before.Who]
		if dead && l.Who != before.Who && died.After(before.At) && l.At.After(died) {
			waits = append(waits, orphan{l.At.Sub(died), before, l, died})
		}
	}
	slices.SortFunc(waits, func(a, b orphan) int { return cmp.Compare(a.waited, b.waited) })
	return waits
}

// orphan is a payment whose worker was killed, and which another worker claimed later.
type orphan struct {
	waited       time.Duration
	claim, again logRow
	died         time.Time
}

func (o orphan) String() string {
	const clock = "15:04:05.000"
	return fmt.Sprintf("payment %s: %s claimed it at %s with a lease until %s, died at %s; %s claimed it at %s, %s later",
		o.claim.Transfer, o.claim.Who, o.claim.At.Format(clock), o.claim.Lease.Format(clock), o.died.Format(clock),
		o.again.Who, o.again.At.Format(clock), o.waited.Round(time.Millisecond))
}

// pickups returns how long new payments waited for their first claim.
func pickups(log []logRow) []time.Duration {
	return waits(log, func(logRow) bool { return true })
}

// settledAfter returns how long payments took from their creation to their end.
func settledAfter(log []logRow) []time.Duration {
	return waits(log, func(l logRow) bool { return l.State == "executed" || l.State == "rejected" })
}

// waits are the times, sorted, from the first row of a payment to the next one that ends
// the wait.
func waits(log []logRow, ends func(logRow) bool) (list []time.Duration) {
	opened := make(map[uuid.UUID]time.Time)
	for _, l := range log {
		if at, waiting := opened[l.Transfer]; l.OldState == nil {
			opened[l.Transfer] = l.At
		} else if waiting && ends(l) {
			list = append(list, l.At.Sub(at))
			delete(opened, l.Transfer)
		}
	}
	slices.Sort(list)
	return list
}
