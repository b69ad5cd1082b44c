package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// manyTasks answers with tasks in each state, and records what is done to them.
type manyTasks struct {
	sendRecord
	tasks   []client.Task
	refused string // the task that cannot be changed
}

func (r *manyTasks) Tasks(_ context.Context, _ string, params client.OpsListTasksParams) ([]client.Task, error) {
	if *params.State != "archived" {
		return nil, nil
	}
	return r.tasks, nil
}

func (r *manyTasks) Payments(context.Context, client.OpsListPaymentsParams) (client.PaymentList, error) {
	return client.PaymentList{}, nil
}

func (r *manyTasks) ActOnTask(ctx context.Context, queue, task, action, reason string) error {
	if task == r.refused {
		return errors.New("the task is busy\x1b[2J")
	}
	return r.operatorRecord.ActOnTask(ctx, queue, task, action, reason)
}

// listing returns a dashboard whose lists are answered at once.
func listing(t *testing.T, n int) (*model, *manyTasks, *queuesScreen) {
	t.Helper()
	m := operatorDashboard(t, 100, 40)
	r := &manyTasks{}
	for i := range n {
		r.tasks = append(r.tasks, taskNumber(i))
	}
	m.server = r
	return m, r, m.pages[3].screen.(*queuesScreen)
}

// do presses keys and handles the answers.
func do(m *model, names ...string) {
	for _, msg := range keys(names...) {
		_, command := m.Update(msg)
		for _, answer := range messagesOf(command) {
			m.Update(answer)
		}
	}
}

// TestRetryingFiftyTasksTakesEightKeys from the first screen, with one reason.
func TestRetryingFiftyTasksTakesEightKeys(t *testing.T) {
	m, r, _ := listing(t, 50)
	pressed := []string{"4", "h", "h", "ctrl+a", "t", "x", "enter", "y"}
	do(m, pressed[:7]...)
	if view := m.View(); !strings.Contains(view, "Retry 50 tasks?") || !strings.Contains(view, "▸ Cancel") || len(r.acted) != 0 {
		t.Fatalf("did %v\n%s", r.acted, view)
	}
	do(m, pressed[7])
	if len(r.acted) != 50 || r.acted[49] != "bank "+taskNumber(49).Id+" retry x" || m.bad || !strings.Contains(m.toast, "retry all 50") {
		t.Errorf("%d tasks, %q", len(r.acted), m.toast)
	}
	if len(pressed) > 8 {
		t.Errorf("%d keys", len(pressed))
	}
}

// TestARefusedTaskDoesNotStopTheOthers, and is counted.
func TestARefusedTaskDoesNotStopTheOthers(t *testing.T) {
	m, r, _ := listing(t, 5)
	r.refused = taskNumber(1).Id
	do(m, "4", "h", "h", "ctrl+a", "t", "x", "enter", "y")
	if len(r.acted) != 4 || !m.bad || !strings.Contains(m.toast, "4 of 5 done; 1 not: the task is busy") {
		t.Errorf("did %v, %q", r.acted, m.toast)
	}
	if view := m.View(); strings.Contains(view, "\x1b[2J") {
		t.Error("the error reaches the terminal")
	}
}

