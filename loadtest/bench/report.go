package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// Report is the result of a run. Empty parts are not shown.
type Report struct {
	Scenario    string          `json:"scenario"`
	Description string          `json:"description"`
	Command     string          `json:"command"` // repeats the run
	Options     string          `json:"options"`
	Began       time.Time       `json:"began"`
	Environment rig.Environment `json:"environment"`
	Phases      []Phase         `json:"phases"`
	Tables      []Table         `json:"tables,omitempty"`
	Money       []Money         `json:"money"`
	Spent       rig.Gauge       `json:"spent"`          // in all phases
	PeakRSS     int64           `json:"peak_rss_bytes"` // of kizod
	SettledIn   time.Duration   `json:"settled_in_ns"`  // from the end of the load until no payment was open
	Checks      []Check         `json:"checks"`
	Notes       []string        `json:"notes,omitempty"`
	Audit       string          `json:"audit"`
}

// Phase is one kind of request in one phase of a load. Latencies are those of accepted
// requests; shed requests have their own.
type Phase struct {
	Name     string   `json:"name"`
	Step     string   `json:"step"` // kind of transfer, or of another request
	Seconds  float64  `json:"seconds"`
	Accepted int64    `json:"accepted"`
	Shed     int64    `json:"shed"`    // 429 and 503
	Refused  int64    `json:"refused"` // other answers below 500
	Failed   int64    `json:"failed"`
	Unknown  int64    `json:"unknown"`         // no answer to a request that moves money
	Minor    int64    `json:"minor,omitempty"` // money that was accepted, counted by k6
	Latency  Latency  `json:"latency_ms"`
	ServedIn Latency  `json:"served_in_ms"` // since the request was sent
	ShedIn   *Latency `json:"shed_in_ms,omitempty"`

	Spent      rig.Gauge     `json:"spent"`
	PeakRSS    int64         `json:"peak_rss_bytes"`
	Batches    int64         `json:"batches,omitempty"`  // of the ledgers in kizod and in this process
	Commands   int64         `json:"commands,omitempty"` // in those batches
	Committing time.Duration `json:"committing_ns,omitempty"`

	took []time.Duration // sorted
}

// Latency is a distribution, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func latencyOf(sorted []time.Duration) Latency {
	at := func(q float64) float64 { return milliseconds(rig.Quantile(sorted, q)) }
	return Latency{at(.5), at(.9), at(.99), at(.999), at(1)}
}

func newPhase(name, step string, t *tally) Phase {
	p := Phase{
		Name: name, Step: step, Seconds: t.elapsed.Seconds(), took: t.took, Latency: latencyOf(t.took), ServedIn: latencyOf(t.served),
		Accepted: t.count[accepted], Shed: t.count[shed], Refused: t.count[refused], Failed: t.count[failed],
	}
	if p.Shed > 0 {
		l := latencyOf(t.shed)
		p.ShedIn = &l
	}
	return p
}

// PerSecond is the rate of accepted requests.
func (p Phase) PerSecond() float64 { return float64(p.Accepted) / max(p.Seconds, 1e-9) }

// String is one line about the phase.
func (p Phase) String() string {
	s := fmt.Sprintf("%-32s %8.0f/s  p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f ms", p.Name, p.PerSecond(), p.Latency.P50, p.Latency.P99, p.Latency.P999, p.Latency.Max)
	if p.ShedIn != nil {
		s += fmt.Sprintf("; %.0f/s shed, p50 %.1f p99 %.1f ms", float64(p.Shed)/p.Seconds, p.ShedIn.P50, p.ShedIn.P99)
	}
	return s + fmt.Sprintf("; CPU µs each: kizod %.0f, PostgreSQL %.0f, generator %.0f; busy %.0f %%; RSS %d MiB", p.each(p.Spent.Kizod),
		p.each(p.Spent.Postgres), p.each(p.Spent.Generator), p.busy(), p.PeakRSS>>20)
}

// total is all rounds of a phase together, with the rates of the worst and the best.
func (r *Report) total(name string) (t Phase, worst, best float64) {
	t.Name = name
	for _, p := range r.Phases {
		if p.Name != name {
			continue
		}
		if t.Seconds == 0 {
			worst = p.PerSecond()
		}
		worst, best = min(worst, p.PerSecond()), max(best, p.PerSecond())
		t.Seconds, t.Accepted, t.Spent = t.Seconds+p.Seconds, t.Accepted+p.Accepted, t.Spent.Plus(p.Spent)
		t.Batches, t.Commands, t.Committing = t.Batches+p.Batches, t.Commands+p.Commands, t.Committing+p.Committing
		t.took = append(t.took, p.took...)
	}
	slices.Sort(t.took)
	t.Latency = latencyOf(t.took)
	return t, worst, best
}

// Money compares what clients were answered with the database.
type Money struct {
	Kind     string  `json:"kind"`
	Accepted rig.Sum `json:"accepted"`
	Unknown  int64   `json:"unknown"` // requests without an answer
	Posted   rig.Sum `json:"posted"`
	Voided   rig.Sum `json:"voided"` // rejected by the bank
}

