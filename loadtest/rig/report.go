package rig

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Report is what a load test found. A field that is empty is not shown.
type Report struct {
	Scenario    string        `json:"scenario"`
	Sentence    string        `json:"sentence"` // what was done
	Command     string        `json:"command"`  // that repeats it
	Began       time.Time     `json:"began"`
	Took        time.Duration `json:"took_ns"` // the load, without seeding
	Environment Environment   `json:"environment"`
	Steps       []Step        `json:"steps"`
	Money       []Money       `json:"money"`
	Spent       Gauge         `json:"spent"`
	PeakRSS     int64         `json:"peak_rss_bytes"` // of kizod
	SettledIn   time.Duration `json:"settled_in_ns"`  // from the end of the load until no payment was open
	Checks      []Check       `json:"checks"`
	Notes       []string      `json:"notes,omitempty"`
	Audit       string        `json:"audit"`
}

// Step is one sort of request in one phase of the load. Latencies are of the
// accepted, in milliseconds; refusals (429 and 503) have their own.
type Step struct {
	Name     string  `json:"name"`
	Phase    string  `json:"phase"`
	Seconds  float64 `json:"seconds"` // of the phase
	Accepted int64   `json:"accepted"`
	Refused  int64   `json:"refused"`
	Failed   int64   `json:"failed"`
	Unknown  int64   `json:"unknown"` // no answer to something that moves money
	Minor    int64   `json:"minor"`   // money that was accepted
	Latency  Latency `json:"latency"`
	Refusal  Latency `json:"refusal"`
}

// Latency is a distribution, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Rate is how many were accepted in a second.
func (s Step) Rate() float64 {
	if s.Seconds <= 0 {
		return 0
	}
	return float64(s.Accepted) / s.Seconds
}

// Money compares what clients were told with what stands in the books.
type Money struct {
	Kind     string `json:"kind"`
	Accepted Sum    `json:"accepted"`
	Unknown  int64  `json:"unknown"` // may or may not have been done
	Posted   Sum    `json:"posted"`
	Voided   Sum    `json:"voided"` // rejected by the bank
}

// Agree tells whether everything that was accepted has come to its end in the books,
// and nothing besides but what nobody was told the outcome of.
func (m Money) Agree() bool {
	ended := Sum{m.Posted.Count + m.Voided.Count, m.Posted.Minor + m.Voided.Minor}
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

// CompareMoney makes the report's comparison from the steps that moved money,
// named as the kinds of transfer that they make, and what came into the books meanwhile.
func (r *Report) CompareMoney(since Books) {
	for _, kind := range []string{"transfer", "deposit", "withdrawal"} {
		m := Money{Kind: kind, Posted: since.Posted(kind), Voided: since[Entry{kind, "voided"}]}
		for _, s := range r.Steps {
			if s.Name == kind {
				m.Accepted.Count, m.Accepted.Minor = m.Accepted.Count+s.Accepted, m.Accepted.Minor+s.Minor
				m.Unknown += s.Unknown
			}
		}
		if m != (Money{Kind: kind}) {
			r.Money = append(r.Money, m)
		}
	}
}

// Wrong lists what is a defect whatever the machine: money that does not agree.
func (r *Report) Wrong() (list []string) {
	for _, m := range r.Money {
		if !m.Agree() {
			list = append(list, fmt.Sprintf("%ss: %d accepted (%d minor units, %d unknown), %d posted (%d) and %d voided (%d)", m.Kind,
				m.Accepted.Count, m.Accepted.Minor, m.Unknown, m.Posted.Count, m.Posted.Minor, m.Voided.Count, m.Voided.Minor))
		}
	}
	return list
}

// Missed lists the targets that were not met.
func (r *Report) Missed() (list []string) {
	for _, c := range r.Checks {
		if !c.Met {
			list = append(list, fmt.Sprintf("%s: %s, not %s", c.What, c.Value, c.Target))
		}
	}
	return list
}

// WriteFiles writes the report to dir, as markdown and as JSON, and returns the
// path without its ending.
func (r *Report) WriteFiles(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a report is for everybody
		return "", fmt.Errorf("write the report: %w", err)
	}
	path := filepath.Join(dir, r.Began.Format("20060102-150405")+"-"+r.Scenario)
	var text strings.Builder
	r.WriteMarkdown(&text)
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write the report: %w", err)
	}
	for ending, contents := range map[string][]byte{".md": []byte(text.String()), ".json": append(data, '\n')} {
		if err := os.WriteFile(path+ending, contents, 0o644); err != nil { //nolint:gosec // as above
			return "", fmt.Errorf("write the report: %w", err)
		}
	}
	return path, nil
}

