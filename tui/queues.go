package tui

import (
	"context"
	"errors"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	openapi_types "github.com/oapi-codegen/runtime/types"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// operatorServer is the part of the server that the Queues screen needs.
type operatorServer interface {
	Tasks(ctx context.Context, queue string, params client.OpsListTasksParams) ([]client.Task, error)
	ActOnTask(ctx context.Context, queue, task, action, reason string) error
	PauseQueue(ctx context.Context, queue, reason string) error
	ResumeQueue(ctx context.Context, queue, reason string) error
	Payment(ctx context.Context, transfer openapi_types.UUID) (client.Payment, error)
	Audit(ctx context.Context, incremental bool) (client.AuditReport, error)
	Reconcile(ctx context.Context) (client.Reconciliation, error)
	Payments(ctx context.Context, params client.OpsListPaymentsParams) (client.PaymentList, error)
	History(ctx context.Context, resolution string) (client.OpsHistory, error)
	ResolvePayment(ctx context.Context, transfer openapi_types.UUID, outcome, reason string) (client.Payment, error)
}

// review is the tab of payments that an operator must decide; the others are the states of asynq's
// tasks.
const review = "review"

func taskTabs() []string {
	return []string{"pending", "active", "scheduled", "retry", "archived", review}
}

// listLimit is the number of tasks or payments that the screen lists, the maximum of the API.
const listLimit int32 = 100

// queuesScreen shows the settlement queues, and the tasks of one of them in one state. While the
// screen is visible, it requests the list with each snapshot, one request at a time.
type queuesScreen struct {
	queue string // the chosen queue by name, so that the choice survives reordering; empty for the first
	tab   string
	order sorting

	list     taskList
	marks    marks
	selected int
	offset   int
	asked    *listKey // a request is in progress
	failed   error    // of the last request

	depth  depth
	detail taskDetail

	drawn   draw.Table // the list when it was last drawn
	top     int        // line of the body where it begins
	tabSpan []tabSpan  // of the tabs, in the line before it
}

// listKey identifies the requested list: the answer to an older request is dropped.
type listKey struct{ queue, tab string }

// taskList is the answer to a request.
type taskList struct {
	key      listKey
	tasks    []client.Task
	payments []client.Payment
	more     bool // there are more than were listed
}

type taskListMsg struct {
	list taskList
	key  listKey
	err  error
}

// actedMsg reports the result of an operator's action.
type actedMsg struct {
	done string // a sentence
	err  error
}

func newQueuesScreen() *queuesScreen { return &queuesScreen{tab: "pending"} }

func (s *queuesScreen) typing() bool { return false }

// update handles the server's answers; keys are handled by their bindings.
func (s *queuesScreen) update(m *shared, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.MouseMsg:
		return s.click(m, msg)
	case taskListMsg:
		if s.asked != nil && *s.asked == msg.key {
			s.asked = nil
		}
		if msg.key != s.key(m) {
			return nil
		}
		s.failed = msg.err
		if msg.err == nil {
			s.keepSelected(msg.list)
		}
	case taskDetailMsg:
		s.detail.take(msg)
	case actedMsg:
		s.detail.asked = time.Time{}
		return s.refresh(m)
	}
	return nil
}

// refresh requests the visible list, unless a request is in progress.
func (s *queuesScreen) refresh(m *shared) tea.Cmd {
	key := s.key(m)
	look := s.look(m)
	if m.ops.latest == nil || key.queue == "" || s.asked != nil && *s.asked == key {
		return look
	}
	s.asked = &key
	server := m.server
	return tea.Batch(look, m.ask(func(ctx context.Context) tea.Msg {
		list, err := fetchList(ctx, server, key)
		return taskListMsg{list: list, key: key, err: err}
	}))
}

func fetchList(ctx context.Context, server operatorServer, key listKey) (taskList, error) {
	list, limit := taskList{key: key}, listLimit
	if key.tab == review {
		state := string(client.PaymentNeedsReview)
		page, err := server.Payments(ctx, client.OpsListPaymentsParams{State: &state, Limit: &limit})
		list.payments, list.more = page.Items, page.NextCursor != nil
		return list, err
	}
	tasks, err := server.Tasks(ctx, key.queue, client.OpsListTasksParams{State: &key.tab, Limit: &limit})
	list.tasks, list.more = tasks, len(tasks) == int(limit)
	return list, err
}

