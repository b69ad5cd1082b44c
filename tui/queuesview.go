package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

func (s *queuesScreen) keys(m *shared) []binding {
	if s.depth == oneRow {
		return s.detailKeys(m)
	}
	reverse := binding{keys: []string{"O"}, shown: "O", help: "reverse the order", run: func(*shared) tea.Cmd { s.sortBy(true); return nil }}
	if s.order.column == "" {
		reverse.off = "the order is that of the server: o sorts"
	}
	enter := binding{keys: []string{"enter"}, shown: "enter", help: "the list alone", run: s.deeper}
	if s.depth == wholeList {
		enter.help = "open"
	}
	moves := func(by int) func(*shared) tea.Cmd { return func(*shared) tea.Cmd { s.move(by); return nil } }
	turns := func(by int) func(*shared) tea.Cmd { return func(m *shared) tea.Cmd { return s.turn(m, by) } }
	keys := []binding{
		{keys: []string{"j", "down"}, shown: "j/↓", help: "next row", moves: true, run: moves(1)},
		{keys: []string{"k", "up"}, shown: "k/↑", help: "previous row", moves: true, run: moves(-1)},
		enter,
		{keys: []string{"ctrl+d", "pgdown"}, shown: "ctrl-d", help: "ten rows down", moves: true, run: moves(10)},
		{keys: []string{"ctrl+u", "pgup"}, shown: "ctrl-u", help: "ten rows up", moves: true, run: moves(-10)},
		{keys: []string{"g", "home"}, shown: "g", help: "first row", moves: true, run: moves(-int(listLimit))},
		{keys: []string{"G", "end"}, shown: "G", help: "last row", moves: true, run: moves(int(listLimit))},
		{keys: []string{"l", "right"}, shown: "l/→", help: "next task state", command: "kizo ops tasks list --state " + s.tab, run: turns(1)},
		{keys: []string{"h", "left"}, shown: "h/←", help: "previous task state", run: turns(-1)},
		{keys: []string{"n"}, shown: "n", help: "next queue", command: "kizo ops queues", run: s.nextQueue},
		{keys: []string{"o"}, shown: "o", help: "sort by the next column", run: func(*shared) tea.Cmd { s.sortBy(false); return nil }},
		reverse.greyed(),
		m.spanKey(),
		binding{keys: []string{"p"}, shown: "p", help: "pause or resume the queue", command: "kizo ops queue pause QUEUE", off: m.readonlyOff(), run: s.pause}.greyed(),
	}
	if s.list.length() == 0 {
		for i := range keys {
			if keys[i].moves {
				keys[i].off = "the list is empty"
				keys[i] = keys[i].greyed()
			}
		}
	}
	marks := s.markKeys()
	switch {
	case len(s.marks.ids) > 0: // what they are for comes first
		return slices.Concat(s.actKeys(m), marks[len(marks)-1:], keys[:3], marks[:len(marks)-1], keys[3:])
	case s.depth == wholeList:
		keys = slices.Insert(keys, 3, binding{keys: []string{"esc", "backspace"}, shown: "esc", help: "all queues", run: s.back})
	}
	return slices.Concat(keys[:3], marks[:2], s.actKeys(m), marks[2:], keys[3:])
}

// actKeys returns the bindings that act on the marked rows, or on the selected one. One that does
// not work on them says why.
func (s *queuesScreen) actKeys(m *shared) []binding {
	what := "the task"
	if n := len(s.marks.ids); n > 0 && s.depth != oneRow {
		what = count(n, "task", "tasks")
	}
	acts := func(verb, effect string) func(*shared) tea.Cmd {
		return func(m *shared) tea.Cmd { return s.actOnTasks(m, verb, effect) }
	}
	keys := []binding{
		{keys: []string{"t"}, shown: "t", help: "retry " + what, command: "kizo ops tasks retry TASK", off: s.taskOff("retry"),
			run: acts("retry", "It runs now. A payment is never sent twice: its reference stays the same.")},
		{keys: []string{"a"}, shown: "a", help: "archive " + what, command: "kizo ops tasks archive TASK", off: s.taskOff("archive"),
			run: acts("archive", "It does not run until an operator retries it. The janitor still settles its payment once that is overdue.")},
		{keys: []string{"d"}, shown: "d", help: "delete " + what, command: "kizo ops tasks delete TASK", off: s.taskOff("delete"),
			run: acts("delete", "It is deleted. Its payment is unchanged, and the janitor settles it once it is overdue.")},
	}
	if s.tab == review {
		decide := func(outcome, verb, effect string) func(*shared) tea.Cmd {
			return func(m *shared) tea.Cmd { return s.resolve(m, outcome, verb, effect) }
		}
		const command = "kizo ops payments resolve TRANSFER "
		keys = []binding{
			{keys: []string{"e"}, shown: "e", help: "resolve: the bank executed it", command: command + "executed",
				run: decide("executed", "Post it", "The transfer is posted. If the bank did not execute it, reconciliation reports the discrepancy.")},
			{keys: []string{"x"}, shown: "x", help: "resolve: the bank rejected it", command: command + "rejected",
				run: decide("rejected", "Release it", "The hold is released. If the bank did execute it, reconciliation reports the discrepancy.")},
			{keys: []string{"b"}, shown: "b", help: "ask the bank again", command: command + "ask",
				run: decide("ask", "Ask", "The bank is asked again; its answer decides.")},
		}
	}
	for i := range keys {
		if off := s.rowsOff(m); off != "" {
			keys[i].off = off
		}
		keys[i] = keys[i].greyed()
	}
	return keys
}

