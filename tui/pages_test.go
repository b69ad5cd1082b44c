package tui

import (
	"encoding/binary"
	"slices"
	"strconv"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"pgregory.net/rapid"

	"github.com/JDevAman/kizo/client"
)

// numbered returns a transfer with a number: the higher the number, the newer the transfer.
func numbered(n int) client.Transfer {
	var t client.Transfer
	binary.BigEndian.PutUint64(t.Id[8:], uint64(n))
	t.Amount = int64(n)
	return t
}

// fakeList is the server's list: pages by cursor, as the API returns them.
type fakeList struct{ newest int }

func (s *fakeList) page(cursor string) client.TransferList {
	from := s.newest
	if cursor != "" {
		from, _ = strconv.Atoi(cursor)
	}
	var list client.TransferList
	for n := from; n > 0 && len(list.Items) < transferPageSize; n-- {
		list.Items = append(list.Items, numbered(n))
	}
	if left := from - len(list.Items); left > 0 {
		list.NextCursor = pointerTo(strconv.Itoa(left))
	}
	return list
}

// TestHistoryScrollsWithoutGaps shows random parts of a long list while it grows. The shown rows
// are in order, without gaps and repeats, and the number of stored rows is bounded.
func TestHistoryScrollsWithoutGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		server := &fakeList{newest: rapid.IntRange(0, 3000).Draw(t, "transfers")}
		var h history
		look := func(from, to int) {
			for range 50 {
				page, cursor, wanted := h.wanted(from, to)
				if !wanted {
					return
				}
				h.take(page, cursor, server.page(cursor))
			}
			t.Fatal("it never stops asking")
		}
		look(0, 50)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				for range rapid.IntRange(1, 40).Draw(t, "events") {
					server.newest++
					h.applyEvent(numbered(server.newest), true)
				}
			case 1: // a change of a stored transfer
				h.applyEvent(numbered(rapid.IntRange(1, server.newest+1).Draw(t, "changed")), false)
			default:
				from := rapid.IntRange(0, h.length()).Draw(t, "row")
				look(from, from+50)
				for row := from; row < from+50 && row < h.length(); row++ {
					got, known := h.at(row)
					if want := int64(server.newest - row); !known || got.Amount != want {
						t.Fatalf("row %d of %d is %d (known: %v), want %d", row, h.length(), got.Amount, known, want)
					}
				}
			}
			held := len(h.fresh)
			for _, page := range h.pages {
				held += len(page.items)
			}
			if limit := (2*keptPages+2)*transferPageSize + 40*30; held > limit {
				t.Fatalf("%d are held, want at most %d", held, limit)
			}
		}
		for !h.ended { // scrolls to the end, a screen at a time
			look(h.length(), h.length())
		}
		if h.length() != server.newest || !h.ended {
			t.Fatalf("%d rows of %d", h.length(), server.newest)
		}
	})
}

func TestHistoryAcceptsLateEvents(t *testing.T) {
	var h history
	h.take(0, "", client.TransferList{Items: []client.Transfer{numbered(10), numbered(8), numbered(5)}})
	for _, n := range []int{9, 12, 11, 3} {
		h.applyEvent(numbered(n), true)
	}
	var got []int64
	for row := range h.length() {
		transfer, _ := h.at(row)
		got = append(got, transfer.Amount)
	}
	if want := []int64{12, 11, 10, 9, 8, 5}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	changed := numbered(8)
	changed.State = client.Posted
	h.applyEvent(changed, false)
	if row := h.row(changed.Id); row != 4 {
		t.Errorf("row %d", row)
	} else if transfer, _ := h.at(4); transfer.State != client.Posted {
		t.Error("it did not change in its place")
	}
	// An answer that was sent before the event does not undo it.
	late := numbered(8)
	late.State = client.Pending
	h.take(0, "", client.TransferList{Items: []client.Transfer{numbered(10), late, numbered(5)}})
	if transfer, _ := h.at(h.row(late.Id)); transfer.State != client.Posted {
		t.Errorf("it went back to %s", transfer.State)
	}
	// The first page, read again, contains all of these changes.
	h.take(0, "", client.TransferList{Items: []client.Transfer{numbered(12), numbered(11), numbered(10)}})
	if h.length() != 3 || len(h.fresh) != 0 {
		t.Errorf("%d rows, %d of them fresh", h.length(), len(h.fresh))
	}
}

func TestReloadedPageKeepsItsEnd(t *testing.T) {
	server := &fakeList{newest: 1500}
	var h history
	for {
		page, cursor, wanted := h.wanted(h.length(), h.length())
		if !wanted {
			break
		}
		h.take(page, cursor, server.page(cursor))
	}
	if _, known := h.at(150); known {
		t.Fatal("page 1 should have been let go")
	}
	page, cursor, _ := h.wanted(150, 160)
	longer := server.page(cursor)
	// Two of its transfers no longer match a filter, so that two of the next page follow.
	longer.Items = append(slices.Delete(longer.Items, 3, 5), numbered(1300), numbered(1299))
	h.take(page, cursor, longer)
	if h.length() != 1498 {
		t.Errorf("%d rows: a row is there twice or is missing", h.length())
	}
}

func TestListIsBounded(t *testing.T) {
	m := dashboard(t)
	m.Update(tea.WindowSizeMsg{Width: 100, Height: 30})
	for _, msg := range afterOpening() {
		m.Update(msg)
	}
	list := m.pages[1].screen.(*transfersScreen)
	for _, deep := range []bool{false, true} {
		if deep {
			m.Update(keyMsg("2"))
			m.Update(keyMsg("G"))
		}
		for n := range 200 { // no request for a page is answered
			var batch []client.Event
			for i := range 50 {
				newer := numbered(n*50 + i)
				newer.Id[0] = 0xF0
				if deep {
					newer.Id[0]++
				}
				batch = append(batch, client.Event{Type: client.EventTransfer, Transfer: &newer})
			}
			m.Update(eventsMsg{batch})
			if len(list.fresh) > maxFresh+50 {
				t.Fatalf("%d are held", len(list.fresh))
			}
		}
		_ = m.View()
	}
	if newest, _ := list.at(0); list.skipped == 0 && newest.Id[0] != 0xF1 {
		t.Errorf("the newest is not first, and nothing says so")
	}
}
