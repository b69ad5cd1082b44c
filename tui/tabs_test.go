package tui

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// TestTabs of each kind of user: a page without a tab has no key, no click and no turn of tab.
func TestTabs(t *testing.T) {
	for _, test := range []struct {
		role     client.UserRole
		readonly string
		want     []string
	}{
		{client.UserRoleOperator, "", []string{"Wallet", "Transfers", "Send", "Queues", "Health"}},
		{client.UserRoleUser, "", []string{"Wallet", "Transfers", "Send"}},
		{client.UserRoleOperator, "it was started with --readonly", []string{"Wallet", "Transfers", "Queues", "Health"}},
		{client.UserRoleUser, "it was started with --readonly", []string{"Wallet", "Transfers"}},
	} {
		m := operatorDashboard(t, 120, 40)
		m.readonly = test.readonly
		m.Update(meMsg{client.User{Handle: "ada", Role: test.role}})
		var turned []string
		for range len(m.pages) {
			if title := m.pages[m.shown].title; !slices.Contains(turned, title) {
				turned = append(turned, title)
			}
			m.Update(keyMsg("tab"))
		}
		testkit.Equal(t, "tab", strings.Join(turned, " "), strings.Join(test.want, " "))
		header, _, _ := strings.Cut(ansi.Strip(m.View()), "\n")
		for i, p := range m.pages {
			has := slices.Contains(test.want, p.title)
			if strings.Contains(header, p.title) != has {
				t.Errorf("%s %q: the header is %s", test.role, test.readonly, header)
			}
			m.shown = 0
			m.Update(keyMsg(string(rune('1' + i))))
			if (m.pages[m.shown].title == p.title) != has {
				t.Errorf("%s %q: %d shows %s", test.role, test.readonly, i+1, m.pages[m.shown].title)
			}
		}
	}
}

// TestLosingARoleLeavesItsScreens.
func TestLosingARoleLeavesItsScreens(t *testing.T) {
	m := operatorDashboard(t, 120, 40)
	m.Update(keyMsg("5"))
	m.Update(meMsg{ada()})
	testkit.Equal(t, "the page", m.pages[m.shown].title, "Wallet")
}

// TestStaleSaysWhy in the footer, in every state in which data is not current.
func TestStaleSaysWhy(t *testing.T) {
	m := operatorDashboard(t, 120, 40)
	m.Update(eventsMsg{})
	m.clock = func() time.Time { return noon.Add(14 * time.Second) }
	m.Update(tickMsg{})
	testkit.Contains(t, ansi.Strip(m.View()), "STALE 14s", "the server is connected, but has sent nothing")
	m.Update(connectionStateMsg{state: polling})
	testkit.Contains(t, ansi.Strip(m.View()), "STALE 14s", "its last answer is old")
	m.Update(connectionStateMsg{state: lost})
	testkit.Contains(t, ansi.Strip(m.View()), "STALE 14s", "the server has closed the stream")
}

// TestHealthSaysHowOldItIs beside each group of figures.
func TestHealthSaysHowOldItIs(t *testing.T) {
	m := operatorDashboard(t, 80, 24)
	m.Update(eventsMsg{events: []client.Event{{Ops: m.ops.latest}}})
	m.clock = func() time.Time { return noon.Add(3 * time.Second) }
	m.Update(keyMsg("5"))
	if n := strings.Count(ansi.Strip(m.View()), "3s ago"); n < 4 {
		t.Errorf("%d ages in\n%s", n, m.View())
	}
}
