package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/JDevAman/kizo/client"
)

// TestListHoldsStill: once the user has moved in the list, the same rows stay in the same lines
// while new transfers arrive, and space follows again.
func TestListHoldsStill(t *testing.T) {
	m := played(t, [2]int{120, 30}, keys("2"))
	list := m.pages[1].screen.(*transfersScreen)
	number := 300
	arrive := func(n int) {
		var batch []client.Event
		for range n {
			number++
			newer := numbered(number)
			newer.Id[0] = 0xF0
			batch = append(batch, client.Event{Type: client.EventTransfer, Transfer: &newer})
		}
		m.Update(eventsMsg{batch})
	}
	shown := func() string { // without titles, scrollbar and detail
		var rows []string
		for _, line := range strings.Split(m.View(), "\n")[2:20] {
			rows = append(rows, ansi.Truncate(line, 60, ""))
		}
		return strings.Join(rows, "\n")
	}
	topmost := func() byte { first, _ := list.at(list.offset); return first.Id[0] }

	arrive(3)
	if topmost() != 0xF0 || list.offset != 0 {
		t.Error("the list does not follow the newest transfer at first")
	}
	m.Update(keyMsg("j"))
	m.Update(keyMsg("k")) // back to the first row
	before := shown()
	arrive(12)
	if after := shown(); after != before {
		t.Errorf("the rows moved:\n%s\nto\n%s", before, after)
	}
	if view := m.View(); !strings.Contains(view, "12 new ↑ space follows") {
		t.Errorf("%s", view)
	}
	m.Update(keyMsg("enter")) // the detail stays that of the same transfer
	read := list.current().Id
	arrive(1)
	if list.current().Id != read {
		t.Error("another transfer is read")
	}
	m.Update(keyMsg("esc"))
	for range 10 {
		m.Update(keyMsg("k"))
	}
	if n := list.newer(); n != 3 {
		t.Errorf("%d are above the screen, not 3", n)
	}
	m.Update(tea.KeyMsg{Type: tea.KeySpace, Runes: []rune{' '}})
	if list.offset != 0 || list.selected != 0 || list.newer() != 0 {
		t.Errorf("space shows row %d", list.offset)
	}
	arrive(1)
	if list.selected != 0 || list.newer() != 0 {
		t.Error("the list does not follow again")
	}

	// More than are kept arrive while the list is paused.
	m.Update(tea.KeyMsg{Type: tea.KeySpace, Runes: []rune{' '}})
	held := list.current().Id
	for range 5 {
		arrive(maxFresh / 2)
		if len(list.fresh) > maxFresh {
			t.Fatalf("%d are kept", len(list.fresh))
		}
		if list.current().Id != held {
			t.Fatal("another row is selected")
		}
	}
	if n := list.newer(); n != 5*(maxFresh/2) {
		t.Errorf("%d new ones", n)
	}
}
