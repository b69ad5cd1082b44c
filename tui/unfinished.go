package tui

import (
	"context"
	"fmt"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// Unfinished is a recorded command that moves money and whose outcome is unknown, from this
// dashboard or another kizo.
type Unfinished struct {
	Command client.Command
	What    string // "transfer 12.50 USD to @bob"
	At      time.Time
}

type unfinishedMsg struct {
	list []Unfinished
	err  error
}

// unfinishedPause is the time between two looks at the recorded commands.
const unfinishedPause = time.Minute

// askUnfinished reads the recorded commands of the user, unless one of this dashboard is being
// sent: it has no outcome yet either.
func (m *model) askUnfinished() tea.Cmd {
	if m.recorded == nil || m.me.Handle == "" || m.isSending() {
		return nil
	}
	m.unfinishedAt = m.now
	read, me := m.recorded, m.me
	return m.ask(func(ctx context.Context) tea.Msg {
		list, err := read(ctx, me)
		return unfinishedMsg{list, err}
	})
}

// unfinishedTick reads the recorded commands once per unfinishedPause.
func (m *model) unfinishedTick() tea.Cmd {
	if m.now.Sub(m.unfinishedAt) < unfinishedPause {
		return nil
	}
	return m.askUnfinished()
}

func (m *model) isSending() bool {
	if m.dialog != nil && m.dialog.step == sending {
		return true
	}
	for _, p := range m.pages {
		if s, sends := p.screen.(*sendScreen); sends && s.step == sending {
			return true
		}
	}
	return false
}

// unfinishedNote is a part of the header; empty if there is nothing to finish.
func (m *shared) unfinishedNote() string {
	if len(m.unfinished) == 0 {
		return ""
	}
	return " · " + m.glyph("▲ ", "! ") + fmt.Sprintf("%d unfinished (u)", len(m.unfinished))
}

// unfinishedKey is the binding that lists the unfinished commands.
func (m *shared) unfinishedKey() binding {
	b := binding{keys: []string{"u"}, shown: "u", help: "commands without a known outcome", command: "kizo pending", run: openUnfinished}
	if len(m.unfinished) == 0 {
		b.off = "no command is unfinished"
	}
	return b.greyed()
}

func openUnfinished(m *shared) tea.Cmd {
	group := keyGroup{title: "Unfinished"}
	for _, u := range m.unfinished {
		group.keys = append(group.keys, binding{shown: when(u.At, m.now), help: u.What, run: func(m *shared) tea.Cmd { m.act(m.retryAction(u)); return nil }})
	}
	m.open(&searchScreen{title: "Commands without a known outcome", groups: []keyGroup{group}, runs: true, columns: [2]string{"SENT", "COMMAND"}})
	return nil
}

// retryAction sends a recorded command again, under its key.
func (m *shared) retryAction(u Unfinished) action {
	return action{
		title: "Finish this command?", verb: "Retry", subject: []draw.Pair{{Name: "command", Value: u.What}, {Name: "sent", Value: m.moment(u.At)}},
		money: &moneyAction{
			recorded: &u.Command,
			effect: func(int64) string {
				return "It is sent again under the same key. If it was done already, no money moves, and its result is shown; if not, it is done now."
			},
			line: "kizo retry " + u.Command.Key, what: u.What,
		},
	}
}
