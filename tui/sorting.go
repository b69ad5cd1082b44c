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

func taskOrders() map[string]func(a, b client.Task) int {
	return map[string]func(a, b client.Task) int{
		"TRANSFER": func(a, b client.Task) int { return strings.Compare(transferOf(a), transferOf(b)) },
		"TASK":     func(a, b client.Task) int { return strings.Compare(a.Id, b.Id) },
		"NEXT":     func(a, b client.Task) int { return orZero(a.NextProcessAt).Compare(orZero(b.NextProcessAt)) },
		"ERROR":    func(a, b client.Task) int { return strings.Compare(value(a.LastError), value(b.LastError)) },
	}
}

func paymentOrders() map[string]func(a, b client.Payment) int {
	return map[string]func(a, b client.Payment) int{
		"TRANSFER": func(a, b client.Payment) int {
			return strings.Compare(a.TransferId.String(), b.TransferId.String())
		},
		"KIND": func(a, b client.Payment) int { return cmp.Compare(a.Direction, b.Direction) },
		"AMOUNT": func(a, b client.Payment) int { // amounts of two currencies cannot be compared
			return cmp.Or(strings.Compare(a.Currency, b.Currency), cmp.Compare(a.Amount, b.Amount))
		},
		"AGE":          func(a, b client.Payment) int { return b.CreatedAt.Compare(a.CreatedAt) },
		"TRIES":        func(a, b client.Payment) int { return cmp.Compare(a.Attempts, b.Attempts) },
		"BANK'S ERROR": func(a, b client.Payment) int { return strings.Compare(value(a.LastError), value(b.LastError)) },
	}
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
	if order := taskOrders()[by.column]; order != nil {
		slices.SortStableFunc(l.tasks, directed(order, by.reverse))
	}
	if order := paymentOrders()[by.column]; order != nil {
		slices.SortStableFunc(l.payments, directed(order, by.reverse))
	}
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
	if s.tab == review {
		return []draw.Column{{Title: "TRANSFER"}, {Title: "KIND", Drop: 3}, {Title: "AMOUNT", Right: true, Drop: 1}, {Title: "AGE", Right: true, Drop: 4},
			{Title: "TRIES", Right: true, Drop: 5}, {Title: "BANK'S ERROR", Cut: 10, Drop: 2}}
	}
	return []draw.Column{{Title: "TRANSFER"}, {Title: "TASK", Drop: 3}, {Title: "NEXT", Drop: 2}, {Title: "ERROR", Cut: 10, Drop: 1}}
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
