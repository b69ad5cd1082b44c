package tui

import (
	"errors"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
)

// TestQuitOnATerminalThatIsTooSmall: q works, because it needs nothing on the screen.
func TestQuitOnATerminalThatIsTooSmall(t *testing.T) {
	for _, size := range [][2]int{{59, 24}, {80, 14}, {10, 2}, {1, 1}} {
		for _, messages := range [][]tea.Msg{nil, keys("3"), keys("3", "enter"), keys("?"), {loggedOutMsg{client.ErrNotLoggedIn}}} {
			m := operatorDashboard(t, 80, 24)
			for _, msg := range messages {
				m.Update(msg)
			}
			m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			_, command := m.Update(keyMsg("q"))
			if command == nil {
				t.Errorf("%v: q does not quit", size)
				continue
			}
			if _, quits := command().(tea.QuitMsg); !quits {
				t.Errorf("%v: q does something else", size)
			}
		}
	}
	m := operatorDashboard(t, 40, 10)
	if !strings.Contains(m.View(), "q quits") {
		t.Errorf("%s", m.View())
	}
}

// TestHealthDoesNotClaimWhatItCannotKnow: while the server is unreachable, no part is shown as
// answering.
func TestHealthDoesNotClaimWhatItCannotKnow(t *testing.T) {
	for _, size := range sizes {
		for name, connectionHelp := range map[string]connectionState{"offline": offline, "lost": lost, "polling, and no answer": polling} {
			m := operatorDashboard(t, size[0], size[1])
			m.Update(keyMsg("5"))
			if view := m.View(); !strings.Contains(view, "answers") {
				t.Fatalf("%s", view)
			}
			m.clock = func() time.Time { return noon.Add(14 * time.Second) }
			m.Update(connectionStateMsg{state: connectionHelp, err: errors.New("cannot reach it"), next: time.Second})
			view := m.View()
			for _, claim := range []string{"✓ answers", "✓ closed"} {
				if strings.Contains(view, claim) {
					t.Errorf("%s: %q in\n%s", name, claim, view)
				}
			}
			if !strings.Contains(view, "not known; 14s ago") {
				t.Errorf("%s:\n%s", name, view)
			}
			m.Update(connectionStateMsg{state: live})
			if view := m.View(); !strings.Contains(view, "✓ answers") {
				t.Errorf("back again:\n%s", view)
			}
		}
	}
}
