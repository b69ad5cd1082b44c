package tui

import (
	"bytes"

	"github.com/JDevAman/kizo/client"
)

// history is the list of transfers as far as it is known, newest first. It grows by pages at its end and by events at
// its front, and holds only the pages around the place that is looked at:
//
//	fresh ─ page 0 ─ page 1 ─ (page 2, let go) ─ … ─ next cursor
//
// A page that was let go keeps its place and is asked for again when that place is looked at. So memory stays the same
// however long the list is.
type history struct {
	fresh []client.Transfer // told since page 0 was read, oldest first: the next one goes to the end
	pages []transferPage
	next  string // cursor of the page after the last
	ended bool   // there is none

	skipped int // newer transfers that were let go, because there were too many of them while an old place was looked at
}

// transferPage is a page of the server's.
type transferPage struct {
	cursor string // it begins behind; "" for the first
	count  int
	last   client.ID
	items  []client.Transfer // nil when it was let go
}

const (
	// transferPageSize is the largest page that the API gives.
	transferPageSize = 100
	// maxFresh bounds what events add before the first page is read anew.
	maxFresh = 1000
	// keptPages are held on each side of the place that is looked at.
	keptPages = 4
	// maxPages bounds the places: a million transfers. Who looks further back narrows by a filter.
	maxPages = 10_000
)

// length is the number of rows that there are places for.
func (h *history) length() int {
	n := len(h.fresh)
	for i := range h.pages {
		n += h.pages[i].count
	}
	return n
}

// at is the transfer of a row; known is false where its page was let go.
func (h *history) at(row int) (t client.Transfer, known bool) {
	if row < 0 {
		return t, false
	}
	if row < len(h.fresh) {
		return h.fresh[len(h.fresh)-1-row], true
	}
	page, within := h.place(row)
	if page == len(h.pages) || within >= len(h.pages[page].items) {
		return t, false
	}
	return h.pages[page].items[within], true
}

// place is the page of a row and its place in it; the number of pages if it lies behind them.
func (h *history) place(row int) (page, within int) {
	row -= len(h.fresh)
	for i := range h.pages {
		if row < h.pages[i].count {
			return i, max(0, row)
		}
		row -= h.pages[i].count
	}
	return len(h.pages), 0
}

// wanted is the first page that rows from..to need and that is not there, with its cursor. Reading a little ahead is the
// caller's choice of to.
func (h *history) wanted(from, to int) (page int, cursor string, wanted bool) {
	first, _ := h.place(max(from, len(h.fresh)))
	last, _ := h.place(max(to, len(h.fresh)))
	for i := first; i <= last && i < len(h.pages); i++ {
		if h.pages[i].items == nil && h.pages[i].count > 0 {
			return i, h.pages[i].cursor, true
		}
	}
	if last < len(h.pages) || h.ended || len(h.pages) >= maxPages {
		return 0, "", false
	}
	return len(h.pages), h.next, true
}

// take puts a page where it belongs. The first page begins the list anew; what events told that is newer stays in front.
// Another page that is read again keeps its end, should more fit on it now: the rest stands on the next one.
func (h *history) take(page int, cursor string, list client.TransferList) {
	taken := transferPage{cursor: cursor, items: append([]client.Transfer{}, list.Items...)}
	for i, t := range taken.items {
		if held := h.find(t); held != nil {
			taken.items[i] = latest(*held, t)
		}
	}
	if page == 0 {
		h.forgetFresh(list.Items)
		h.pages, h.skipped = nil, 0
	}
	switch {
	case page < len(h.pages):
		taken.last = h.pages[page].last
		end := newerThan(taken.items, client.Transfer{Id: taken.last})
		if end < len(taken.items) && taken.items[end].Id == taken.last {
			end++
		}
		taken.items = taken.items[:end]
	case page == len(h.pages):
		if n := len(taken.items); n > 0 {
			taken.last = taken.items[n-1].Id
		}
		h.next = value(list.NextCursor)
		h.ended = h.next == ""
		h.pages = append(h.pages, transferPage{})
	default:
		return // of a list that is no more
	}
	taken.count = len(taken.items)
	h.pages[page] = taken
	for i := 1; i < len(h.pages); i++ { // the first stays: new transfers may belong on it
		if i < page-keptPages || i > page+keptPages {
			h.pages[i].items = nil
		}
	}
}

