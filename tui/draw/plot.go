package draw

import (
	"math"
	"slices"
	"strings"
)

// Plot is a chart with axes: a filled area, and optionally a line of the same scale above it.
//
//	250 ms ┤      ⢀⡠⠤⡀          Line, here p99
//	       │ ⣀⣀⣠⣤⣶⣿⣿⣿⣶⣤⣄⣀     Area, here p50
//	     0 ┼──────── ─────────  a break in the axis: there are no samples
//	        15 min ago     now
//
// Values are on a grid of steps. The steps of one column of dots depend on the number of the step
// alone, so that what is drawn moves to the left and does not change its shape.
type Plot struct {
	Area, Line    []float64 // oldest first, equally long; NaN without a sample, Idle if nothing happened
	Newest        int64     // the number of the last step
	Span          int       // the number of steps that the width shows
	Width, Height int

	Mean   bool                 // a column shows the mean of its steps; without it, the maximum
	Log    bool                 // the scale is logarithmic, for values of several magnitudes
	Above  bool                 // the lower end is not 0, but just below the smallest value
	Join   int                  // so many idle steps between two values are bridged
	Format func(float64) string // labels a value, with its unit
	Ago    string               // the age of the left end of the time axis, "15 min"; the right end is "now"

	Detail                      Detail
	AreaPaint, LinePaint, Scale Paint
	Level                       func(float64) Paint // paints what is drawn at a height; nil for the paints above
}

// Idle is the value of a step in which nothing happened that could be measured.
var Idle = math.Inf(-1)

// minPlot is the size below which a chart has no axes.
const (
	minPlotWidth  = 24
	minPlotHeight = 4
)

// Draw returns exactly Height lines of exactly Width columns. Values that are all the same are a
// number, because a full block has nothing to show.
func (p Plot) Draw() string {
	if p.Width < 1 || p.Height < 1 {
		return ""
	}
	if len(p.Area) == 0 || p.Span < 1 {
		return Block([]string{p.Scale.on(Cut("no samples yet", p.Width))}, p.Width, p.Height)
	}
	axes := p.Width >= minPlotWidth && p.Height >= minPlotHeight
	gutter, rows := 0, p.Height
	if axes {
		rows -= 2 // the axis and its labels
		gutter = p.gutter()
	}
	width := p.Width - gutter
	area, line := p.sampled(p.Area, width), p.sampled(p.Line, width)
	low, high, some := bounds(area, line)
	if constant := some && low == high && !p.moves(); constant || !some {
		return p.single(low, some)
	}
	r := p.scale(low, high)
	cells := p.cells(area, line, r, width, rows)
	if !axes {
		return Block(cells, p.Width, p.Height)
	}
	for row := range cells {
		label := p.label(r, row, rows)
		cells[row] = p.Scale.on(FitRight(label, gutter-2)+" "+p.Detail.lines().tick(label != "")) + cells[row]
	}
	return Block(append(cells, p.axis(area, r.low, gutter), p.times(gutter)), p.Width, p.Height)
}

// label returns the label of a row: the maximum at the top, and further ones where they fit.
func (p Plot) label(r scale, row, rows int) string {
	upper, lower := r.at(float64(rows-row)/float64(rows)), r.at(float64(rows-row-1)/float64(rows))
	if row == 0 {
		return p.Format(r.high)
	}
	if r.log {
		if power := math.Pow(10, math.Floor(math.Log10(upper)+1e-9)); power > lower*(1+1e-9) && power > r.low {
			return p.Format(power)
		}
		return ""
	}
	if rows >= 7 && row == rows/2 {
		return p.Format(r.at(0.5))
	}
	return ""
}

// gutter is the width of the labels at the left, which depends on no value, so that the chart
// does not jump: as wide as the longest label of figures.
func (p Plot) gutter() int {
	low, high, some := bounds(p.Area, p.Line)
	if !some {
		low, high = 0, 1
	}
	r := p.scale(low, high)
	widest := 6
	for _, v := range []float64{r.low, r.high, (r.low + r.high) / 2} {
		widest = max(widest, TextWidth(p.Format(v)))
	}
	return min(widest, p.Width/2) + 2
}

// moves reports whether the two figures differ from each other.
func (p Plot) moves() bool {
	for i := range p.Line {
		if i < len(p.Area) && known(p.Line[i]) && known(p.Area[i]) && p.Line[i] != p.Area[i] {
			return true
		}
	}
	return false
}