// Agree reports whether everything that was accepted has ended in the database, and
// nothing else but requests of unknown outcome.
func (m Money) Agree() bool {
	ended := m.Posted.Add(m.Voided)
	if m.Unknown == 0 {
		return ended == m.Accepted
	}
	return ended.Count >= m.Accepted.Count && ended.Count <= m.Accepted.Count+m.Unknown && ended.Minor >= m.Accepted.Minor
}

// Check is a figure with a target.
type Check struct {
	What   string `json:"what"`
	Value  string `json:"value"`
	Target string `json:"target"`
	Met    bool   `json:"met"`
}

// check adds a figure whose target is "≤" or "≥" a limit. Not a number misses it.
func (r *Report) check(what string, value float64, comparison string, limit float64) {
	met := value >= limit
	if comparison == "≤" {
		met = value <= limit
	}
	r.Checks = append(r.Checks, Check{what, fmt.Sprintf("%.2f", value), fmt.Sprintf("%s %g", comparison, limit), met})
}

// ratio compares the rates of two phases, if both were measured.
func (b *bench) ratio(of, to string, target float64) {
	x, _, _ := b.report.total(of)
	y, _, _ := b.report.total(to)
	if x.Accepted == 0 || y.Accepted == 0 {
		return
	}
	b.report.check(of+" / "+to, x.PerSecond()/y.PerSecond(), "≥", target)
	b.report.Notes = append(b.report.Notes, fmt.Sprintf("%s / %s per CPU second of PostgreSQL, kizod and this process: %.2f", of, to, x.perCPU()/y.perCPU()))
}

// latencyRatio compares the p99 of two phases.
func (b *bench) latencyRatio(of, to string, target float64) {
	x, _, _ := b.report.total(of)
	y, _, _ := b.report.total(to)
	b.report.check("p99 of "+of+" / p99 of "+to, x.Latency.P99/y.Latency.P99, "≤", target)
}

// Table is a further table of a report.
type Table struct {
	Header []string   `json:"header"`
	Rows   [][]string `json:"rows"`
}

// add adds a row: a name, then values and their formats in turns.
func (t *Table) add(name string, cells ...any) {
	row := []string{name}
	for pair := range slices.Chunk(cells, 2) {
		row = append(row, fmt.Sprintf(pair[1].(string), pair[0])) //nolint:forcetypeassert // see above
	}
	t.Rows = append(t.Rows, row)
}

// set adds a cell to the row of this name, which it adds if there is none.
func (t *Table) set(name, format string, args ...any) {
	i := slices.IndexFunc(t.Rows, func(row []string) bool { return row[0] == name })
	if i < 0 {
		i = len(t.Rows)
		t.Rows = append(t.Rows, []string{name})
	}
	t.Rows[i] = append(t.Rows[i], fmt.Sprintf(format, args...))
}

// compareMoney compares what was accepted, by kind, with what was added to the database.
func (r *Report) compareMoney(expected map[string]Money, since rig.Books) {
	for _, kind := range []string{"transfer", "deposit", "withdrawal"} {
		m := expected[kind]
		m.Kind, m.Posted, m.Voided = kind, since.Posted(kind), since[rig.Entry{Kind: kind, State: "voided"}]
		if m != (Money{Kind: kind}) {
			r.Money = append(r.Money, m)
		}
	}
}

// Wrong lists money that differs, which is a defect on any machine.
func (r *Report) Wrong() (list []string) {
	for _, m := range r.Money {
		if !m.Agree() {
			list = append(list, fmt.Sprintf("%ss: %d accepted (%d minor units, %d unknown), %d posted (%d) and %d voided (%d)", m.Kind,
				m.Accepted.Count, m.Accepted.Minor, m.Unknown, m.Posted.Count, m.Posted.Minor, m.Voided.Count, m.Voided.Minor))
		}
	}
	return list
}

// Missed lists the targets that were missed.
func (r *Report) Missed() (list []string) {
	for _, c := range r.Checks {
		if !c.Met {
			list = append(list, fmt.Sprintf("%s: %s, not %s", c.What, c.Value, c.Target))
		}
	}
	return list
}

// WriteFiles writes the report to dir, as markdown and as JSON, and returns the path
// without the extension.
func (r *Report) WriteFiles(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a report contains no secrets
		return "", fmt.Errorf("write the report: %w", err)
	}
	path := filepath.Join(dir, r.Began.Format("20060102-150405")+"-"+r.Scenario)
	var text strings.Builder
	r.WriteMarkdown(&text)
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write the report: %w", err)
	}
	for extension, contents := range map[string][]byte{".md": []byte(text.String()), ".json": append(data, '\n')} {
		if err := os.WriteFile(path+extension, contents, 0o644); err != nil { //nolint:gosec // as above
			return "", fmt.Errorf("write the report: %w", err)
		}
	}
	return path, nil
}

