package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// report is a run, as JSON and as markdown.
type report struct {
	Scenario     string          `json:"scenario"`
	Options      string          `json:"options"`
	Environment  rig.Environment `json:"environment"`
	Phases       []phase         `json:"phases"`
	Ratios       []ratio         `json:"ratios"`
	Accepted     int64           `json:"accepted"` // transfers that somebody was told were posted
	Settled      int64           `json:"settled"`  // that stand posted in the books
	AuditSeconds float64         `json:"audit_seconds"`
	ReadyMs      []int64         `json:"ready_ms,omitempty"`
	IdleRSS      int64           `json:"idle_rss_bytes,omitempty"`
}

// phase is one load, measured.
type phase struct {
	Name      string     `json:"name"`
	Seconds   float64    `json:"seconds"`
	Offered   float64    `json:"offered_per_second"` // what was sent
	PerSecond float64    `json:"accepted_per_second"`
	Accepted  int64      `json:"accepted"`
	Shed      int64      `json:"shed"`
	Refused   int64      `json:"refused"`
	Failed    int64      `json:"failed"`
	Took      quantiles  `json:"took_ms"`
	ShedIn    *quantiles `json:"shed_in_ms,omitempty"`
	Spent     rig.Gauge  `json:"spent"`
	MostRSS   int64      `json:"most_rss_bytes"`
}

type quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func quantilesOf(h *hdrhistogram.Histogram) quantiles {
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	return quantiles{at(50), at(90), at(99), at(99.9), float64(h.Max()) / 1000}
}

func newPhase(name string, t *tally, spent rig.Gauge, rss int64) phase {
	seconds := t.elapsed.Seconds()
	p := phase{
		Name: name, Seconds: seconds, Accepted: t.count[accepted], Shed: t.count[shed], Refused: t.count[refused], Failed: t.count[failed],
		PerSecond: float64(t.count[accepted]) / seconds, Took: quantilesOf(t.took), Spent: spent, MostRSS: rss,
	}
	p.Offered = float64(p.Accepted+p.Shed+p.Refused+p.Failed) / seconds
	if p.Shed > 0 {
		q := quantilesOf(t.shedIn)
		p.ShedIn = &q
	}
	return p
}

func (p phase) String() string {
	s := fmt.Sprintf("%-32s %8.0f/s  p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f ms", p.Name, p.PerSecond, p.Took.P50, p.Took.P99, p.Took.P999, p.Took.Max)
	if p.ShedIn != nil {
		s += fmt.Sprintf("; %.0f/s shed, p50 %.1f p99 %.1f ms", float64(p.Shed)/p.Seconds, p.ShedIn.P50, p.ShedIn.P99)
	}
	return s + fmt.Sprintf("; CPU us each: kizod %.0f, postgres %.0f, generator %.0f; busy %.0f %%; RSS %d MiB", p.each(p.Spent.Kizod), p.each(p.Spent.Postgres),
		p.each(p.Spent.Generator), p.busy(), p.MostRSS>>20)
}

// each is what one accepted request took of a time, in µs.
func (p phase) each(d time.Duration) float64 {
	return float64(d.Microseconds()) / max(float64(p.Accepted), 1)
}

// busy is how much of the machine worked, for anybody, in per cent.
func (p phase) busy() float64 {
	return 100 * p.Spent.Machine.Seconds() / (p.Spent.Elapsed.Seconds() * float64(runtime.NumCPU()))
}

// ratio is one phase against another, in throughput or, where Of says so, in p99.
type ratio struct {
	Of   string  `json:"of"`
	To   string  `json:"to"`
	Is   float64 `json:"is"`
	Aim  float64 `json:"aim"`
	Most bool    `json:"aim_is_the_most"`
}

// mean of the phases of a name, over all rounds.
func (b *bench) mean(name string, of func(phase) float64) float64 {
	var sum, n float64
	for _, p := range b.report.Phases {
		if p.Name == name {
			sum, n = sum+of(p), n+1
		}
	}
	return sum / n
}

func (b *bench) ratio(of, to string, aim float64) {
	rate := func(p phase) float64 { return p.PerSecond }
	if math.IsNaN(b.mean(of, rate) / b.mean(to, rate)) {
		return // one of them was left out
	}
	b.report.Ratios = append(b.report.Ratios, ratio{of, to, b.mean(of, rate) / b.mean(to, rate), aim, false})
}

func (b *bench) latencyRatio(of, to string, most float64) {
	p99 := func(p phase) float64 { return p.Took.P99 }
	b.report.Ratios = append(b.report.Ratios, ratio{"p99 of " + of, "p99 of " + to, b.mean(of, p99) / b.mean(to, p99), most, true})
}

func (r ratio) reached() string {
	if (r.Is >= r.Aim) != r.Most || r.Is == r.Aim {
		return "reached"
	}
	return "MISSED"
}

// write prints the report and keeps it.
func (b *bench) write() error {
	text := b.report.markdown()
	fmt.Fprintln(b.out, "\n"+text)
	if err := os.MkdirAll(b.options.report, 0o755); err != nil { //nolint:gosec // nothing secret
		return err
	}
	name := filepath.Join(b.options.report, "go-"+b.report.Scenario)
	encoded, err := json.MarshalIndent(b.report, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".json", append(encoded, '\n'), 0o644); err != nil { //nolint:gosec // nothing secret
		return err
	}
	return os.WriteFile(name+".md", []byte(text), 0o644) //nolint:gosec // nothing secret
}

func (r report) markdown() string {
	var s strings.Builder
	fmt.Fprintf(&s, "# %s\n\n%s.\n\n", r.Scenario, r.Options)
	if len(r.Phases) > 0 {
		s.WriteString("| | offered/s | accepted/s | p50 ms | p99 ms | p99.9 ms | max ms | shed | shed p99 ms | kizod µs | PostgreSQL µs | generator µs | busy | RSS MiB |\n")
		s.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	}
	for _, p := range r.Phases {
		shedIn := ""
		if p.ShedIn != nil {
			shedIn = fmt.Sprintf("%.1f", p.ShedIn.P99)
		}
		fmt.Fprintf(&s, "| %s | %.0f | %.0f | %.1f | %.1f | %.1f | %.1f | %d | %s | %.0f | %.0f | %.0f | %.0f %% | %d |\n", p.Name, p.Offered, p.PerSecond,
			p.Took.P50, p.Took.P99, p.Took.P999, p.Took.Max, p.Shed, shedIn, p.each(p.Spent.Kizod), p.each(p.Spent.Postgres), p.each(p.Spent.Generator),
			p.busy(), p.MostRSS>>20)
	}
	if len(r.Ratios) > 0 {
		s.WriteString("\n| ratio | is | aim | |\n|---|---|---|---|\n")
	}
	for _, q := range r.Ratios {
		bound := "≥"
		if q.Most {
			bound = "≤"
		}
		fmt.Fprintf(&s, "| %s / %s | %.2f | %s %g | %s |\n", q.Of, q.To, q.Is, bound, q.Aim, q.reached())
	}
	if len(r.ReadyMs) > 0 {
		fmt.Fprintf(&s, "\nDrained, started and ready again in %d ms. %.1f MiB resident at rest.\n", r.ReadyMs, float64(r.IdleRSS)/(1<<20))
	}
	fmt.Fprintf(&s, "\n%d transfers accepted, %d posted in the books; audit passed in %.1f s.\n\n", r.Accepted, r.Settled, r.AuditSeconds)
	r.Environment.WriteMarkdown(&s)
	return s.String()
}
