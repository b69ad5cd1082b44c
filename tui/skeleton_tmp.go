package tui

// Stand-in until the root model is there: deleted then.

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

type binding struct {
	keys                 []string
	shown, help, command string
	run                  func(m *shared) tea.Cmd
}

type screen interface {
	update(m *shared, msg tea.Msg) tea.Cmd
	view(m *shared, width, height int) string
	keys(m *shared) []binding
	typing() bool
}

type shared struct {
	pen
	server   operatorServer
	readonly bool
	now      time.Time
	ops      operations
	overlay  screen
	toast    string
}

func (m *shared) open(s screen)      { m.overlay = s }
func (m *shared) close()             { m.overlay = nil }
func (m *shared) say(text string)    { m.toast = text }
func (m *shared) complain(err error) { m.toast = err.Error() }
func (m *shared) ask(do func(ctx context.Context) tea.Msg) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return do(ctx)
	}
}
