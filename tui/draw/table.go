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
	Cut   int  // may be cut down to so many columns; 0 never, as ids and amounts
	Drop  int  // may be left out where there is no room, the highest first; 0 never

	Sparse bool // left out where no row has a value
}

// Cell is a value as it came and how it is painted.
type Cell struct {
	Text  string
	Paint Paint
}

// Table is rows under titles. Rows are the ones that could be seen: the caller keeps Selected within them and Draw
// scrolls.
type Table struct {
	Columns  []Column
	Rows     [][]Cell
	Selected int // -1 for none; marked by a sign and by Chosen
	Offset   int // first row to be shown, as ScrollTo gives it
	Total    int // rows there are in all, for the scrollbar; the number of Rows if less
	First    int // rows of those before the first of Rows, for the scrollbar

	Width, Height int // of the whole, with the line of titles
	Detail        Detail
	Titles        Paint
	Chosen        Paint // of the whole selected row, in place of the cells' own
	Bar           Paint // of the scrollbar
}

const gap = 2 // columns between two columns

// ScrollTo is the offset at which the selected row is seen, as near to the one before as can be. Height is that of the
// table, with its titles.
func ScrollTo(selected, offset, rows, height int) int {
	visible := max(1, height-1)
	offset = min(max(offset, selected-visible+1), max(0, selected))
	return max(0, min(offset, rows-visible))
}

// Draw gives exactly Height lines of exactly Width columns. Where the columns are too wide, those that may be cut give
// way from the right; if that is not enough, those that may be dropped are. Nothing wraps.
func (t Table) Draw() string {
	visible := max(0, t.Height-1)
	total := max(t.Total, len(t.Rows))
	width := t.Width
	scrolls := total > visible && width > 1
	if scrolls {
		width--
	}
	from := min(max(0, t.Offset), len(t.Rows))
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
		if from+i == t.Selected {
			plain := func(i int) Cell { return Cell{Text: cell(i).Text} }
			lines = append(lines, t.Chosen.on(Clip(t.Detail.lines().marker+" "+t.line(shown, widths, plain), width)))
			continue
		}
		lines = append(lines, "  "+t.line(shown, widths, cell))
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

// line is one row, as wide as its columns are.
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

// fit chooses the columns that are shown and their widths. Only the rows that are seen count, so that a table of a hundred
// thousand is as quick as one of ten.
func (t Table) fit(room int, rows [][]Cell) (shown, widths []int) {
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
	for needs(least) > room {
		first := slices.MaxFunc(shown, func(a, b int) int { return cmp.Compare(t.Columns[a].Drop, t.Columns[b].Drop) })
		if t.Columns[first].Drop == 0 {
			break
		}
		shown = slices.DeleteFunc(shown, func(i int) bool { return i == first })
	}
	excess := needs(func(i int) int { return widths[i] }) - room
	for _, i := range slices.Backward(shown) {
		if excess <= 0 {
			break
		}
		less := min(excess, widths[i]-least(i))
		widths[i], excess = widths[i]-less, excess-less
	}
	return shown, widths
}
