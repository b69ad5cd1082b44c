// Package quiet keeps the program from asking the terminal for its colours while it starts.
//
// Bubble Tea asks for the background colour in its own init, whichever command was typed, and waits five
// seconds for a terminal that does not answer. Lip Gloss asks nothing once it has been told. Packages that are
// ready are initialised in the order of their import paths (Go 1.21), and this one is ready as soon as Lip Gloss
// is: so it must sort before github.com/charmbracelet/bubbletea, and import nothing but Lip Gloss.
//
// Which theme the dashboard wears is decided elsewhere, by package theme.
package quiet

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