// WriteMarkdown writes the report for people.
func (r *Report) WriteMarkdown(w io.Writer) {
	fmt.Fprintf(w, "# %s\n\n%s %s.\n\n    %s\n\n", r.Scenario, r.Description, r.Options, r.Command)
	r.Environment.WriteMarkdown(w)
	r.phases().write(w)
	for _, t := range r.Tables {
		t.write(w)
	}
	money := Table{Header: []string{"Money, minor units", "Accepted", "", "Unknown", "Posted", "", "Voided", "", "Agrees"}}
	for _, m := range r.Money {
		money.add(m.Kind, m.Accepted.Count, "%d", m.Accepted.Minor, "%d", m.Unknown, "%d", m.Posted.Count, "%d", m.Posted.Minor, "%d",
			m.Voided.Count, "%d", m.Voided.Minor, "%d", yes(m.Agree(), "yes", "**NO**"), "%s")
	}
	money.write(w)
	var settled rig.Sum
	for _, m := range r.Money {
		settled = settled.Add(m.Posted)
	}
	fmt.Fprintf(w, "\nSettled: %d transfers, %d minor units, %.1f/s; %.1f s after the load no payment was open. Audit: %s.\n",
		settled.Count, settled.Minor, float64(settled.Count)/max(r.Spent.Elapsed.Seconds(), 1), r.SettledIn.Seconds(), r.Audit)
	r.writeSpent(w)
	checks := Table{Header: []string{"What", "Figure", "Target", ""}}
	for _, c := range r.Checks {
		checks.add(c.What, c.Value, "%s", c.Target, "%s", yes(c.Met, "met", "**missed**"), "%s")
	}
	checks.write(w)
	for _, note := range r.Notes {
		fmt.Fprintf(w, "\n%s\n", note)
	}
}

func (r *Report) phases() Table {
	t := Table{Header: []string{
		"Phase", "Step", "Accepted", "/s", "Offered/s", "p50 ms", "p90", "p99", "p99.9", "max", "Shed", "in p99 ms", "Refused", "Failed", "Unknown",
		"kizod µs", "PostgreSQL µs", "generator µs", "busy", "RSS MiB",
	}}
	for _, p := range r.Phases {
		l, shedIn, offered := p.Latency, "", float64(p.Accepted+p.Shed+p.Refused+p.Failed+p.Unknown)
		if p.ShedIn != nil {
			shedIn = fmt.Sprintf("%.1f", p.ShedIn.P99)
		}
		cells := []any{
			p.Step, "%s", p.Accepted, "%d", p.PerSecond(), "%.1f", offered / max(p.Seconds, 1e-9), "%.1f", l.P50, "%.1f", l.P90, "%.1f", l.P99, "%.1f", l.P999, "%.1f", l.Max, "%.1f",
			p.Shed, "%d", shedIn, "%s", p.Refused, "%d", p.Failed, "%d", p.Unknown, "%d",
		}
		if p.Spent.Elapsed > 0 {
			cells = append(cells, p.each(p.Spent.Kizod), "%.0f", p.each(p.Spent.Postgres), "%.0f", p.each(p.Spent.Generator), "%.0f",
				p.busy(), "%.0f %%", p.PeakRSS>>20, "%d")
		}
		t.add(p.Name, cells...)
	}
	return t
}

// write writes the table, if it has rows.
func (t Table) write(w io.Writer) {
	if len(t.Rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n| %s |\n|---|%s\n", strings.Join(t.Header, " | "), strings.Repeat("--:|", max(len(t.Header)-1, 0)))
	for _, row := range t.Rows {
		row = append(slices.Clone(row), make([]string, max(len(t.Header)-len(row), 0))...)
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
}

func (r *Report) writeSpent(w io.Writer) {
	g := r.Spent
	if g.Elapsed <= 0 {
		return
	}
	cpus := cmp.Or(r.Environment.CPUs, runtime.NumCPU())
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / (g.Elapsed.Seconds() * float64(cpus)) }
	others := max(share(g.Machine-g.Kizod-g.Postgres-g.Redis-g.Bank-g.Generator), 0)
	fmt.Fprintf(w, "\nOf the time of %d CPUs kizod took %.0f %%, PostgreSQL %.0f %%, Redis %.0f %%, the mock bank %.0f %%, the load generator %.0f %%, "+
		"others on the machine %.0f %%. kizod used at most %.0f MiB, %.0f MiB at the end.\n", cpus, share(g.Kizod), share(g.Postgres), share(g.Redis),
		share(g.Bank), share(g.Generator), others, float64(r.PeakRSS)/(1<<20), float64(g.RSS)/(1<<20))
	if others > maxOthers {
		fmt.Fprint(w, "\n**Other processes used the machine: repeat the run when it is quiet, or compare ratios within this run, per CPU second.**\n")
	}
}

// maxOthers is the share of the CPUs, in percent, that other processes may use before
// figures say more about them.
const maxOthers = 15

func yes(ok bool, is, not string) string {
	if ok {
		return is
	}
	return not
}
