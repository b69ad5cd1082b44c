// Package draw makes blocks of a screen: tables, charts, panels, boxes.
//
//	╭ Wallet ───────────╮╭ Trend ────────────╮
//	│ available  12.50  ││ ⣀⣀⣠⣤⣶⣿⣿⣷⣶⣤⣄⣀⣀     │   Beside(Box{…}, Box{…})
//	╰───────────────────╯╰───────────────────╯
//
// Everything here is a function of its arguments. A block is lines of equal width joined by line breaks, and has
// exactly the width and height that were asked for, whatever the text in it holds: text is taken as it came
// from others, made harmless by package printable, cut to its cells, and painted last. What is painted already
// is given as such (Clip, Block, Beside, Box).
//
// Widths are columns of a terminal. Where programs disagree about a character's width, it is written as an escape,
// so that a line is as wide on the screen as it is here.
//
// The package knows text alone: no wallet, no client, no model.
package draw

// Paint dresses text without changing its width, as a lipgloss.Style's Render does. Nil leaves it plain.
type Paint func(...string) string

func (p Paint) on(text string) string {
	if p == nil || text == "" {
		return text
	}
	return p(text)
}
