package tui

import (
	"context"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// depth is how far the Queues screen shows one thing: enter goes deeper, esc back.
type depth int

const (
	allQueues depth = iota // the queues, their charts and the list
	wholeList              // the list alone
	oneRow                 // a task or payment, with its timeline
)

// taskDetail is a payment with the timeline of its transfer. It is requested again while it is
// visible.
type taskDetail struct {
	id      string // of the row
	payment *client.Payment
	failed  error
	history transferDetail
	asked   time.Time
}

type taskDetailMsg struct {
	id       string
	payment  client.Payment
	timeline client.Timeline
	err      error
}

// detailPause is the minimum time between two requests for the detail.
const detailPause = 2 * time.Second

// transferAt returns the transfer of a row; ok is false if it has none.
func (l taskList) transferAt(row int) (id client.ID, ok bool) {
	switch {
	case row < 0:
	case row < len(l.tasks) && l.tasks[row].TransferId != nil:
		return *l.tasks[row].TransferId, true
	case row < len(l.payments):
		return l.payments[row].TransferId, true
	}
	return id, false
}

// paymentAt returns the payment of a row as the list has it, nil if it has none.
func (l taskList) paymentAt(row int) *client.Payment {
	switch {
	case row < 0:
	case row < len(l.tasks):
		return l.tasks[row].Payment
	case row < len(l.payments):
		return &l.payments[row]
	}
	return nil
}

// look requests the detail of the selected row, if it is shown.
func (s *queuesScreen) look(m *shared) tea.Cmd {
	if s.depth != oneRow {
		return nil
	}
	id := s.list.id(s.selected)
	if id != s.detail.id {
		s.detail = taskDetail{id: id, payment: s.list.paymentAt(s.selected)}
	}
	transfer, ok := s.list.transferAt(s.selected)
	if !ok || m.now.Sub(s.detail.asked) < detailPause {
		return nil
	}
	s.detail.asked = m.now
	server := m.server
	return m.ask(func(ctx context.Context) tea.Msg {
		answer := taskDetailMsg{id: id}
		if answer.payment, answer.err = server.Payment(ctx, transfer); answer.err == nil {
			answer.timeline, answer.err = server.Explain(ctx, transfer)
		}
		return answer
	})
}

func (d *taskDetail) take(msg taskDetailMsg) {
	if msg.id != d.id {
		return
	}
	if d.failed = msg.err; msg.err == nil {
		d.payment, d.history.timeline = &msg.payment, &msg.timeline
	}
	d.history.failed = msg.err
}

// deeper shows the list alone, then the selected row.
func (s *queuesScreen) deeper(m *shared) tea.Cmd {
	if s.list.length() == 0 && s.depth == wholeList {
		m.showToast("There is nothing to open.")
		return nil
	}
	s.depth = min(s.depth+1, oneRow)
	return s.look(m)
}

// back shows less of one thing and more of all.
func (s *queuesScreen) back(*shared) tea.Cmd {
	s.depth, s.detail = max(allQueues, s.depth-1), taskDetail{}
	return nil
}

// detailKeys are the keys while one row is shown.
func (s *queuesScreen) detailKeys(m *shared) []binding {
	walk := func(by int) func(*shared) tea.Cmd {
		return func(m *shared) tea.Cmd { s.move(by); return s.look(m) }
	}
	transfer, known := s.list.transferAt(s.selected)
	copies := binding{keys: []string{"y"}, shown: "y", help: "copy the transfer's id", run: func(m *shared) tea.Cmd { return m.copy("the id", transfer.String()) }}
	if known {
		copies.command = "kizo explain " + transfer.String()
	} else {
		copies.off = "it has no transfer"
	}
	keys := []binding{
		{keys: []string{"esc", "enter", "backspace"}, shown: "esc", help: "back to the list", run: s.back},
	}
	keys = append(append(keys, s.actKeys(m)...), copies.greyed())
	keys = append(keys,
		binding{keys: []string{"n", "l", "right"}, shown: "n", help: "next row", run: walk(1)},
		binding{keys: []string{"p", "h", "left"}, shown: "p", help: "previous row", run: walk(-1)})
	return append(keys, s.detail.history.scrollKeys()...)
}

// path says where the screen is: bank › archived › the task.
func (s *queuesScreen) path(m *shared) string {
	to := " " + m.glyph("›", ">") + " "
	name := ""
	if q := s.current(m); q != nil {
		name = q.Name
	}
	path := "Queues" + to + name + to + s.tab
	if s.depth == oneRow {
		path += to + s.list.id(s.selected)
	}
	return path
}

// row draws the selected task or payment: its facts, and what happened so far.
func (s *queuesScreen) row(m *shared, width, height int) string {
	if s.list.length() == 0 {
		return draw.Block([]string{"", m.Dim.Render("  It is not in this list any more. esc shows the list.")}, width, height)
	}
	pairs := s.factsOf(m)
	left := width
	if width >= twoPanes {
		left = max(58, width*2/5)
	}
	tall := height
	if left == width {
		tall = min(len(pairs)+2, max(4, height-7))
	}
	inner, rows := draw.Inner(left, tall)
	facts := m.panel(pairs, inner)
	facts = facts[:min(len(facts), rows)]
	box := m.box(titleOf(s), "", strings.Join(facts, "\n"), left, tall)
	if left < width {
		return draw.Beside(box, s.timeline(m, width-left, height))
	}
	if height-tall < 3 {
		return draw.Block(strings.Split(box, "\n"), width, height)
	}
	return draw.Stack(box, s.timeline(m, width, height-tall))
}

func titleOf(s *queuesScreen) string {
	if p := s.shownPayment(); p != nil {
		return titleCase(string(p.Direction)) + " of " + amountOf(p.Amount, p.Currency)
	}
	return "Task"
}

// shownPayment returns the newest known state of the payment.
func (s *queuesScreen) shownPayment() *client.Payment {
	if s.detail.payment != nil && s.detail.id == s.list.id(s.selected) {
		return s.detail.payment
	}
	return s.list.paymentAt(s.selected)
}

// factsOf returns what is known of the selected task and its payment.
func (s *queuesScreen) factsOf(m *shared) (pairs []draw.Pair) {
	add := func(name, value string, paint draw.Paint, whole bool) {
		if value != "" {
			pairs = append(pairs, draw.Pair{Name: name, Value: value, Paint: paint, Whole: whole})
		}
	}
	at := func(name string, t *time.Time) {
		if t != nil {
			add(name, m.moment(*t), nil, false)
		}
	}
	p := s.shownPayment()
	if p != nil {
		if user := value(p.User); user != "" {
			add("user", "@"+user, m.Title.Render, false)
		}
		state := m.paymentState(p.State)
		add("amount", amountOf(p.Amount, p.Currency), m.Accent.Render, true)
		add("payment", state.Text, state.Paint, true)
		add("attempts", strconv.Itoa(p.Attempts), nil, true)
		at("next", p.NextAt)
		add("bank error", value(p.LastError), m.Bad.Render, false)
		add("bank ref", value(p.BankRef), nil, false)
	}
	if s.selected < len(s.list.tasks) { // its id is in the path
		task := s.list.tasks[s.selected]
		add("task", task.State, nil, true)
		at("runs", task.NextProcessAt)
		add("task error", value(task.LastError), m.Bad.Render, false)
	}
	if transfer, ok := s.list.transferAt(s.selected); ok {
		add("transfer", transfer.String(), m.Dim.Render, true)
	}
	if p != nil {
		add("reference", p.ExternalRef, m.Dim.Render, false)
		add("since", m.moment(p.CreatedAt), nil, false)
		add("trace", value(p.TraceId), m.Dim.Render, false)
	}
	return pairs
}

// paymentState shows the state of a payment as a glyph and words. A rejection is never green.
func (m *shared) paymentState(s client.PaymentState) draw.Cell {
	switch s {
	case client.PaymentExecuted:
		return draw.Cell{Text: m.glyph("✓", "+") + " executed by the bank", Paint: m.Good.Render}
	case client.PaymentRejected:
		return draw.Cell{Text: m.glyph("✗", "!") + " rejected by the bank", Paint: m.Bad.Render}
	case client.PaymentNeedsReview:
		return draw.Cell{Text: m.glyph("▲", "!") + " needs review", Paint: m.Warn.Render}
	case client.PaymentUnknown:
		return draw.Cell{Text: m.glyph("◌", "~") + " the bank's answer is unknown", Paint: m.Warn.Render}
	}
	return draw.Cell{Text: m.glyph("◌", "~") + " " + strings.ReplaceAll(string(s), "_", " "), Paint: m.Warn.Render}
}

func (s *queuesScreen) timeline(m *shared, width, height int) string {
	inner, rows := draw.Inner(width, height)
	h := &s.detail.history
	lines := h.timelineLines(m, inner)
	if _, ok := s.list.transferAt(s.selected); !ok {
		lines = []string{m.Dim.Render(draw.Fit("It has no transfer.", inner))}
	}
	visible, note := h.scrolled(lines, rows)
	return m.box("Timeline, with the bank's answers", note, strings.Join(visible, "\n"), width, height)
}
