// Package noterminalquery keeps a program that links Bubble Tea from querying the terminal for its
// background color while the program starts. Import it for its effect:
//
//	import _ "github.com/JDevAman/kizo/internal/noterminalquery"
//
// Bubble Tea queries the background in a package init, whichever command runs, and waits five
// seconds for a terminal that does not answer. Lip Gloss sends no query once a value is set, so
// this package sets one first. Go initializes packages whose imports are initialized in the order
// of their import paths (since Go 1.21). This package must therefore sort before
// github.com/charmbracelet/bubbletea, and may import nothing but Lip Gloss.
//
// The value has no other effect: package theme chooses the dashboard's colors.
package noterminalquery

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
