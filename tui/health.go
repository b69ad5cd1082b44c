package tui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// healthView draws the Health screen: which parts answer, how fast, and what the janitor and the
// audit found.
func (p pen) healthView(o *operations, now time.Time, width, height int) string {
	if o.latest == nil {
		return p.notYet(o, width, height)
	}
	s, old := o.latest, o.old
	sections := []struct {
		title string
		pairs []draw.Pair
	}{
		{"API", p.apiHealth(s)}, {"Ledger and database", p.databaseHealth(s, old)},
		{"Bank and queue", p.bankHealth(s, old)}, {"Books", p.booksHealth(s, now)},
	}
	left := width
	if width >= 100 {
		left = max(54, min(60, width*2/5))
	}
	asOf := old
	if asOf == "" && !o.receivedAt.IsZero() {
		asOf = age(now.Sub(o.receivedAt)) + " ago"
	}
	var panels, plain []string
	for _, section := range sections {
		inner, _ := draw.Inner(left, 2)
		panel := draw.Panel(section.pairs, inner, p.Dim.Render)
		panels = append(panels, p.box(section.title, asOf, panel, left, len(section.pairs)+2))
		title := section.title
		if asOf != "" {
			title += " (" + asOf + ")"
		}
		plain = append(plain, p.Title.Render(draw.Fit(title, inner)), panel)
	}
	if strings.Count(draw.Stack(panels...), "\n") >= height { // frames take two lines each
		panels = plain
	}
	if width < 100 {
		return draw.Block(strings.Split(draw.Stack(panels...), "\n"), width, height)
	}
	return draw.Beside(draw.Block(strings.Split(draw.Stack(panels...), "\n"), left, height), p.healthCharts(o, width-left, height))
}

// maxTall is the height above which a chart shows nothing more.
const maxTall = 14

// healthCharts draws the charts below each other, in two columns where they fit.
func (p pen) healthCharts(o *operations, width, height int) string {
	all, columns := o.healthCharts(), 1
	if width >= 96 {
		columns = 2
	}
	rows := max(1, min(height/6, 4))
	all = all[:min(len(all), rows*columns)]
	rows = (len(all) + columns - 1) / columns
	tall := min(maxTall, height/rows)
	var blocks []string
	for column := range columns {
		wide := width / columns
		if column == columns-1 {
			wide = width - column*wide
		}
		var charts []string
		for i, c := range all[min(len(all), column*rows):min(len(all), (column+1)*rows)] {
			chartTall := tall
			if i == rows-1 && tall < maxTall {
				chartTall = height - tall*(rows-1)
			}
			charts = append(charts, p.chart(o, c, wide, chartTall))
		}
		blocks = append(blocks, draw.Block(strings.Split(draw.Stack(charts...), "\n"), wide, height))
	}
	return draw.Beside(blocks...)
}

func (p pen) apiHealth(s *client.OpsSnapshot) []draw.Pair {
	return []draw.Pair{
		{Name: "requests", Value: perSecond(s.Api.PerSecond)},
		{Name: "request p50 · p99", Value: milliseconds(figure(s.Api.P50Ms)) + " · " + milliseconds(figure(s.Api.P99Ms))},
	}
}

// nowOr returns the claim, or if the newest snapshot is old, the claim and its age.
func (p pen) nowOr(old string, claim draw.Pair) draw.Pair {
	if old == "" {
		return claim
	}
	_, words, _ := strings.Cut(claim.Value, " ") // without the glyph
	return draw.Pair{Value: "not known; " + old + ": " + words, Paint: p.Dim.Render}
}

func (p pen) databaseHealth(s *client.OpsSnapshot, old string) []draw.Pair {
	d := s.Database
	return []draw.Pair{
		named("database", p.nowOr(old, p.sign(d.Ok, "answers", "does not answer"))),
		{Name: "connections", Value: fmt.Sprintf("%d of %d busy", d.ConnectionsBusy, d.ConnectionsMax)},
		{Name: "commits", Value: perSecond(d.Commits.PerSecond)},
		{Name: "commit p50 · p99", Value: milliseconds(figure(d.Commits.P50Ms)) + " · " + milliseconds(figure(d.Commits.P99Ms))},
		{Name: "commands per commit", Value: plainFigure(figure(d.BatchSize))},
	}
}

