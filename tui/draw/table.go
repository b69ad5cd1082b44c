package draw

import (
	"cmp"
	"slices"
	"strings"
)

// Column is a column of a table.
type Column struct {
	Title string
	Right bool // numbers
	Cut   int  // the column may be cut to this many columns; 0 means never, for ids and amounts
	Drop  int  // the column may be left out if space is short, the highest number first; 0 means never

	Sparse bool // left out if no row has a value
}

// Cell is an untrusted value and the style it is painted with.
type Cell struct {
	Text  string
	Paint Paint
}

// Table is rows under titles. Rows holds the rows that may become visible: the caller keeps
// Selected within them, and Draw scrolls.
type Table struct {
	Columns  []Column
	Rows     [][]Cell
	Selected int // -1 for none; marked by a sign and by Chosen
	Offset   int // the first visible row, from ScrollTo
	Total    int // the number of all rows, for the scrollbar; the number of Rows if less
	First    int // the number of rows before the first of Rows, for the scrollbar

	Marked func(row int) bool // whether a row has a mark beside it; nil if none has

	Width, Height int // of the whole table, including the titles
	Detail        Detail
	Titles        Paint
	Chosen        Paint // paints the selected row, instead of the cells' own styles
	Bar           Paint // paints the scrollbar
}

const gap = 2 // columns between two columns

// ScrollTo returns the offset at which the selected row is visible, as close to the previous offset
// as possible. Height is that of the table, including its titles.
func ScrollTo(selected, offset, rows, height int) int {
	visible := max(1, height-1)
	offset = min(max(offset, selected-visible+1), max(0, selected))
	return max(0, min(offset, rows-visible))
}

// Draw returns exactly Height lines of exactly Width columns. If the columns are too wide, those
// that may be cut are cut from the right; if that is not enough, those that may be dropped are
// dropped. Nothing wraps.
func (t Table) Draw() string {
	visible := max(0, t.Height-1)
	total := max(t.Total, len(t.Rows))
	from, width, scrolls := t.layout(visible, total)
	rows := t.Rows[from:min(len(t.Rows), from+visible)]
	shown, widths := t.fit(width-2, rows)

	lines := []string{t.Titles.on(Clip("  "+t.line(shown, widths, func(i int) Cell { return Cell{Text: t.Columns[i].Title} }), width))}
	for i, row := range rows {
		cell := func(i int) Cell {
			if i < len(row) {
				return row[i]
			}
			return Cell{}
		}
		mark := " "
		if t.Marked != nil && t.Marked(from+i) {
			mark = t.Detail.lines().mark
		}
		if from+i == t.Selected {
			plain := func(i int) Cell { return Cell{Text: cell(i).Text} }
			lines = append(lines, t.Chosen.on(Clip(t.Detail.lines().marker+mark+t.line(shown, widths, plain), width)))
			continue
		}
		lines = append(lines, " "+mark+t.line(shown, widths, cell))
	}
	block := Block(lines, width, t.Height)
	if !scrolls {
		return block
	}
	bar := Scrollbar(t.First+from, total, visible, t.Detail)
	for i := range bar {
		bar[i] = t.Bar.on(bar[i])
	}
	return Beside(block, strings.Join(append([]string{" "}, bar...), "\n"))
}

// layout returns the first visible row, and the width without the scrollbar if there is one.
func (t Table) layout(visible, total int) (from, width int, scrolls bool) {
	scrolls, width = total > visible && t.Width > 1, t.Width
	if scrolls {
		width--
	}
	return min(max(0, t.Offset), len(t.Rows)), width, scrolls
}

// ColumnAt returns the column whose title is drawn at x, counted from the left end of the table;
// -1 if there is none.
func (t Table) ColumnAt(x int) int {
	visible := max(0, t.Height-1)
	from, width, _ := t.layout(visible, max(t.Total, len(t.Rows)))
	shown, widths := t.fit(width-2, t.Rows[from:min(len(t.Rows), from+visible)])
	left := 2
	for _, i := range shown {
		if x >= left && x < left+widths[i] {
			return i
		}
		left += widths[i] + gap
	}
	return -1
}

// line returns one row.
func (t Table) line(shown, widths []int, cell func(i int) Cell) string {
	var line strings.Builder
	for n, i := range shown {
		if n > 0 {
			line.WriteString(strings.Repeat(" ", gap))
		}
		c := cell(i)
		text := Fit(c.Text, widths[i])
		if t.Columns[i].Right {
			text = FitRight(c.Text, widths[i])
		}
		line.WriteString(c.Paint.on(text))
	}
	return line.String()
}

// fit chooses the visible columns and their widths. It considers the visible rows only, so that a
// table of 100,000 rows takes no longer than one of ten.
func (t Table) fit(free int, rows [][]Cell) (shown, widths []int) {
	widths = make([]int, len(t.Columns))
	for i, column := range t.Columns {
		for _, row := range rows {
			if i < len(row) {
				widths[i] = max(widths[i], TextWidth(row[i].Text))
			}
		}
		if column.Sparse && widths[i] == 0 {
			continue
		}
		widths[i] = max(widths[i], TextWidth(column.Title))
		shown = append(shown, i)
	}
	least := func(i int) int {
		if cut := t.Columns[i].Cut; cut > 0 {
			return min(widths[i], cut)
		}
		return widths[i]
	}
	needs := func(of func(i int) int) int {
		sum := gap * (len(shown) - 1)
		for _, i := range shown {
			sum += of(i)
		}
		return sum
	}
	for needs(least) > free {
		first := slices.MaxFunc(shown, func(a, b int) int { return cmp.Compare(t.Columns[a].Drop, t.Columns[b].Drop) })
		if t.Columns[first].Drop == 0 {
			break
		}
		shown = slices.DeleteFunc(shown, func(i int) bool { return i == first })
	}
	excess := needs(func(i int) int { return widths[i] }) - free
	for _, i := range slices.Backward(shown) {
		if excess <= 0 {
			break
		}
		less := min(excess, widths[i]-least(i))
		widths[i], excess = widths[i]-less, excess-less
	}
	return shown, widths
}
