package tui

import (
	"math"
	"strconv"
	"strings"

	"github.com/JDevAman/kizo/tui/draw"
)

// chart describes a chart of figures over time.
type chart struct {
	title      string
	area, line string // names of figures; line may be empty
	note       string // the newest values, those of area and line separated by " · "
	format     func(float64) string
	log        bool    // the scale is logarithmic
	mean       bool    // of a rate; of other figures, the maximum of a column is drawn
	warn, bad  float64 // values from which it is painted as a warning or an error; 0 for never
}

// joinedSteps is the number of seconds or minutes without observations that a latency bridges.
const joinedSteps = 20

// chart draws figures in a box.
func (p pen) chart(o *operations, c chart, width, height int) string {
	inner, rows := draw.Inner(width, height)
	f := o.charted()
	span, ago := o.span()
	area, line := p.Accent.UnsetBold().Render, p.Good.Render
	plot := draw.Plot{
		Area: f.of(c.area), Line: f.of(c.line), Newest: f.newest, Span: span, Width: inner, Height: rows, Mean: c.mean, Log: c.log, Join: joinedSteps,
		Format: c.format, Ago: ago, Detail: p.detail, AreaPaint: area, LinePaint: line, Scale: p.Dim.Render,
		Level: func(v float64) draw.Paint {
			switch {
			case c.bad > 0 && v >= c.bad:
				return p.Bad.Render
			case c.warn > 0 && v >= c.warn:
				return p.Warn.Render
			}
			return nil
		},
	}
	title := c.title
	if rows < 4 || inner < 24 { // too small for a time axis
		title += ", " + ago
	}
	box := draw.Box{Title: title, Note: c.note, Body: plot.Draw(), Width: width, Height: height, Detail: p.detail, Border: p.Border.Render, Label: p.Title.Render}
	if c.line != "" {
		areaNote, lineNote, _ := strings.Cut(c.note, " · ")
		box.Legend = area(p.sample()) + p.Border.Render(" "+areaNote+"  ") + line(p.glyph("─", "-")) + p.Border.Render(" "+lineNote)
	}
	return box.Draw()
}

// span returns the number of steps that the charts show, and its name: 15 minutes or 24 hours, and
// less while there are samples of less.
func (o *operations) span() (steps int, name string) {
	if o.day {
		switch n := o.minutes.length; {
		case n <= 60:
			return 60, "1 h"
		case n <= 6*60:
			return 6 * 60, "6 h"
		}
		return 24 * 60, "24 h"
	}
	switch n := o.seconds.length; {
	case n <= 2*60:
		return 2 * 60, "2 min"
	case n <= 5*60:
		return 5 * 60, "5 min"
	}
	return 15 * 60, "15 min"
}

// latencyChart shows p50 as an area and p99 as a line, in milliseconds.
func (o *operations) latencyChart(title, p50, p99 string, warn, bad float64) chart {
	f := &o.seconds
	return chart{
		title: title, area: p50, line: p99, format: scaleMilliseconds, log: true, warn: warn, bad: bad,
		note: "p50 " + milliseconds(f.now(p50)) + " · p99 " + milliseconds(f.now(p99)),
	}
}

// rateChart shows a rate, with the mean of the last minute.
func (o *operations) rateChart(title, rate string, warn float64) chart {
	f := &o.seconds
	return chart{
		title: title, area: rate, format: perSecond, mean: true, warn: warn,
		note: "now " + perSecond(f.now(rate)) + " · 1 min " + perSecond(f.mean(rate, 60)),
	}
}

// countChart shows a number of tasks or commands.
func (o *operations) countChart(title, name string, warn, bad float64) chart {
	return chart{title: title, area: name, format: plainCount, note: "now " + plainCount(o.seconds.now(name)), warn: warn, bad: bad}
}

// The levels of the charts are those of the alerts (deploy/prometheus/alerts.yml), where there are
// some.
func (o *operations) queueCharts(queue string) []chart {
	return []chart{
		o.rateChart("Done", doneRate+queue, 0),
		o.latencyChart("Settlement", settledP50, settledP99, 5_000, 10_000),
		o.countChart("Waiting", waitingTasks+queue, 100, 1_000),
		o.rateChart("Failed", failedRate+queue, 0.01),
	}
}

func (o *operations) healthCharts() []chart {
	queue := ""
	if o.latest.Queues != nil && len(*o.latest.Queues) > 0 {
		queue = (*o.latest.Queues)[0].Name
	}
	return []chart{
		o.latencyChart("API requests", apiP50, apiP99, 100, 1_000),
		o.latencyChart("Ledger commits", commitP50, commitP99, 50, 250),
		o.latencyChart("Settlement", settledP50, settledP99, 5_000, 10_000),
		o.countChart("Commands per commit", batchSize, 0, 0),
		o.rateChart("Requests", apiRate, 0),
		o.rateChart("Commits", commitRate, 0),
		o.rateChart("Settled", settledRate, 0),
		o.countChart("Tasks waiting", waitingTasks+queue, 100, 1_000),
	}
}

// scaleMilliseconds labels a scale.
func scaleMilliseconds(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 1000:
		return strconv.FormatFloat(v/1000, 'g', 3, 64) + " s"
	}
	return strconv.FormatFloat(v, 'g', 3, 64) + " ms"
}

func plainCount(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// sample is a character of an area, for a legend.
func (p pen) sample() string {
	switch p.detail {
	case draw.Braille:
		return "⣿"
	case draw.Blocks:
		return "█"
	}
	return "#"
}
