// Package draw draws the blocks that screens are made of: tables, charts, panels and boxes.
//
//	╭ Wallet ───────────╮╭ Trend ────────────╮
//	│ available  12.50  ││ ⣀⣀⣠⣤⣶⣿⣿⣷⣶⣤⣄⣀⣀     │   Beside(Box{…}, Box{…})
//	╰───────────────────╯╰───────────────────╯
//
// Every function depends on its arguments only. A block is lines of equal width joined by line
// breaks. It has exactly the requested width and height, whatever text it contains: untrusted text
// is cleaned by package printable, truncated to its columns, and styled last. Clip, Block, Beside
// and Box take text that is styled already.
//
// Widths are columns of a terminal. A character for which programs disagree about the width is
// written as an escape, so that a line has the same width everywhere.
//
// The package imports package printable and nothing else of Kizo.
package draw

// Paint styles text without changing its width, as the Render method of a lipgloss.Style does. Nil
// leaves the text plain.
type Paint func(...string) string

func (p Paint) on(text string) string {
	if p == nil || text == "" {
		return text
	}
	return p(text)
}
