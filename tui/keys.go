package tui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"
)

// binding is a key and what it does. Footer, help and palette are made of bindings, and keys are
// looked up in them: what is shown is what works.
type binding struct {
	keys    []string // as Bubble Tea names them
	shown   string   // as the user reads it
	typed   string   // of a global key: the one that works while text is typed; empty if none does
	help    string   // what it does, in a few words
	command string   // the same on the command line; empty if there is none
	moves   bool     // it moves in a list
	off     string   // why it does nothing now; empty if it works
	run     func(m *shared) tea.Cmd
}

// find is the binding of a key.
func find(bindings []binding, key string) (binding, bool) {
	i := slices.IndexFunc(bindings, func(b binding) bool { return slices.Contains(b.keys, key) })
	if i < 0 {
		return binding{}, false
	}
	return bindings[i], true
}