func (p pen) bankHealth(s *client.OpsSnapshot, old string) []draw.Pair {
	breaker := draw.Pair{Value: unknownHere, Paint: p.Dim.Render}
	if s.BankBreaker != nil {
		breaker = p.nowOr(old, p.sign(*s.BankBreaker == "closed", "closed: payments go to the bank", *s.BankBreaker+": calls to the bank are paused"))
	}
	settlement := draw.Pair{Value: unknownHere, Paint: p.Dim.Render}
	if s.Settlement != nil {
		settlement = draw.Pair{Value: fmt.Sprintf("%s, p50 %s, p99 %s", perSecond(s.Settlement.PerSecond),
			milliseconds(figure(s.Settlement.P50Ms)), milliseconds(figure(s.Settlement.P99Ms)))}
	}
	return []draw.Pair{
		named("bank breaker", breaker),
		named("settlement", settlement),
		named("Redis", p.nowOr(old, p.sign(s.RedisOk, "answers", "does not answer; the janitor settles payments"))),
		named("workers", p.workers(s.Workers)),
	}
}

func (p pen) workers(w *client.WorkersSnapshot) draw.Pair {
	if w == nil {
		return draw.Pair{Value: unknownHere, Paint: p.Dim.Render}
	}
	pair := draw.Pair{Value: fmt.Sprintf("%d of %d busy, in %s", w.Busy, w.Slots, count(w.Servers, "process", "processes"))}
	if w.Servers == 0 {
		return p.sign(false, "", "none; the janitor settles payments")
	}
	return pair
}

func (p pen) booksHealth(s *client.OpsSnapshot, now time.Time) []draw.Pair {
	overdue, review, differences := unknownHere, unknownHere, unknownHere
	paint := []draw.Paint{p.Dim.Render, p.Dim.Render, p.Dim.Render}
	if j := s.Janitor; j != nil {
		for i, finding := range []int{j.Overdue, j.NeedsReview, j.Discrepancies} {
			paint[i] = p.Good.Render
			if finding > 0 {
				paint[i] = p.Warn.Render
			}
		}
		overdue, review, differences = p.finding(j.Overdue), p.finding(j.NeedsReview), p.finding(j.Discrepancies)
	}
	audit := draw.Pair{Value: "none by this server", Paint: p.Dim.Render}
	if a := s.LastAudit; a != nil {
		audit = p.sign(a.Ok, "the books balanced "+age(now.Sub(a.At))+" ago", "THE BOOKS DID NOT BALANCE "+age(now.Sub(a.At))+" ago")
	}
	return []draw.Pair{
		{Name: "overdue payments", Value: overdue, Paint: paint[0]},
		{Name: "need review", Value: review, Paint: paint[1]},
		{Name: "open discrepancies", Value: differences, Paint: paint[2]},
		named("last audit", audit),
	}
}

func (p pen) finding(n int) string {
	if n == 0 {
		return p.glyph("✓", "ok") + " none"
	}
	return p.glyph("▲", "!") + " " + strconv.Itoa(n)
}

// notYet draws an operators' screen before the first snapshot.
func (p pen) notYet(o *operations, width, height int) string {
	text := []string{p.Dim.Render("Waiting for the first snapshot…")}
	if o.denied {
		text = []string{
			p.Warn.Render(p.glyph("▲", "!") + " This screen is for operators, and you are not one."),
			"",
			"An administrator of the server can make you one:",
			"",
			"  " + p.Key.Render("kizod user grant HANDLE operator"),
			"",
			p.Dim.Render("Then log in again."),
		}
	}
	for i := range text {
		text[i] = "  " + text[i]
	}
	return draw.Block(append([]string{""}, text...), width, height)
}

func plainFigure(v float64) string {
	if v != v { // NaN
		return "–"
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
