package tui

import (
	"bytes"

	"github.com/JDevAman/kizo/client"
)

// history is the loaded part of the list of transfers, newest first. It grows by pages at its end
// and by events at its front, and keeps only the pages around the visible rows:
//
//	fresh ─ page 0 ─ page 1 ─ (page 2, dropped) ─ … ─ next cursor
//
// A dropped page keeps its rows and is requested again when they become visible. So memory is
// bounded, however long the list is.
type history struct {
	fresh []client.Transfer // from events since page 0 was read, oldest first: new ones are appended
	pages []transferPage
	next  string // cursor of the page after the last
	ended bool   // there is no further page

	skipped int // newer transfers that were dropped, because there were too many while the user looked at older ones
}

// transferPage is one page of the server's list.
type transferPage struct {
	cursor string // the cursor it was requested with; "" for the first page
	count  int
	last   client.ID
	items  []client.Transfer // nil if it was dropped
}

const (
	// transferPageSize is the largest page that the API returns.
	transferPageSize = 100
	// maxFresh limits the transfers from events before the first page is read again.
	maxFresh = 1000
	// keptPages is the number of pages kept on each side of the visible rows.
	keptPages = 4
	// maxPages limits the list to a million transfers. To find older ones, the user narrows the
	// filter.
	maxPages = 10_000
)

// length returns the number of rows, including those of dropped pages.
func (h *history) length() int {
	n := len(h.fresh)
	for i := range h.pages {
		n += h.pages[i].count
	}
	return n
}

// at returns the transfer of a row; known is false if its page was dropped.
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

// place returns the page of a row and the index in it; the number of pages if the row is after all
// pages.
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

// wanted returns the first missing page that rows from..to need, with its cursor. A caller reads
// ahead by a larger to.
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

// take stores a page. The first page restarts the list; newer transfers from events stay before it.
// Another page that is read again keeps its end, even if more would fit on it: the rest is on the
// next page.
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
		return // the page belongs to an earlier list
	}
	taken.count = len(taken.items)
	h.pages[page] = taken
	for i := 1; i < len(h.pages); i++ { // the first page stays: new transfers may belong on it
		if i < page-keptPages || i > page+keptPages {
			h.pages[i].items = nil
		}
	}
}

// forgetFresh drops the fresh transfers that are also on the first page.
func (h *history) forgetFresh(items []client.Transfer) {
	kept := h.fresh[:0]
	for _, t := range h.fresh {
		if len(items) == 0 || bytes.Compare(t.Id[:], items[0].Id[:]) > 0 {
			kept = append(kept, t)
		}
	}
	h.fresh = kept
}

// applyEvent applies the transfer of an event: it updates a known transfer in place and inserts a
// new one that matches the filter. It returns the row that was added, or -1.
func (h *history) applyEvent(t client.Transfer, matches bool) (added int) {
	if known := h.find(t); known != nil {
		*known = latest(*known, t)
		return -1
	}
	if !matches {
		return -1
	}
	// Ids are ordered like the list (UUID v7); the event of an older transfer may arrive later.
	if len(h.pages) > 0 && len(h.pages[0].items) > 0 && bytes.Compare(t.Id[:], h.pages[0].items[0].Id[:]) < 0 {
		page := &h.pages[0]
		at := newerThan(page.items, t)
		if at == len(page.items) {
			return -1 // further down: the page that holds it will contain the change when it is read
		}
		page.items = insert(page.items, at, t)
		page.count++
		return len(h.fresh) + at
	}
	at := olderThan(h.fresh, t)
	h.fresh = insert(h.fresh, at, t)
	return len(h.fresh) - 1 - at
}

// find returns the stored transfer, nil if it is not loaded.
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

// row returns the row of a transfer, or -1.
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

// newerThan returns how many of the items, newest first, are newer than t: its index, or where it
// would be.
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

// olderThan is newerThan for items in the opposite order, oldest first.
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

// truncate keeps the newest rows only. The rows after them must be read again.
func (h *history) truncate(rows int) {
	kept := h.fresh[max(0, len(h.fresh)-rows):]
	*h = history{fresh: append([]client.Transfer{}, kept...)}
}

// skip drops the newest of the fresh transfers, at most so many rows, and returns their number.
func (h *history) skip(rows int) int {
	gone := min(rows, len(h.fresh))
	h.skipped += gone
	h.fresh = append([]client.Transfer{}, h.fresh[:len(h.fresh)-gone]...)
	return gone
}