// single shows one number in place of a curve.
func (p Plot) single(value float64, known bool) string {
	text := "nothing measured in the last " + p.Ago
	if known {
		text = p.Format(value) + " in every sample of the last " + p.Ago
	}
	words := Wrap(text, max(2, p.Width-2))
	if len(words) > p.Height {
		words = []string{text}
	}
	lines := slices.Repeat([]string{""}, max(0, p.Height-len(words))/2)
	for _, line := range words {
		lines = append(lines, p.Scale.on(Cut(" "+line, p.Width)))
	}
	return Block(lines, p.Width, p.Height)
}

// scale maps values to heights from 0 to 1.
type scale struct {
	low, high float64
	log       bool
}

func (r scale) height(v float64) float64 {
	if r.log {
		return math.Log(max(v, r.low)/r.low) / math.Log(r.high/r.low)
	}
	return (v - r.low) / (r.high - r.low)
}

// at returns the value at a height.
func (r scale) at(height float64) float64 {
	if r.log {
		return r.low * math.Pow(r.high/r.low, height)
	}
	return r.low + (r.high-r.low)*height
}

// smallest is the least difference that a scale shows.
const smallest = 1e-9

// scale returns a scale with round ends around the values.
func (p Plot) scale(low, high float64) scale {
	switch {
	case p.Log:
		high = roundUp(max(high, smallest))
		low = math.Pow(10, math.Floor(math.Log10(max(low, high/1e6))))
		return scale{low, max(high, 10*low), true}
	case p.Above && high > low && low > high/2:
		unit := roundUp((high - low) / 4)
		return scale{math.Floor(low/unit) * unit, math.Ceil(high/unit) * unit, false}
	case low >= 0:
		return scale{0, roundUp(max(high, smallest)), false}
	}
	return scale{-roundUp(-low), roundUp(max(high, smallest)), false}
}

// roundUp returns the next of 1, 1.5, 2, 3, 4, 5, 6, 8 and 10, times a power of ten.
func roundUp(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 1.5, 2, 3, 4, 5, 6, 8} {
		if v <= step*power*(1+1e-9) {
			return step * power
		}
	}
	return 10 * power
}

func bounds(lists ...[]float64) (low, high float64, some bool) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, values := range lists {
		for _, v := range values {
			if known(v) {
				low, high, some = min(low, v), max(high, v), true
			}
		}
	}
	return low, high, some
}

// sampled returns a value for each column of dots.
func (p Plot) sampled(values []float64, width int) []float64 {
	if len(values) == 0 || width < 1 {
		return nil
	}
	columns := width * p.Detail.columns()
	per := float64(p.Span) / float64(columns) // steps
	last := int64(math.Floor(float64(p.Newest) / per))
	oldest := p.Newest - int64(len(values)) + 1
	out := make([]float64, columns)
	for i := range out {
		column := float64(last - int64(columns-1-i))
		from := int64(math.Ceil(column * per))
		to := int64(math.Ceil((column + 1) * per))
		if from >= to { // less than a step: that of the step that it belongs to
			from = int64(math.Floor(column * per))
			to = from + 1
		}
		out[i] = p.joined(values, int(max(from, oldest)-oldest), int(min(to, p.Newest+1)-oldest))
	}
	p.bridge(out, max(1, int(float64(p.Join)/per)))
	return out
}

// joined returns the value of the steps from..to.
func (p Plot) joined(values []float64, from, to int) float64 {
	sum, most, count, result := 0.0, math.Inf(-1), 0, math.NaN()
	for i := max(0, from); i < min(to, len(values)); i++ {
		switch v := values[i]; {
		case known(v):
			sum, most, count = sum+v, max(most, v), count+1
		case math.IsInf(v, -1) && count == 0:
			result = Idle
		}
	}
	switch {
	case count == 0:
		return result
	case p.Mean:
		return sum / float64(count)
	}
	return most
}

// bridge joins values over at most so many idle columns.
func (p Plot) bridge(columns []float64, most int) {
	if p.Join == 0 {
		return
	}
	before := -1
	for i, v := range columns {
		switch {
		case known(v):
			if n := i - before; before >= 0 && n > 1 && n-1 <= most {
				for j := before + 1; j < i; j++ {
					columns[j] = columns[before] + (v-columns[before])*float64(j-before)/float64(n)
				}
			}
			before = i
		case math.IsNaN(v):
			before = -1 // a gap stays a gap
		}
	}
}