// keepSelected replaces the list and keeps the same row selected if it still exists: rows move as
// others disappear, and a key must not act on the wrong one.
func (s *queuesScreen) keepSelected(list taskList) {
	id := s.list.id(s.selected)
	same := s.list.key == list.key
	list.sort(s.order)
	s.list = list
	s.marks.keep(list.ids())
	if same && id != "" {
		for i := range list.length() {
			if list.id(i) == id {
				s.selected = i
				return
			}
		}
	}
	if !same {
		s.selected, s.offset = 0, 0
	}
	s.selected = max(0, min(s.selected, list.length()-1))
}

func (l taskList) length() int { return len(l.tasks) + len(l.payments) }

// id identifies a row; empty if there is none.
func (l taskList) id(i int) string {
	switch {
	case i < 0:
	case i < len(l.tasks):
		return l.tasks[i].Id
	case i < len(l.payments):
		return l.payments[i].TransferId.String()
	}
	return ""
}

func (s *queuesScreen) key(m *shared) listKey {
	q := s.current(m)
	if q == nil {
		return listKey{}
	}
	return listKey{q.Name, s.tab}
}

// current returns the chosen queue, or the first.
func (s *queuesScreen) current(m *shared) *client.QueueSnapshot {
	if m.ops.latest == nil || m.ops.latest.Queues == nil || len(*m.ops.latest.Queues) == 0 {
		return nil
	}
	queues := *m.ops.latest.Queues
	i := slices.IndexFunc(queues, func(q client.QueueSnapshot) bool { return q.Name == s.queue })
	return &queues[max(0, i)]
}

// move selects another row.
func (s *queuesScreen) move(by int) {
	s.selected = max(0, min(s.selected+by, s.list.length()-1))
	s.marks.follow(s.list.id(s.selected), s.list.ids())
}

// turn shows another tab.
func (s *queuesScreen) turn(m *shared, by int) tea.Cmd {
	tabs := taskTabs()
	i := slices.Index(tabs, s.tab)
	s.tab = tabs[(i+by+len(tabs))%len(tabs)]
	s.list, s.selected, s.offset, s.failed = taskList{}, 0, 0, nil
	s.depth = min(s.depth, wholeList)
	s.marks.clear()
	return s.refresh(m)
}

// nextQueue shows another queue.
func (s *queuesScreen) nextQueue(m *shared) tea.Cmd {
	q := s.current(m)
	if q == nil {
		return nil
	}
	queues := *m.ops.latest.Queues
	i := slices.IndexFunc(queues, func(other client.QueueSnapshot) bool { return other.Name == q.Name })
	s.queue = queues[(i+1)%len(queues)].Name
	return s.turn(m, 0)
}

// errReadonly says why the dashboard refuses a change.
func (m *shared) errReadonly() error { return errors.New("the dashboard is read-only: " + m.readonly) }

func (s *queuesScreen) pause(m *shared) tea.Cmd {
	q := s.current(m)
	if q == nil {
		return nil
	}
	name, server := q.Name, m.server
	a := action{
		title: "Pause this queue?", verb: "Pause", subject: []draw.Pair{{Name: "queue", Value: name}},
		effect: always("No task starts until the queue is resumed. The janitor still settles overdue payments."),
	}
	command, done, do := "kizo ops queue pause "+name, "Paused: "+name, server.PauseQueue
	if q.Paused {
		a.title, a.verb, a.effect = "Resume this queue?", "Resume", always("Its tasks start again.")
		command, done, do = "kizo ops queue resume "+name, "Resumed: "+name, server.ResumeQueue
	}
	m.act(a.withReason(command, func(ctx context.Context, reason string) (string, error) { return done, do(ctx, name, reason) }))
	return nil
}

// readonlyOff returns why nothing can be changed; empty if it can.
func (m *shared) readonlyOff() string {
	if m.readonly == "" {
		return ""
	}
	return m.errReadonly().Error()
}
