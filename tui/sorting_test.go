package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// TestSortingByEveryColumn: each column of both lists has an order, the mark is at its title, and
// the same row stays selected.
func TestSortingByEveryColumn(t *testing.T) {
	m, s := operatorModel(t), newQueuesScreen()
	minuteOfOperations(&m.ops)
	payment := func(i int, amount int64, currency string, attempts int) client.Payment {
		return client.Payment{TransferId: *taskNumber(i).TransferId, Amount: amount, Currency: currency, Attempts: attempts,
			Direction: client.PaymentDeposit, User: ptr(fmt.Sprint(9 - i)), CreatedAt: noon.Add(-time.Duration(attempts) * time.Hour), LastError: ptr(fmt.Sprint(9 - i))}
	}
	received := []client.Payment{payment(2, 300, "USD", 4), payment(1, 20, "USD", 9), payment(3, 4000, "EUR", 7)}
	s.tab = review
	answer := func() {
		s.update(m, taskListMsg{key: s.key(m), list: taskList{key: s.key(m), payments: slices.Clone(received)}})
	}
	answer()
	s.move(1)
	chosen := s.list.id(s.selected)
	want := map[string]string{"": "213", "TRANSFER": "123", "USER": "321", "KIND": "213", "AMOUNT": "312", "AGE": "231", "TRIES": "231", "BANK'S ERROR": "321"}
	for range len(want) {
		answer()
		var got strings.Builder
		for _, p := range s.list.payments {
			fmt.Fprint(&got, p.TransferId[15])
		}
		testkit.Equal(t, "sorted by "+s.order.column, got.String(), want[s.order.column])
		if view := s.view(m, 200, 40); s.order.column != "" && !strings.Contains(view, s.order.column+" ▲") {
			t.Errorf("no mark at %s:\n%s", s.order.column, view)
		}
		if s.list.id(s.selected) != chosen {
			t.Errorf("another row is selected after sorting by %s", s.order.column)
		}
		press(m, s, "o")
	}
	testkit.Equal(t, "after the last column", s.order.column, "")
	press(m, s, "o")
	press(m, s, "O")
	testkit.Equal(t, "reversed", s.list.payments[0].TransferId[15], byte(3))

	s.tab = "retry"
	for _, title := range columnTitles(s.columns()) {
		if rowOrders()[title] == nil {
			t.Errorf("there is no order of tasks by %s", title)
		}
	}
	s.update(m, taskListMsg{key: s.key(m), list: taskList{key: s.key(m), tasks: []client.Task{taskNumber(1), taskNumber(2)}}})
	testkit.Equal(t, "tasks, by TRANSFER reversed", s.list.id(0), taskNumber(2).Id)
}
