package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// changeOf returns the event of a transfer with a memo.
func changeOf(memo string) tea.Msg {
	t := adasTransfers(1).Items[0]
	t.Memo = &memo
	return eventsMsg{events: []client.Event{{Type: client.EventTransfer, Transfer: &t}}}
}

func TestActivity(t *testing.T) {
	m := operatorDashboard(t, 120, 40)
	m.Update(changeOf("first coffee"))
	m.Update(changeOf("evil\x1b[2J"))
	m.Update(keyMsg("L"))
	strip := ansi.Strip(m.View())
	testkit.Contains(t, strip, "Activity", "first coffee", `evil\u{1b}[2J`)
	if strings.Index(strip, "evil") > strings.Index(strip, "first coffee") {
		t.Error("the newest is not first")
	}
	m.Update(keyMsg("L"))
	if strings.Contains(ansi.Strip(m.View()), "Activity") {
		t.Error("the strip is still there")
	}

	m.Update(tea.KeyMsg{Type: tea.KeyCtrlL})
	for _, letter := range "COFF" {
		m.Update(keyMsg(string(letter)))
	}
	view := ansi.Strip(m.View())
	testkit.Contains(t, view, "first coffee", "1 change with COFF")
	if strings.Contains(view, "evil") {
		t.Error("the filter lets everything through")
	}
	m.Update(tea.KeyMsg{Type: tea.KeyTab})
	m.Update(changeOf("second coffee"))
	testkit.Contains(t, ansi.Strip(m.View()), "paused, 1 new")
	if strings.Contains(ansi.Strip(m.View()), "second coffee") {
		t.Error("it is not paused")
	}
	m.Update(tea.KeyMsg{Type: tea.KeyTab})
	testkit.Contains(t, ansi.Strip(m.View()), "second coffee")

	m.Update(tea.KeyMsg{Type: tea.KeyCtrlX})
	m.Update(connectionStateMsg{state: lost})
	testkit.Contains(t, ansi.Strip(m.View()), "the connection was lost")
	for i := range 2 * maxActivity {
		m.Update(changeOf(fmt.Sprint(i)))
	}
	testkit.Equal(t, "entries", len(m.activity.entries), maxActivity)
	m.Update(meMsg{client.User{Id: *taskNumber(7).TransferId, Handle: "eve"}})
	testkit.Equal(t, "entries of another user", len(m.activity.entries), 0)
}

// TestChangedRowsAreHighlighted for a second, unless the user wants reduced motion.
func TestChangedRowsAreHighlighted(t *testing.T) {
	for _, reduced := range []bool{false, true} {
		m := operatorDashboard(t, 120, 40)
		m.custom.ReducedMotion = reduced
		m.Update(changeOf("coffee"))
		id := adasTransfers(1).Items[0].Id
		lit := func() bool {
			row := m.highlighted(id, m.transferRow(adasTransfers(1).Items[0]))
			return row[2].Paint != nil
		}
		if lit() == reduced {
			t.Errorf("reduced motion %v: highlighted %v", reduced, lit())
		}
		m.clock = func() time.Time { return noon.Add(1500 * time.Millisecond) }
		m.Update(tickMsg{})
		if lit() || len(m.changed) != 0 {
			t.Errorf("still highlighted: %v", m.changed)
		}
	}
}

func TestFlow(t *testing.T) {
	entry := func(kind client.TimelineEntryType, second int) client.TimelineEntry {
		return client.TimelineEntry{Type: kind, At: noon.Add(time.Duration(second) * time.Second)}
	}
	accepted, held, asked := entry(client.EntryAccepted, 0), entry(client.EntryHeld, 1), entry(client.EntryAttempt, 2)
	for _, test := range []struct {
		kind    client.TransferKind
		state   client.TransferState
		entries []client.TimelineEntry
		want    string
	}{
		{client.TransferKindTransfer, client.Posted, []client.TimelineEntry{accepted, entry(client.EntryDebited, 1)}, "accepted 0 posted 1"},
		{client.TransferKindTransfer, client.Refused, []client.TimelineEntry{accepted, entry(client.EntryRefused, 1)}, "accepted 0 refused 1"},
		{client.TransferKindDeposit, client.Pending, []client.TimelineEntry{accepted}, "accepted 0 bank - posted -"},
		{client.TransferKindWithdrawal, client.Pending, []client.TimelineEntry{accepted, held, asked}, "accepted 0 held 1 bank 2 posted -"},
		{client.TransferKindWithdrawal, client.Posted, []client.TimelineEntry{accepted, held, asked, entry(client.EntryDebited, 3)}, "accepted 0 held 1 bank 2 posted 3"},
		{client.TransferKindWithdrawal, client.Voided, []client.TimelineEntry{accepted, held, asked, entry(client.EntryVoided, 3)}, "accepted 0 held 1 bank 2 voided 3"},
		{client.TransferKindAuthorization, client.Posted, []client.TimelineEntry{accepted, held, entry(client.EntryCaptured, 3)}, "accepted 0 held 1 captured 3"},
		{client.TransferKindAuthorization, client.Voided, []client.TimelineEntry{accepted, held, entry(client.EntryExpired, 9)}, "accepted 0 held 1 expired 9"},
	} {
		var got []string
		for _, s := range stationsOf(client.Transfer{Kind: test.kind, State: test.state, CreatedAt: noon}, test.entries) {
			at := "-"
			if !s.at.IsZero() {
				at = fmt.Sprint(int(s.at.Sub(noon).Seconds()))
			}
			got = append(got, s.name, at)
		}
		testkit.Equal(t, fmt.Sprint(test.kind, " ", test.state), strings.Join(got, " "), test.want)
	}
	m := operatorDashboard(t, 120, 40)
	lines := m.flow(client.Transfer{Kind: client.TransferKindWithdrawal, State: client.Pending}, []client.TimelineEntry{accepted, held, asked}, 60)
	testkit.Contains(t, ansi.Strip(strings.Join(lines, "\n")), "accepted", "held", "[bank]", "posted", "12:00:02")
	for width := range 70 {
		for _, line := range m.flow(client.Transfer{Kind: client.TransferKindWithdrawal}, []client.TimelineEntry{accepted, held}, width) {
			testkit.Equal(t, fmt.Sprintf("the width at %d", width), ansi.StringWidth(line), width)
		}
	}
}
