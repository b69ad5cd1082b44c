package main

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/JDevAman/kizo/internal/printable"
)

// column is a column of a table. All its values are cleaned by package printable.
type column struct {
	title string
	right bool // numbers
	cut   bool // may be cut if the terminal is too narrow; never ids and amounts
	drop  int  // may be dropped if the terminal is narrow, the highest number first; 0 never

	sparse bool // dropped from a table if no row has a value
	free   bool // untrusted text; in a pipe, it never begins like a spreadsheet formula
}

// printList prints many values: a table for a terminal, tab-separated lines without a header for a
// pipe, an array of the items for --json.
func (a *app) printList(flags outputFlags, items any, columns []column, rows [][]string) error {
	if flags.wantsJSON() {
		return a.printJSON(flags, items)
	}
	if a.io.OutTerminal {
		return a.write(table(columns, rows, a.io.Width))
	}
	return a.write(tabbed(columns, rows))
}

// printOne prints one value: a line for each of its parts on a terminal, a single tab-separated
// line for a pipe, an object for --json.
func (a *app) printOne(flags outputFlags, item any, columns []column, row []string) error {
	if flags.wantsJSON() {
		return a.printJSON(flags, item)
	}
	if !a.io.OutTerminal {
		return a.write(tabbed(columns, [][]string{row}))
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
			out.WriteString(printable.Pad(strings.ToLower(c.title), widest+2) + printable.Text(row[i]) + "\n")
		}
	}
	return a.write(out.String())
}

// printJSON prints a value, or the items of a slice, with the chosen fields. It is indented on a
// terminal.
func (a *app) printJSON(flags outputFlags, value any) error {
	items := reflect.ValueOf(value)
	if items.Kind() == reflect.Slice {
		picked := make([]any, items.Len()) // never nil: no items are [], not null
		for i := range picked {
			var err error
			if picked[i], err = flags.pick(items.Index(i).Interface()); err != nil {
				return unwritten(err)
			}
		}
		value = picked
	} else {
		var err error
		if value, err = flags.pick(value); err != nil {
			return unwritten(err)
		}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if a.io.OutTerminal {
		encoder.SetIndent("", "  ")
	}
	if err := encoder.Encode(value); err != nil {
		return unwritten(err)
	}
	return a.write(string(printable.JSON(out.Bytes())))
}

func (a *app) write(text string) error {
	_, err := io.WriteString(a.io.Out, text)
	return unwritten(err)
}

func tabbed(columns []column, rows [][]string) string {
	var out strings.Builder
	for _, row := range rows {
		for i, c := range columns {
			if i > 0 {
				out.WriteByte('\t')
			}
			cell := printable.Text(row[i])
			if c.free {
				cell = printable.NotFormula(cell)
			}
			out.WriteString(cell)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// gap separates two columns.
const gap = "  "

// table aligns rows under their titles. If they are wider than the terminal, columns that may be
// cut are cut, down to their title; if that is not enough, columns that may be dropped are dropped.
func table(columns []column, rows [][]string, width int) string {
	widths := make([]int, len(columns))
	for i, c := range columns {
		for _, row := range rows {
			widths[i] = max(widths[i], printable.Width(row[i]))
		}
		if !c.sparse || widths[i] > 0 {
			widths[i] = max(widths[i], printable.Width(c.title))
		}
	}
	shown := fit(columns, widths, width)
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
			default:
				text.WriteString(printable.Pad(cell(i), widths[i]))
			}
		}
		out.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	line(func(i int) string { return columns[i].title })
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
