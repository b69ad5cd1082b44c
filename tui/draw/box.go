package draw

import (
	"strconv"
	"strings"
)

// Box is a titled frame. Body is painted already; what does not fit is cut off.
type Box struct {
	Title  string
	Note   string // at the right end of the upper edge, if it fits
	Legend string // in place of a Note; painted already
	Body   string
	Width  int // of the whole, at least 4
	Height int // of the whole, at least 2

	Detail        Detail
	Border, Label Paint
}

// Inner returns the size of the body of a box of this size.
func Inner(width, height int) (int, int) { return max(0, width-4), max(0, height-2) }

// Draw returns exactly Height lines of exactly Width columns.
func (b Box) Draw() string {
	if b.Width < 4 || b.Height < 2 {
		return Block(strings.Split(b.Body, "\n"), b.Width, b.Height)
	}
	glyph := b.Detail.lines()
	width, height := Inner(b.Width, b.Height)
	lines := []string{b.edge(glyph)}
	side := b.Border.on(glyph.down)
	if height > 0 {
		for line := range strings.SplitSeq(Block(strings.Split(b.Body, "\n"), width, height), "\n") {
			lines = append(lines, side+" "+line+" "+side)
		}
	}
	lines = append(lines, b.Border.on(glyph.bottomLeft+strings.Repeat(glyph.across, b.Width-2)+glyph.bottomRight))
	return strings.Join(lines, "\n")
}

// edge returns the upper edge: corner, title, horizontal line, note, corner.
func (b Box) edge(glyph lines) string {
	free := b.Width - 2
	title := ""
	if b.Title != "" && free >= 4 {
		title = " " + Cut(b.Title, free-2) + " "
		free -= Width(title)
	}
	note, noteWidth := b.Border.on(Text(b.Note)), TextWidth(b.Note)
	if b.Legend != "" {
		note, noteWidth = b.Legend, Width(b.Legend)
	}
	if need := noteWidth + 3; noteWidth == 0 || free < need {
		note = ""
	} else {
		free -= need
	}
	edge := b.Border.on(glyph.topLeft) + b.Label.on(title) + b.Border.on(strings.Repeat(glyph.across, free))
	if note != "" {
		edge += " " + note + " " + b.Border.on(glyph.across)
	}
	return edge + b.Border.on(glyph.topRight)
}

// Pair is one line of a panel: a name and its value.
type Pair struct {
	Name, Value string
	Paint       Paint // paints the value
	Whole       bool  // the value is an amount or an id: it wraps instead of being cut
}

// Panel draws names with their values, one pair per line, exactly width columns wide. A value that
// is too long is cut, unless it is Whole.
func Panel(pairs []Pair, width int, label Paint) string {
	widest := 0
	for _, pair := range pairs {
		widest = max(widest, TextWidth(pair.Name))
	}
	widest = min(widest, max(0, width*2/3))
	free := max(0, width-widest-2)
	lines := make([]string, 0, len(pairs))
	for _, pair := range pairs {
		if pair.Whole && TextWidth(pair.Value) > free {
			lines = append(lines, label.on(Fit(pair.Name, width)))
			for _, part := range broken(pair.Value, width) {
				lines = append(lines, pair.Paint.on(FitRight(part, width)))
			}
			continue
		}
		lines = append(lines, label.on(Fit(pair.Name, widest))+Fit("", min(2, width-widest))+pair.Paint.on(Fit(pair.Value, free)))
	}
	return Block(lines, width, len(lines))
}

// broken returns the whole text in lines of at most width columns, in one line if it fits.
func broken(text string, width int) []string {
	if TextWidth(text) <= width {
		return []string{text}
	}
	return Wrap(text, width)
}

// Gauge draws a bar with its share in percent, exactly width columns wide. If total is 0, the share
// is 0 %.
func Gauge(part, whole int64, width int, detail Detail) string {
	share := 0.0
	if whole > 0 {
		share = min(1, max(0, float64(part)/float64(whole)))
	}
	number := FitRight(strconv.Itoa(int(share*100))+"%", 5)
	bar := width - 5
	if bar < 1 {
		return Fit(strings.TrimSpace(number), width)
	}
	glyph := detail.lines()
	full := int(share*float64(bar) + 0.5)
	return strings.Repeat(glyph.full, full) + strings.Repeat(glyph.empty, bar-full) + number
}

// Scrollbar draws one column of height lines that shows which part of total rows is visible; blank
// if all are.
func Scrollbar(offset, total, height int, detail Detail) []string {
	bar := make([]string, max(0, height))
	glyph := detail.lines()
	for i := range bar {
		bar[i] = " "
		if total > height {
			bar[i] = glyph.track
		}
	}
	if total <= height || height < 1 {
		return bar
	}
	thumb := max(1, height*height/total)
	start := min(height-thumb, max(0, offset)*(height-thumb)/max(1, total-height))
	for i := range thumb {
		bar[start+i] = glyph.thumb
	}
	return bar
}

// Bar draws a bar of at most width columns for a part of the largest value, exactly width columns
// wide.
func Bar(part, largest int64, width int, detail Detail) string {
	full := 0
	if largest > 0 {
		full = min(width, max(0, int(float64(part)/float64(largest)*float64(width)+0.5)))
	}
	return strings.Repeat(detail.lines().full, full) + strings.Repeat(" ", max(0, width-full))
}