// WriteMarkdown writes the report for people.
func (r *Report) WriteMarkdown(w io.Writer) {
	fmt.Fprintf(w, "# %s\n\n%s\n\n    %s\n\n", r.Scenario, r.Sentence, r.Command)
	r.Environment.WriteMarkdown(w)
	fmt.Fprint(w, "\n| Step | Phase | Accepted | /s | Refused | Failed | Unknown | p50 ms | p90 | p99 | p99.9 | max |\n"+
		"|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, s := range r.Steps {
		fmt.Fprintf(w, "| %s | %s | %d | %.1f | %d | %d | %d | %s |\n", s.Name, s.Phase, s.Accepted, s.Rate(), s.Refused, s.Failed, s.Unknown, s.Latency)
		if s.Refused > 0 {
			fmt.Fprintf(w, "| … refused (429, 503) | %s | | | | | | %s |\n", s.Phase, s.Refusal)
		}
	}
	if len(r.Money) > 0 {
		fmt.Fprint(w, "\n| Money, minor units | Accepted | | Unknown | Posted | | Voided | | Agrees |\n|---|--:|--:|--:|--:|--:|--:|--:|---|\n")
	}
	var settled Sum
	for _, m := range r.Money {
		fmt.Fprintf(w, "| %s | %d | %d | %d | %d | %d | %d | %d | %s |\n", m.Kind, m.Accepted.Count, m.Accepted.Minor, m.Unknown,
			m.Posted.Count, m.Posted.Minor, m.Voided.Count, m.Voided.Minor, yes(m.Agree()))
		settled.Count, settled.Minor = settled.Count+m.Posted.Count, settled.Minor+m.Posted.Minor
	}
	if r.Took > 0 && settled.Count > 0 {
		fmt.Fprintf(w, "\nSettled: %d transfers, %d minor units, %.1f/s; %.1f s after the load no payment was open. Audit: %s.\n",
			settled.Count, settled.Minor, float64(settled.Count)/r.Took.Seconds(), r.SettledIn.Seconds(), r.Audit)
	}
	r.writeSpent(w)
	if len(r.Checks) > 0 {
		fmt.Fprint(w, "\n| What | Figure | Target | |\n|---|---|---|---|\n")
	}
	for _, c := range r.Checks {
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", c.What, c.Value, c.Target, map[bool]string{true: "met", false: "**missed**"}[c.Met])
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "\n%s\n", note)
	}
}

func (r *Report) writeSpent(w io.Writer) {
	g := r.Spent
	if g.Elapsed <= 0 {
		return
	}
	cpus := r.Environment.CPUs
	if cpus < 1 {
		cpus = runtime.NumCPU()
	}
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / (g.Elapsed.Seconds() * float64(cpus)) }
	others := max(share(g.Machine-g.Kizod-g.Postgres-g.Redis-g.Bank-g.Generator), 0)
	fmt.Fprintf(w, "\nOf the time of %d CPUs kizod took %.0f %%, PostgreSQL %.0f %%, Redis %.0f %%, the mock bank %.0f %%, the load generator %.0f %%, "+
		"others on the machine %.0f %%. kizod held %.0f MiB at most, %.0f MiB at the end.\n", cpus, share(g.Kizod), share(g.Postgres), share(g.Redis),
		share(g.Bank), share(g.Generator), others, float64(r.PeakRSS)/(1<<20), float64(g.RSS)/(1<<20))
	if others > tooMuch {
		fmt.Fprint(w, "\n**OTHERS USED THE MACHINE: run it again when it is quiet, or go by ratios within this run.**\n")
	}
}

// tooMuch is the share of the processors, in percent, that others may take before
// figures say more about them.
const tooMuch = 15

// String is the cells of a table.
func (l Latency) String() string {
	return fmt.Sprintf("%.1f | %.1f | %.1f | %.1f | %.1f", l.P50, l.P90, l.P99, l.P999, l.Max)
}

func yes(ok bool) string {
	if ok {
		return "yes"
	}
	return "**NO**"
}