// rowsOff returns why no action works on the rows, whatever it is; empty if one may.
func (s *queuesScreen) rowsOff(m *shared) string {
	if m.readonly != "" || s.list.length() == 0 {
		return cmp.Or(m.readonlyOff(), "the list is empty")
	}
	rows := s.chosen()
	if len(rows) != 1 {
		return ""
	}
	if p := s.list.paymentAt(rows[0]); p != nil && value(p.User) == m.me.Handle && m.me.Handle != "" {
		return "it is your own: another operator must decide"
	}
	return ""
}

// taskOff returns why an action does not work on tasks in the state of the list.
func (s *queuesScreen) taskOff(verb string) string {
	switch {
	case s.tab == "active":
		return "a worker runs it now: wait for its end"
	case verb == "retry" && s.tab == "pending":
		return "a pending task runs as soon as a worker is free"
	case verb == "archive" && s.tab == "archived":
		return "it is archived already"
	}
	return ""
}

// view draws the queues at the top, their charts in the middle, the tasks below.
func (s *queuesScreen) view(m *shared, width, height int) string {
	o := &m.ops
	if o.latest == nil {
		return m.notYet(o, width, height)
	}
	if o.latest.Queues == nil {
		return draw.Block([]string{"", "  " + m.Bad.Render(m.glyph("✗", "!")+" Redis does not answer, so the queues are not known."), "",
			"  Payments still settle: the janitor does it."}, width, height)
	}
	if s.depth != allQueues {
		return s.whole(m, width, height)
	}
	above := s.queueTable(m, width, min(6, len(*o.latest.Queues)+1))
	blocks := []string{above, s.facts(m, width)}
	left := height - strings.Count(above, "\n") - 2
	if tall := s.chartHeight(height, left); tall >= 6 {
		blocks = append(blocks, s.charts(m, width, tall))
		left -= tall
	}
	s.top = height - left + 1
	blocks = append(blocks, s.tabs(m, width, s.top-1), s.rows(m, width, left-1))
	return draw.Block(strings.Split(draw.Stack(blocks...), "\n"), width, height)
}

// whole draws the list or one row of it, in all of the screen.
func (s *queuesScreen) whole(m *shared, width, height int) string {
	path := m.Dim.Render(draw.Fit("  "+s.path(m), width))
	if s.depth == oneRow {
		return draw.Stack(path, s.row(m, width, height-1))
	}
	s.top = 2
	return draw.Block(strings.Split(draw.Stack(path, s.tabs(m, width, 1), s.rows(m, width, height-2)), "\n"), width, height)
}

func (s *queuesScreen) queueTable(m *shared, width, height int) string {
	t := draw.Table{
		Columns: []draw.Column{{Title: "QUEUE", Cut: 8}, {Title: "STATE"}, {Title: "PENDING", Right: true}, {Title: "ACTIVE", Right: true},
			{Title: "SCHEDULED", Right: true, Drop: 2}, {Title: "RETRY", Right: true}, {Title: "ARCHIVED", Right: true},
			{Title: "OLDEST", Right: true, Drop: 1}, {Title: "DONE/S", Right: true, Drop: 3}, {Title: "1 MIN", Right: true, Drop: 3}, {Title: "DONE", Right: true, Drop: 4}, {Title: "FAILED", Right: true, Drop: 5}},
		Selected: -1, Width: width, Height: height, Detail: m.detail, Titles: m.Dim.Render, Chosen: m.Selected.Render, Bar: m.Border.Render,
	}
	current := s.current(m)
	for i, q := range *m.ops.latest.Queues {
		state := draw.Cell{Text: m.glyph("▶", ">") + " running", Paint: m.Good.Render}
		if q.Paused {
			state = draw.Cell{Text: m.glyph("⏸", "=") + " paused", Paint: m.Warn.Render}
		}
		f := &m.ops.seconds
		t.Rows = append(t.Rows, []draw.Cell{{Text: q.Name}, state, number(q.Pending, nil), number(q.Active, nil), number(q.Scheduled, nil),
			number(q.Retry, m.Warn.Render), number(q.Archived, m.Bad.Render), {Text: oldest(q)}, {Text: perSecond(f.now(doneRate + q.Name))}, {Text: perSecond(f.mean(doneRate+q.Name, 60))},
			number(q.ProcessedTotal, nil), number(q.FailedTotal, nil)})
		if current != nil && q.Name == current.Name && len(*m.ops.latest.Queues) > 1 {
			t.Selected = i
		}
	}
	t.Offset = draw.ScrollTo(t.Selected, 0, len(t.Rows), height)
	return t.Draw()
}

