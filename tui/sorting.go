package tui

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// sorting is the column by which a list of tasks or payments is sorted, by its title.
type sorting struct {
	column  string // empty for the order of the server
	reverse bool
}

// listRow is a task or a payment, for sorting.
type listRow struct {
	transfer, failure string
	next              time.Time
	payment           *client.Payment
}

func rowOrders() map[string]func(a, b listRow) int {
	ofPayment := func(order func(a, b client.Payment) int) func(a, b listRow) int {
		return func(a, b listRow) int {
			switch { // those without a payment come last
			case a.payment == nil && b.payment == nil:
				return 0
			case a.payment == nil:
				return 1
			case b.payment == nil:
				return -1
			}
			return order(*a.payment, *b.payment)
		}
	}
	return map[string]func(a, b listRow) int{
		"TRANSFER":     func(a, b listRow) int { return strings.Compare(a.transfer, b.transfer) },
		"NEXT":         func(a, b listRow) int { return a.next.Compare(b.next) },
		"ERROR":        func(a, b listRow) int { return strings.Compare(a.failure, b.failure) },
		"BANK'S ERROR": func(a, b listRow) int { return strings.Compare(a.failure, b.failure) },
		"USER":         ofPayment(func(a, b client.Payment) int { return strings.Compare(value(a.User), value(b.User)) }),
		"KIND":         ofPayment(func(a, b client.Payment) int { return cmp.Compare(a.Direction, b.Direction) }),
		"AMOUNT": ofPayment(func(a, b client.Payment) int { // amounts of two currencies cannot be compared
			return cmp.Or(strings.Compare(a.Currency, b.Currency), cmp.Compare(a.Amount, b.Amount))
		}),
		"AGE":   ofPayment(func(a, b client.Payment) int { return b.CreatedAt.Compare(a.CreatedAt) }),
		"TRIES": ofPayment(func(a, b client.Payment) int { return cmp.Compare(a.Attempts, b.Attempts) }),
	}
}

func rowOfTask(t client.Task) listRow {
	return listRow{transferOf(t), value(t.LastError), orZero(t.NextProcessAt), t.Payment}
}

func rowOfPayment(p client.Payment) listRow {
	return listRow{transfer: p.TransferId.String(), failure: value(p.LastError), payment: &p}
}

func transferOf(t client.Task) string {
	if t.TransferId == nil {
		return ""
	}
	return t.TransferId.String()
}

func orZero(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}

// sort sorts the list. Equal rows stay in the order of the server.
func (l *taskList) sort(by sorting) {
	order := rowOrders()[by.column]
	if order == nil {
		return
	}
	order = directed(order, by.reverse)
	slices.SortStableFunc(l.tasks, func(a, b client.Task) int { return order(rowOfTask(a), rowOfTask(b)) })
	slices.SortStableFunc(l.payments, func(a, b client.Payment) int { return order(rowOfPayment(a), rowOfPayment(b)) })
}

func directed[T any](order func(a, b T) int, reverse bool) func(a, b T) int {
	if !reverse {
		return order
	}
	return func(a, b T) int { return order(b, a) }
}

// sortBy sorts by the column after the present one, or reverses the order. The same row stays
// selected. The order of the server returns with its next answer, within a second.
func (s *queuesScreen) sortBy(reverse bool) {
	if reverse {
		s.order.reverse = !s.order.reverse
	} else {
		titles := append([]string{""}, columnTitles(s.columns())...)
		s.order.column = titles[(slices.Index(titles, s.order.column)+1)%len(titles)]
	}
	s.sortAgain()
}

// sortByColumn sorts by a column, and in reverse if the list is sorted by it already.
func (s *queuesScreen) sortByColumn(title string) {
	s.order = sorting{column: title, reverse: s.order.column == title && !s.order.reverse}
	s.sortAgain()
}

func (s *queuesScreen) sortAgain() {
	list := s.list
	list.tasks, list.payments = slices.Clone(list.tasks), slices.Clone(list.payments)
	s.keepSelected(list)
}

func columnTitles(columns []draw.Column) (titles []string) {
	for _, c := range columns {
		titles = append(titles, c.Title)
	}
	return titles
}

// columns returns the columns of the list.
func (s *queuesScreen) columns() []draw.Column {
	columns := []draw.Column{{Title: "TRANSFER", Drop: 7}, {Title: "USER", Cut: 8, Drop: 3, Sparse: true}, {Title: "KIND", Drop: 6, Sparse: true},
		{Title: "AMOUNT", Right: true, Drop: 1, Sparse: true}, {Title: "AGE", Right: true, Drop: 4, Sparse: true}, {Title: "TRIES", Right: true, Drop: 5, Sparse: true}}
	if s.tab == review {
		columns[0].Drop = 0
		return append(columns, draw.Column{Title: "BANK'S ERROR", Cut: 10, Drop: 2})
	}
	return append(columns, draw.Column{Title: "NEXT", Drop: 2, Sparse: true}, draw.Column{Title: "ERROR", Cut: 10})
}

// marked returns the columns with a mark at the one by which the list is sorted.
func (s *queuesScreen) marked(m *shared) []draw.Column {
	columns := s.columns()
	for i := range columns {
		if columns[i].Title == s.order.column {
			mark := m.glyph("▲", "^")
			if s.order.reverse {
				mark = m.glyph("▼", "v")
			}
			columns[i].Title += " " + mark
		}
	}
	return columns
}