// cells draws the figures, without axes.
func (p Plot) cells(area, line []float64, r scale, width, rows int) []string {
	steps := p.Detail.steps()
	heightOf := func(v float64) int {
		if !known(v) {
			return 0
		}
		return 1 + int(math.Round(r.height(v)*float64(rows*steps-1)))
	}
	perColumn := p.Detail.columns()
	lines := make([]string, rows)
	for row := range rows {
		below := (rows - 1 - row) * steps
		middle := r.at((float64(rows-1-row) + 0.5) / float64(rows))
		areaPaint, linePaint := p.AreaPaint, p.LinePaint
		if p.Level != nil {
			if level := p.Level(middle); level != nil {
				linePaint = level
				if len(line) == 0 {
					areaPaint = level
				}
			}
		}
		runs := painter{paints: [2]Paint{areaPaint, linePaint}}
		for column := range width {
			filled, marked := make([]int, perColumn), make([][2]int, perColumn)
			some := false
			for i := range perColumn {
				at := column*perColumn + i
				filled[i] = min(steps, max(0, heightOf(area[at])-below))
				some = some || filled[i] > 0
				if at < len(line) && known(line[at]) {
					from, to := p.stroke(line, at, heightOf)
					marked[i] = [2]int{max(1, from-below), min(steps, to-below)}
				}
			}
			paint := 1
			if some {
				paint = 0
			}
			runs.add(p.Detail.cell(filled, marked), paint)
		}
		lines[row] = runs.text()
	}
	return lines
}

// stroke returns the dots of a line in a column: from halfway to its neighbor, so that they touch.
func (p Plot) stroke(line []float64, at int, heightOf func(float64) int) (from, to int) {
	own := heightOf(line[at])
	from, to = own, own
	if at > 0 && known(line[at-1]) {
		if before := heightOf(line[at-1]); before < own {
			from = min(own, before+1)
		} else if before > own {
			to = max(own, before-1)
		}
	}
	return from, to
}

// axis draws the time axis. It is interrupted where there are no samples.
func (p Plot) axis(area []float64, low float64, gutter int) string {
	perColumn := p.Detail.columns()
	var line strings.Builder
	for column := 0; column < len(area); column += perColumn {
		sampled := false
		for _, v := range area[column:min(len(area), column+perColumn)] {
			sampled = sampled || !math.IsNaN(v)
		}
		if sampled {
			line.WriteString(p.Detail.lines().across)
		} else {
			line.WriteString(" ")
		}
	}
	return p.Scale.on(FitRight(p.Format(low), gutter-2) + " " + p.Detail.lines().origin() + line.String())
}

func (p Plot) times(gutter int) string {
	rest := p.Width - gutter
	from := Cut(p.Ago+" ago", max(0, rest-4))
	return p.Scale.on(strings.Repeat(" ", gutter) + from + FitRight("now", rest-TextWidth(from)))
}

// painter joins neighboring characters with the same paint into one run, so that a row has few
// sequences.
type painter struct {
	out, run strings.Builder
	paints   [2]Paint // of the area and of the line
	current  int
}

func (b *painter) add(character string, paint int) {
	if character != " " && paint != b.current {
		b.flush()
		b.current = paint
	}
	b.run.WriteString(character)
}

func (b *painter) flush() {
	b.out.WriteString(b.paints[b.current].on(b.run.String()))
	b.run.Reset()
}

func (b *painter) text() string {
	b.flush()
	return b.out.String()
}

// columns is the number of values that one character shows.
func (d Detail) columns() int {
	if d == Braille {
		return 2
	}
	return 1
}

// steps is the number of heights of one character.
func (d Detail) steps() int {
	switch d {
	case Braille:
		return 4
	case Blocks:
		return 8
	}
	return 3
}

// cell returns a character whose columns are filled up to a step, and have a line from one step
// to another; a line that ends before it begins is none. Where a character cannot show both, it
// shows the area.
func (d Detail) cell(filled []int, marked [][2]int) string {
	if d == Braille {
		left, right := [...]rune{0x40, 0x04, 0x02, 0x01}, [...]rune{0x80, 0x20, 0x10, 0x08}
		dots := rune(0)
		for i, column := range [][4]rune{left, right} {
			for step, dot := range column {
				if step < filled[i] || step+1 >= marked[i][0] && step+1 <= marked[i][1] {
					dots |= dot
				}
			}
		}
		if dots == 0 {
			return " "
		}
		return string(0x2800 + dots)
	}
	from, to := marked[0][0], marked[0][1]
	switch {
	case filled[0] > 0 || from > to || to == 0:
		return d.bar(filled)
	case d == Blocks:
		return "─"
	}
	return string(`_-"`[to-1])
}