// number is a count. paint marks a count that should be 0, unless it is.
func number(n int, paint draw.Paint) draw.Cell {
	if n == 0 {
		return draw.Cell{Text: "0"}
	}
	return draw.Cell{Text: strconv.Itoa(n), Paint: paint}
}

func oldest(q client.QueueSnapshot) string {
	if q.Pending == 0 {
		return "–"
	}
	return milliseconds(float64(q.OldestMs))
}

// facts is one line of text about all queues.
func (s *queuesScreen) facts(m *shared, width int) string {
	o := m.ops.latest
	var parts []string
	if o.Janitor != nil && o.Janitor.NeedsReview > 0 {
		parts = append(parts, m.glyph("▲ ", "! ")+count(o.Janitor.NeedsReview, "payment needs", "payments need")+" review")
	}
	parts = append(parts, "workers "+m.workers(o.Workers).Value)
	if o.Settlement != nil {
		parts = append(parts, "settled "+perSecond(o.Settlement.PerSecond), "p50 "+milliseconds(figure(o.Settlement.P50Ms)),
			"p99 "+milliseconds(figure(o.Settlement.P99Ms)))
	} else {
		parts = append(parts, "settlement "+unknownHere)
	}
	return m.Dim.Render(draw.Fit("  "+strings.Join(parts, " · "), width))
}

// shortList is the number of rows up to which the list is smaller than the charts, so that the
// screen does not change with each task.
const shortList = 5

// chartHeight is the height of the charts. A list in the height that is left must fit below them.
func (s *queuesScreen) chartHeight(height, left int) int {
	tall := max(6, min(maxTall, height*3/10))
	if s.list.length() <= shortList {
		tall = max(tall, left-shortList-2)
	}
	if left-tall < 5 {
		return 0
	}
	return tall
}

// charts draws as many charts as fit beside each other, and the others below if they fit.
func (s *queuesScreen) charts(m *shared, width, height int) string {
	name := ""
	if q := s.current(m); q != nil {
		name = q.Name
	}
	all := m.ops.queueCharts(name)
	across, rows := max(2, min(len(all), width/38)), 1
	if height >= 2*minChart && (across < len(all) || height >= 3*minChart) {
		across, rows = 2, 2
	}
	var lines []string
	for row := range rows {
		var blocks []string
		for i := range across {
			wide, tall := width/across, height/rows
			if i == across-1 {
				wide = width - i*wide
			}
			if row == rows-1 {
				tall = height - row*tall
			}
			blocks = append(blocks, m.chart(&m.ops, all[row*across+i], wide, tall))
		}
		lines = append(lines, draw.Beside(blocks...))
	}
	return draw.Stack(lines...)
}

// minChart is the height from which charts are drawn in two rows.
const minChart = 9

// tabs draws the tabs in one line of text; the chosen one also has brackets.
func (s *queuesScreen) tabs(m *shared, width, row int) string {
	var line strings.Builder
	line.WriteString("  ")
	s.tabSpan = s.tabSpan[:0]
	from := 2
	for _, tab := range taskTabs() {
		label := tab
		if n, known := s.tabCount(m, tab); known {
			label = fmt.Sprintf("%s %d", tab, n)
		}
		s.tabSpan = append(s.tabSpan, tabSpan{row, from, from + len(label) + 2})
		from += len(label) + 2
		if tab == s.tab {
			line.WriteString(m.Selected.Render("[" + label + "]"))
		} else {
			line.WriteString(m.Dim.Render(" " + label + " "))
		}
	}
	if n := len(s.marks.ids); n > 0 {
		line.WriteString("  " + m.Accent.Render(fmt.Sprintf("%d marked", n)))
	}
	return draw.Clip(line.String(), width)
}