// TestMarking: single rows, ranges by v and by shift, all; marks stay with their rows.
func TestMarking(t *testing.T) {
	for _, test := range []struct {
		keys []string
		want string // the marked rows
	}{
		{[]string{" ", " "}, "01"},
		{[]string{" ", "k", " "}, ""},
		{[]string{"j", "v", "j", "j"}, "123"},
		{[]string{"j", "v", "j", "j", "k"}, "12"},
		{[]string{"v", "j", "v", "j", "j", " "}, "013"},
		{[]string{"G", "v", "k"}, "89"},
		{[]string{"shift+down", "shift+down"}, "012"},
		{[]string{"j", "shift+down", "shift+up"}, "1"},
		{[]string{"ctrl+a"}, "0123456789"},
		{[]string{"ctrl+a", "ctrl+a"}, ""},
		{[]string{"ctrl+a", "esc"}, ""},
		{[]string{"ctrl+a", " "}, "123456789"},
	} {
		m, r, s := listing(t, 10)
		do(m, append([]string{"4", "h", "h"}, test.keys...)...)
		marked := func() string {
			var found strings.Builder
			for i := range 10 {
				if s.marks.has(taskNumber(i).Id) {
					fmt.Fprint(&found, i)
				}
			}
			return found.String()
		}
		testkit.Equal(t, fmt.Sprint(test.keys), marked(), test.want)
		s.update(&m.shared, taskListMsg{key: s.key(&m.shared), list: taskList{key: s.key(&m.shared), tasks: r.tasks[2:]}})
		testkit.Equal(t, fmt.Sprint(test.keys, " without the first two"), marked(), strings.TrimLeft(test.want, "01"))
		if do(m, "l"); len(s.marks.ids) != 0 {
			t.Error("another list keeps the marks")
		}
	}
}

// TestTitlesAndRowsAreClicked: a title sorts, and again in reverse; a tab and a row are selected.
func TestTitlesAndRowsAreClicked(t *testing.T) {
	m, _, s := listing(t, 10)
	do(m, "4", "h", "h")
	m.View()
	click := func(x, y int) {
		_, command := m.Update(tea.MouseMsg{X: x, Y: y + m.headLines(), Button: tea.MouseButtonLeft, Action: tea.MouseActionPress})
		for _, answer := range messagesOf(command) {
			m.Update(answer)
		}
		m.View()
	}
	lines := strings.Split(m.View(), "\n")
	at := func(line int, text string) int {
		before, _, found := strings.Cut(lines[line+m.headLines()], text)
		if !found {
			t.Fatalf("%q is not in %q", text, lines[line+m.headLines()])
		}
		return len([]rune(before))
	}
	click(at(s.top, "ERROR"), s.top)
	testkit.Equal(t, "sorted", s.order, sorting{column: "ERROR"})
	click(at(s.top, "ERROR")+2, s.top)
	testkit.Equal(t, "sorted again", s.order, sorting{column: "ERROR", reverse: true})
	click(5, s.top+4)
	testkit.Equal(t, "the row", s.selected, 3)
	click(at(s.top-1, "active")+1, s.top-1)
	testkit.Equal(t, "the tab", s.tab, "active")

	m = played(t, [2]int{100, 30}, keys("2"))
	list := m.pages[1].screen.(*transfersScreen)
	lines = strings.Split(m.View(), "\n")
	click(at(0, "STATE"), 0)
	if list.field == nil || list.field.text() != "state:" || !strings.Contains(m.toast, "newest first") {
		t.Errorf("%v, %q", list.field, m.toast)
	}
}

// TestAFilterIsCompleted from field names, values, handles and earlier filters.
func TestAFilterIsCompleted(t *testing.T) {
	for _, test := range []struct {
		keys []string
		want string
	}{
		{[]string{"s", "t", "tab"}, "state:"},
		{[]string{"s", "t", "tab", "p", "tab"}, "state:pending "},
		{[]string{"s", "t", "tab", "p", "shift+tab", "tab"}, "state:posted "},
		{[]string{"s", "t", "tab", "p", "tab", "k", "tab", "d", "tab"}, "state:pending kind:deposit "},
		{[]string{"t", "o", ":", "b", "tab"}, "to:@bob "},
		{[]string{"t", "o", ":", "@", "b", "tab"}, "to:@bob "},
		{[]string{"c", "u", "tab", "e", "tab"}, "currency:EUR "},
		{[]string{"a", "m", "tab", "tab"}, "amount:>"},
		{[]string{`"`, "s", "t", "tab"}, `"st`}, // text
		{[]string{"x", "x", "tab"}, "xx"},
		{[]string{"l", "u", "enter", "c", "/", "up"}, "lu"},
		{[]string{"l", "u", "enter", "c", "/", "x", "enter", "c", "/", "z", "up", "up", "down"}, "x"},
		{[]string{"l", "u", "enter", "c", "/", "z", "up", "down"}, "z"},
	} {
		m := operatorDashboard(t, 100, 30)
		m.Update(pageMsg{found: adasTransfers(5)})
		pressKeys(m, append([]string{"2", "/"}, test.keys...)...)
		got := m.pages[1].screen.(*transfersScreen).field.text()
		testkit.Equal(t, fmt.Sprint(test.keys), got, test.want)
	}
	for typed, want := range map[string]string{"state:posed": "state:posted", "stat:posted": "state:posted", "form:@bob": "from:@bob", "knd:deposit": "kind:deposit", "kind:deposits": "kind:deposit"} {
		if _, err := parseFilter(typed, nil, noon); err == nil || !strings.Contains(err.Error(), "did you mean "+want+"?") {
			t.Errorf("%s: %v", typed, err)
		}
	}
	for _, typed := range []string{"http://x", "12:30", "note:x"} {
		if _, err := parseFilter(typed, nil, noon); err != nil {
			t.Errorf("%s: %v", typed, err)
		}
	}
}

