package main

import (
	"bytes"
	"encoding/csv"
	"io"
	"slices"
	"strings"

	"github.com/JDevAman/kizo/internal/printable"
)

// column is a column of the output. All its values are cleaned by package printable.
type column struct {
	title string // as a heading; name gives the form for scripts
	id    bool   // what --output id prints
	state bool   // has a color on a terminal: stateColors
	right bool   // numbers
	cut   bool   // may be cut if the terminal is too narrow; never ids and amounts
	drop  int    // may be dropped if the terminal is narrow, the highest number first; 0 never

	sparse bool // dropped from a table if no row has a value
	free   bool // untrusted text; in a pipe, it never begins like a spreadsheet formula
}

// name is the column in the header of tsv and csv.
func (c column) name() string { return strings.ReplaceAll(strings.ToLower(c.title), " ", "_") }

// human reports whether the result is printed for a person: as a table, with times as ages.
func (a *app) human() bool {
	return a.format == formatTable || a.format == formatWide || a.format == "" && a.io.OutTerminal
}

// width is that of the terminal, or 0 for no limit.
func (a *app) width() int {
	if a.format == formatWide {
		return 0
	}
	return a.io.Width
}

// printList prints many values: a table for a terminal, tab-separated lines for a pipe, an array of
// the items for --json, or what --output says.
func (a *app) printList(flags outputFlags, items any, columns []column, rows [][]string) error {
	switch {
	case flags.wantsJSON():
		return a.printJSON(flags, items)
	case a.human():
		style := tableStyle{width: a.width(), header: flags.wantsHeader(formatTable), colors: a.colors()}
		return a.writeLong(table(columns, rows, style))
	}
	return a.printRows(flags, columns, rows)
}

// printOne prints one value: a line for each of its parts on a terminal, a single tab-separated
// line for a pipe, an object for --json, or what --output says.
func (a *app) printOne(flags outputFlags, item any, columns []column, row []string) error {
	switch {
	case flags.wantsJSON():
		return a.printJSON(flags, item)
	case !a.human():
		return a.printRows(flags, columns, [][]string{row})
	}
	widest := 0
	for i, c := range columns {
		if row[i] != "" {
			widest = max(widest, len(c.title))
		}
	}
	var out strings.Builder
	for i, c := range columns {
		if row[i] != "" {
			cell := printable.Text(row[i])
			if c.state && a.colors() {
				cell = paint(row[i])
			}
			out.WriteString(printable.Pad(strings.ToLower(c.title), widest+2) + cell + "\n")
		}
	}
	return a.write(out.String())
}

// printDone prints what a command has done. Unless the user has chosen a format, that is a message
// on stderr, and no data.
func (a *app) printDone(flags outputFlags, item any, row []string, message func()) error {
	if flags.format() == "" {
		message()
		return nil
	}
	return a.printOne(flags, item, flags.columns, row)
}

// printRows prints rows for a program.
func (a *app) printRows(flags outputFlags, columns []column, rows [][]string) error {
	switch flags.format() {
	case formatID:
		id := slices.IndexFunc(columns, func(c column) bool { return c.id })
		if id < 0 { // with a flag such as --dry-run or --at
			return usagef("what this command prints has no ids")
		}
		var out strings.Builder
		for _, row := range rows {
			out.WriteString(printable.Text(row[id]) + "\n")
		}
		return a.write(out.String())
	case formatCSV:
		var out bytes.Buffer
		lines := csv.NewWriter(&out)
		_ = lines.WriteAll(cells(columns, rows, flags.wantsHeader(formatCSV))) // a bytes.Buffer never fails
		return a.write(out.String())
	}
	var out strings.Builder
	for _, line := range cells(columns, rows, flags.wantsHeader(formatTSV)) {
		out.WriteString(strings.Join(line, "\t") + "\n")
	}
	return a.write(out.String())
}

// cells returns what tsv and csv consist of.
func cells(columns []column, rows [][]string, header bool) [][]string {
	var lines [][]string
	if header {
		lines = append(lines, columnNames(columns))
	}
	for _, row := range rows {
		line := make([]string, len(columns))
		for i, c := range columns {
			line[i] = printable.Text(row[i])
			if c.free {
				line[i] = printable.NotFormula(line[i])
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// writeLong writes a text through the pager if it is longer than the terminal.
func (a *app) writeLong(text string) error {
	if a.io.Page == nil || a.io.Height == 0 || strings.Count(text, "\n") < a.io.Height {
		return a.write(text)
	}
	return unwritten(a.io.Page(text))
}

func (a *app) write(text string) error {
	_, err := io.WriteString(a.io.Out, text)
	return unwritten(err)
}

// gap separates two columns.
const gap = "  "

type tableStyle struct {
	width  int // of the terminal; 0 for no limit
	header bool
	colors bool
}

// table aligns rows under their titles. If they are wider than the terminal, columns that may be
// cut are cut, down to their title; if that is not enough, columns that may be dropped are dropped.
func table(columns []column, rows [][]string, style tableStyle) string {
	widths := make([]int, len(columns))
	for i, c := range columns {
		for _, row := range rows {
			widths[i] = max(widths[i], printable.Width(row[i]))
		}
		if !c.sparse || widths[i] > 0 {
			widths[i] = max(widths[i], printable.Width(c.title))
		}
	}
	shown := fit(columns, widths, style.width)
	var out strings.Builder
	line := func(cell func(i int) string) {
		var text strings.Builder
		for n, i := range shown {
			c := columns[i]
			if n > 0 {
				text.WriteString(gap)
			}
			switch {
			case c.right:
				text.WriteString(printable.PadLeft(cell(i), widths[i]))
			case c.cut:
				text.WriteString(printable.Pad(printable.Truncate(cell(i), widths[i]), widths[i]))
			case c.state && style.colors:
				text.WriteString(paint(cell(i)) + strings.Repeat(" ", widths[i]-printable.Width(cell(i))))
			default:
				text.WriteString(printable.Pad(cell(i), widths[i]))
			}
		}
		out.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	if style.header {
		line(func(i int) string { return columns[i].title })
	}
	for _, row := range rows {
		line(func(i int) string { return row[i] })
	}
	return out.String()
}

// fit chooses the visible columns and narrows them to the width of the terminal; 0 means unlimited.
func fit(columns []column, widths []int, width int) (shown []int) {
	least := func(i int) int {
		if columns[i].cut {
			return printable.Width(columns[i].title)
		}
		return widths[i]
	}
	sum := func(of func(i int) int) int {
		total := len(gap) * (len(shown) - 1)
		for _, i := range shown {
			total += of(i)
		}
		return total
	}
	for i, c := range columns {
		if !c.sparse || widths[i] > 0 {
			shown = append(shown, i)
		}
	}
	if width == 0 {
		return shown
	}
	for sum(least) > width {
		first := slices.MaxFunc(shown, func(a, b int) int { return columns[a].drop - columns[b].drop })
		if columns[first].drop == 0 {
			break
		}
		shown = slices.DeleteFunc(shown, func(i int) bool { return i == first })
	}
	excess := sum(func(i int) int { return widths[i] }) - width
	for _, i := range slices.Backward(shown) {
		less := min(max(excess, 0), widths[i]-least(i))
		widths[i], excess = widths[i]-less, excess-less
	}
	return shown
}
