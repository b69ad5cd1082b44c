package printable

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// columns counts without a look at the locale, so that a table is the same everywhere.
var columns = &runewidth.Condition{StrictEmojiNeutral: true}

// Width is the number of columns that s takes once Text has been over it.
func Width(s string) int { return columns.StringWidth(Text(s)) }

// Pad gives Text(s) with spaces after it, width columns in all; it cuts nothing off.
func Pad(s string, width int) string {
	s = Text(s)
	return s + strings.Repeat(" ", max(0, width-columns.StringWidth(s)))
}

// PadLeft is Pad with the spaces in front, for numbers.
func PadLeft(s string, width int) string {
	s = Text(s)
	return strings.Repeat(" ", max(0, width-columns.StringWidth(s))) + s
}

// Truncate gives Text(s) in at most width columns, the last of them an ellipsis if something is
// missing.
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