// TestOnlyLikeThisOne narrows the list by a cell of the selected transfer, within the filter.
func TestOnlyLikeThisOne(t *testing.T) {
	for name, want := range map[string]string{
		"state": "lunch state:posted", "with": "lunch with:@bob", "kind": "lunch kind:transfer", "currency": "lunch currency:USD",
		"amount": "lunch amount:12.34 currency:USD", "memo": `"invoice 0"`, "to": "lunch to:@bob", "day": "lunch since:2026-11-24 until:2026-11-25",
	} {
		m := operatorDashboard(t, 100, 30)
		list := m.pages[1].screen.(*transfersScreen)
		pressKeys(m, "2", "/", "l", "u", "n", "c", "h", " ", "s", "t", "a", "t", "e", ":", "r", "e", "f", "u", "s", "e", "d", "enter")
		if name != "state" { // which replaces the state
			want = strings.Replace(want, "lunch", "lunch state:refused", 1)
			if name == "memo" {
				want = "state:refused " + want
			}
		}
		list.asked = nil
		list.take(0, "", adasTransfers(3))
		pressKeys(m, "f")
		for i, found := range m.overlay.(*searchScreen).matches() {
			if found.shown == name {
				m.overlay.(*searchScreen).selected = i
			}
		}
		pressKeys(m, "enter")
		testkit.Equal(t, name, list.filter.text, want)
	}
}

// TestSavedFiltersAreTabs which ] and [ turn, and a click selects.
func TestSavedFiltersAreTabs(t *testing.T) {
	m := operatorDashboard(t, 100, 30)
	m.saved = []SavedFilter{{"big", "amt:>100"}, {"typo", "state:gone"}, {"\x1b[2Jevil", "kind:deposit"}}
	list := m.pages[1].screen.(*transfersScreen)
	pressKeys(m, "2")
	if view := m.View(); !strings.Contains(view, `[All] big  typo  \u{1b}[2Jevil`) {
		t.Errorf("%s", view)
	}
	pressKeys(m, "]")
	testkit.Equal(t, "the first", list.filter.text, "amt:>100 currency:USD")
	if view := m.View(); !strings.Contains(view, "[big]") {
		t.Errorf("%s", view)
	}
	pressKeys(m, "]")
	if !m.bad || !strings.Contains(m.toast, "typo: state:gone is not one of") {
		t.Errorf("%q", m.toast)
	}
	pressKeys(m, "[")
	testkit.Equal(t, "none", list.filter.text, "")
	pressKeys(m, "[")
	testkit.Equal(t, "the last", list.filter.text, "kind:deposit")
	m.View()
	m.Update(tea.MouseMsg{X: 7, Y: m.headLines(), Button: tea.MouseButtonLeft, Action: tea.MouseActionPress})
	testkit.Equal(t, "clicked", list.filter.text, "amt:>100 currency:USD")
	pressKeys(m, "c", "1", "j", "2", "/", "a", "m", "t", ":", ">", "5", "enter") // the wallet that is selected
	testkit.Equal(t, "of the second wallet", list.filter.text, "amt:>5 currency:EUR")
}