// forgetFresh drops what stands on the first page, too.
func (h *history) forgetFresh(items []client.Transfer) {
	kept := h.fresh[:0]
	for _, t := range h.fresh {
		if len(items) == 0 || bytes.Compare(t.Id[:], items[0].Id[:]) > 0 {
			kept = append(kept, t)
		}
	}
	h.fresh = kept
}

// tell takes what an event says: a transfer that is known changes in place, a new one that the list holds is put where it
// belongs. It gives the row that was added, or -1.
func (h *history) applyEvent(t client.Transfer, matches bool) (added int) {
	if known := h.find(t); known != nil {
		*known = latest(*known, t)
		return -1
	}
	if !matches {
		return -1
	}
	// Ids are ordered as the list is (UUID v7); one that was made earlier may be told later.
	if len(h.pages) > 0 && len(h.pages[0].items) > 0 && bytes.Compare(t.Id[:], h.pages[0].items[0].Id[:]) < 0 {
		page := &h.pages[0]
		at := newerThan(page.items, t)
		if at == len(page.items) {
			return -1 // further down: the page that holds it says so when it is read
		}
		page.items = insert(page.items, at, t)
		page.count++
		return len(h.fresh) + at
	}
	at := olderThan(h.fresh, t)
	h.fresh = insert(h.fresh, at, t)
	return len(h.fresh) - 1 - at
}

// find is where a transfer is held, nil if it is not.
func (h *history) find(t client.Transfer) *client.Transfer {
	in := func(items []client.Transfer) *client.Transfer {
		if i := newerThan(items, t); i < len(items) && items[i].Id == t.Id {
			return &items[i]
		}
		return nil
	}
	if i := olderThan(h.fresh, t); i < len(h.fresh) && h.fresh[i].Id == t.Id {
		return &h.fresh[i]
	}
	for i := range h.pages {
		if found := in(h.pages[i].items); found != nil {
			return found
		}
	}
	return nil
}

// row is where a transfer stands, or -1.
func (h *history) row(id client.ID) int {
	t := client.Transfer{Id: id}
	if i := olderThan(h.fresh, t); i < len(h.fresh) && h.fresh[i].Id == id {
		return len(h.fresh) - 1 - i
	}
	row := len(h.fresh)
	for i := range h.pages {
		items := h.pages[i].items
		if j := newerThan(items, t); j < len(items) && items[j].Id == id {
			return row + j
		}
		row += h.pages[i].count
	}
	return -1
}

// newerThan is how many of the items are newer than t: where it stands, or would.
func newerThan(items []client.Transfer, t client.Transfer) int {
	low, high := 0, len(items)
	for low < high {
		middle := (low + high) / 2
		if bytes.Compare(items[middle].Id[:], t.Id[:]) > 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// olderThan is newerThan for items whose oldest comes first.
func olderThan(items []client.Transfer, t client.Transfer) int {
	low, high := 0, len(items)
	for low < high {
		middle := (low + high) / 2
		if bytes.Compare(items[middle].Id[:], t.Id[:]) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

func insert(items []client.Transfer, at int, t client.Transfer) []client.Transfer {
	items = append(items, client.Transfer{})
	copy(items[at+1:], items[at:])
	items[at] = t
	return items
}

// truncate keeps the newest rows alone. What follows them has to be read anew.
func (h *history) truncate(rows int) {
	kept := h.fresh[max(0, len(h.fresh)-rows):]
	*h = history{fresh: append([]client.Transfer{}, kept...)}
}

// skip lets go of what is fresh, of which there is too much, and gives the number of rows that went.
func (h *history) skip() int {
	gone := len(h.fresh)
	h.skipped += gone
	h.fresh = nil
	return gone
}
