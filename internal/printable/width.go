package printable

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// columns does not depend on the locale, so that a table is the same everywhere.
var columns = &runewidth.Condition{StrictEmojiNeutral: true}

// Width returns the number of columns of Text(s).
func Width(s string) int { return columns.StringWidth(Text(s)) }

// Pad returns Text(s) followed by spaces up to width columns. It does not truncate.
func Pad(s string, width int) string {
	s = Text(s)
	return s + strings.Repeat(" ", max(0, width-columns.StringWidth(s)))
}

// PadLeft is like Pad with the spaces before the text. It aligns numbers.
func PadLeft(s string, width int) string {
	s = Text(s)
	return strings.Repeat(" ", max(0, width-columns.StringWidth(s))) + s
}

// Truncate returns Text(s) in at most width columns. If it cuts text off, the last column is an
// ellipsis.
func Truncate(s string, width int) string {
	s = Text(s)
	if columns.StringWidth(s) <= width {
		return s
	}
	if width < 1 {
		return ""
	}
	return columns.Truncate(s, width, "…")
}
