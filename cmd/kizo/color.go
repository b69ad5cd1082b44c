package main

import "github.com/JDevAman/kizo/internal/printable"

// The colors of a terminal, by SGR number. They never say more than the word that has them.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
)

// stateColors has the words of columns that show a state or a direction. The usual state of an
// account or a queue has no color, so that the others stand out.
var stateColors = map[string]string{
	"posted": green, "executed": green, "ok": green, "in": green,
	"pending": yellow, "unknown": yellow, "paused": yellow, "needs_review": yellow, "retry": yellow, "open": yellow, "warning": yellow,
	"refused": red, "voided": red, "rejected": red, "frozen": red, "suspended": red, "archived": red, "failed": red,
}

// colors reports whether a table has colors: --color, then NO_COLOR and CLICOLOR_FORCE
// (no-color.org, bixense.com/clicolors), then whether stdout is a terminal.
func (a *app) colors() bool {
	switch {
	case a.color != "auto":
		return a.color == "always"
	case a.env("NO_COLOR") != "", a.env("TERM") == "dumb":
		return false
	case a.env("CLICOLOR_FORCE") != "" && a.env("CLICOLOR_FORCE") != "0":
		return true
	}
	return a.io.OutTerminal && a.env("CLICOLOR") != "0"
}

// paint returns the word of a cell, in its color if it has one.
func paint(word string) string {
	color, known := stateColors[word]
	if !known {
		return printable.Text(word)
	}
	return "\x1b[" + color + "m" + word + "\x1b[0m"
}