func (s *queuesScreen) tabCount(m *shared, tab string) (int, bool) {
	q := s.current(m)
	if tab == review {
		if j := m.ops.latest.Janitor; j != nil {
			return j.NeedsReview, true
		}
		return 0, false
	}
	if q == nil {
		return 0, false
	}
	counts := map[string]int{"pending": q.Pending, "active": q.Active, "scheduled": q.Scheduled, "retry": q.Retry, "archived": q.Archived}
	return counts[tab], true
}

// rows draws the tasks, or the payments.
func (s *queuesScreen) rows(m *shared, width, height int) string {
	switch {
	case s.failed != nil:
		return draw.Block([]string{"", "  " + m.Bad.Render(draw.Cut(m.glyph("✗ ", "! ")+s.failed.Error(), width-2))}, width, height)
	case s.list.key != s.key(m):
		return draw.Block([]string{"", m.Dim.Render("  loading…")}, width, height)
	case s.list.length() == 0:
		empty := "  No tasks are " + s.tab + "."
		if s.tab == review {
			empty = "  No payments need review."
		}
		return draw.Block([]string{"", m.Dim.Render(empty)}, width, height)
	}
	t := draw.Table{Columns: s.marked(m), Selected: s.selected, Width: width, Height: height, Detail: m.detail,
		Titles: m.Dim.Render, Chosen: m.Selected.Render, Bar: m.Border.Render}
	if s.tab == review {
		s.paymentRows(m, &t)
	} else {
		s.taskRows(m, &t)
	}
	s.offset = draw.ScrollTo(s.selected, s.offset, len(t.Rows), height)
	t.Offset = s.offset
	t.Marked = func(row int) bool { return s.marks.has(s.list.id(row)) }
	s.drawn = t
	return t.Draw()
}

// click selects a row or a tab, and sorts by the column of a title: again in the reverse order.
func (s *queuesScreen) click(m *shared, msg tea.MouseMsg) tea.Cmd {
	if msg.Action != tea.MouseActionPress || msg.Button != tea.MouseButtonLeft || m.ops.latest == nil || s.depth == oneRow {
		return nil
	}
	for i, tab := range s.tabSpan {
		if msg.Y == tab.row && msg.X >= tab.from && msg.X < tab.to {
			return s.turn(m, i-slices.Index(taskTabs(), s.tab))
		}
	}
	row := s.offset + msg.Y - s.top - 1
	switch {
	case s.list.key != s.key(m) || s.list.length() == 0 || msg.Y < s.top:
	case msg.Y == s.top:
		if column := s.drawn.ColumnAt(msg.X); column >= 0 {
			s.sortByColumn(columnTitles(s.columns())[column])
		}
	case row < s.list.length() && row == s.selected:
		return s.deeper(m)
	case row < s.list.length():
		s.move(row - s.selected)
	}
	return nil
}

func (s *queuesScreen) taskRows(m *shared, t *draw.Table) {
	for _, task := range s.list.tasks {
		transfer, next := "–", ""
		if task.TransferId != nil {
			transfer = task.TransferId.String()
		}
		if task.NextProcessAt != nil {
			next = until(*task.NextProcessAt, m.now)
		}
		t.Rows = append(t.Rows, append([]draw.Cell{{Text: transfer}}, append(m.paymentCells(task.Payment), draw.Cell{Text: next},
			draw.Cell{Text: value(task.LastError), Paint: m.Bad.Render})...))
	}
}

// paymentCells returns user, kind, amount, age and attempts; empty cells without a payment.
func (m *shared) paymentCells(p *client.Payment) []draw.Cell {
	if p == nil {
		return make([]draw.Cell, 5)
	}
	user := value(p.User)
	if user != "" {
		user = "@" + user
	}
	return []draw.Cell{{Text: user}, {Text: string(p.Direction)}, {Text: amountOf(p.Amount, p.Currency)}, {Text: age(m.now.Sub(p.CreatedAt))}, {Text: strconv.Itoa(p.Attempts)}}
}

func (s *queuesScreen) paymentRows(m *shared, t *draw.Table) {
	for _, p := range s.list.payments {
		t.Rows = append(t.Rows, append([]draw.Cell{{Text: p.TransferId.String()}}, append(m.paymentCells(&p), draw.Cell{Text: value(p.LastError), Paint: m.Bad.Render})...))
	}
}

// until formats the time until something is due.
func until(at, now time.Time) string {
	if d := at.Sub(now); d > 0 {
		return "in " + age(d)
	}
	return "now"
}

func value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func titleCase(word string) string {
	if word == "" {
		return ""
	}
	return strings.ToUpper(word[:1]) + word[1:]
}
