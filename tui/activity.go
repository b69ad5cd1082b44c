package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// activity is what happened since the dashboard was opened: changes of transfers and of the
// connection. The strip below a page and the log show it, newest first.
type activity struct {
	entries []activityEntry // oldest first, at most maxActivity
	strip   bool            // the strip is shown
	paused  bool            // new entries are kept, but not shown
	unseen  int             // entries since the pause
	filter  string          // only entries with this text are shown
}

type activityEntry struct {
	at    time.Time
	state draw.Cell
	text  string
}

const (
	maxActivity       = 500
	maxActivityFilter = 60 // characters
	stripLines        = 7
	stripMinHeight    = 30 // of the terminal
)

// highlightTime is how long a changed row is highlighted.
const highlightTime = time.Second

func (a *activity) add(e activityEntry) {
	if len(a.entries) == maxActivity {
		a.entries = slices.Delete(a.entries, 0, 1)
	}
	a.entries = append(a.entries, e)
	if a.paused {
		a.unseen = min(a.unseen+1, maxActivity)
	}
}

// visible returns the entries that are shown, newest first.
func (a *activity) visible() []activityEntry {
	var shown []activityEntry
	for _, e := range slices.Backward(a.entries[:len(a.entries)-min(a.unseen, len(a.entries))]) {
		if strings.Contains(strings.ToLower(e.state.Text+" "+e.text), strings.ToLower(a.filter)) {
			shown = append(shown, e)
		}
	}
	return shown
}

func (a *activity) togglePause() { a.paused, a.unseen = !a.paused, 0 }

// noteTransfer records a change of a transfer, and highlights its row.
func (m *shared) noteTransfer(t client.Transfer) {
	text := fmt.Sprintf("%s %s %s %s", t.Kind, signed(t), map[client.TransferDirection]string{client.In: "from", client.Out: "to"}[t.Direction], otherName(t))
	if memo := value(t.Memo); memo != "" {
		text += ": " + memo
	}
	m.activity.add(activityEntry{m.now, m.state(t.State), text})
	if m.custom.ReducedMotion {
		return
	}
	if m.changed == nil {
		m.changed = map[client.ID]time.Time{}
	}
	m.changed[t.Id] = m.now
}

// noteConnection records a change of the connection.
func (m *shared) noteConnection(state connectionState) {
	text := ""
	switch {
	case state == m.connection.state:
	case state == live:
		text = "connected: events arrive as they happen"
	case state == polling:
		text = "no events: the dashboard asks every two seconds"
	case state == lost, state == offline && m.connection.state != lost:
		text = "the connection was lost"
	}
	if text != "" {
		m.activity.add(activityEntry{m.now, draw.Cell{Text: m.glyph("·", ".") + " server", Paint: m.Dim.Render}, text})
	}
}

// endHighlights forgets the rows that changed a while ago.
func (m *shared) endHighlights() {
	for id, at := range m.changed {
		if m.now.Sub(at) > highlightTime {
			delete(m.changed, id)
		}
	}
}

// highlighted paints a row that has just changed.
func (m *shared) highlighted(id client.ID, row []draw.Cell) []draw.Cell {
	if at, changed := m.changed[id]; changed && m.now.Sub(at) <= highlightTime {
		for i := range row {
			row[i].Paint = m.Accent.Render
		}
	}
	return row
}

// stripHeight returns the lines of the strip; 0 if it is not shown.
func (m *shared) stripHeight() int {
	if !m.activity.strip || m.height < stripMinHeight {
		return 0
	}
	return stripLines
}

func (m *shared) toggleStrip() tea.Cmd {
	m.activity.strip = !m.activity.strip
	if m.activity.strip && m.height < stripMinHeight {
		m.activity.strip = false
		m.showError(fmt.Errorf("the strip needs %d lines; ctrl-l shows the log", stripMinHeight))
	}
	return nil
}

// activityBox draws the entries in a box of this size.
func (m *shared) activityBox(width, height, offset int) string {
	a := &m.activity
	inner, rows := draw.Inner(width, height)
	shown := a.visible()
	t := draw.Table{Columns: []draw.Column{{Title: "TIME"}, {Title: "STATE"}, {Title: "WHAT", Cut: 20}}, Selected: -1, Offset: offset,
		Width: inner, Height: rows, Detail: m.detail, Titles: m.Dim.Render, Bar: m.Border.Render}
	for _, e := range shown {
		t.Rows = append(t.Rows, []draw.Cell{{Text: e.at.In(m.now.Location()).Format(time.TimeOnly), Paint: m.Dim.Render}, e.state, {Text: e.text}})
	}
	note := count(len(shown), "change", "changes")
	if a.filter != "" {
		note += " with " + a.filter
	}
	if a.paused {
		note += fmt.Sprintf(", paused, %d new", a.unseen)
	}
	return m.box("Activity", draw.Cut(note, max(1, inner-12)), t.Draw(), width, height)
}

// activityScreen is the log as an overlay: letters filter it.
type activityScreen struct{ offset int }

func (s *activityScreen) typing() bool { return true }

func (s *activityScreen) keys(m *shared) []binding {
	moves := func(by int) func(*shared) tea.Cmd {
		return func(m *shared) tea.Cmd {
			s.offset = max(0, min(s.offset+by, len(m.activity.visible())-1))
			return nil
		}
	}
	pause := "pause"
	if m.activity.paused {
		pause = "go on"
	}
	return []binding{
		{keys: []string{"esc", "enter", "ctrl+l"}, shown: "esc", help: "close", run: func(m *shared) tea.Cmd { m.close(); return nil }},
		{keys: []string{"tab"}, shown: "tab", help: pause, run: func(m *shared) tea.Cmd { m.activity.togglePause(); return nil }},
		{keys: []string{"down"}, shown: "↓", help: "older", run: moves(1)},
		{keys: []string{"up"}, shown: "↑", help: "newer", run: moves(-1)},
		{keys: []string{"pgdown", "ctrl+d"}, shown: "ctrl-d", help: "ten older", run: moves(10)},
		{keys: []string{"pgup", "ctrl+u"}, shown: "ctrl-u", help: "ten newer", run: moves(-10)},
		{keys: []string{"backspace", "ctrl+h"}, shown: "⌫", help: "delete a character", run: func(m *shared) tea.Cmd {
			letters := []rune(m.activity.filter)
			m.activity.filter, s.offset = string(letters[:max(0, len(letters)-1)]), 0
			return nil
		}},
		{keys: []string{"ctrl+x"}, shown: "ctrl-x", help: "clear the filter", run: func(m *shared) tea.Cmd { m.activity.filter, s.offset = "", 0; return nil }},
	}
}

// update types letters into the filter.
func (s *activityScreen) update(m *shared, msg tea.Msg) tea.Cmd {
	key, typed := msg.(tea.KeyMsg)
	if !typed || key.Type != tea.KeyRunes && key.Type != tea.KeySpace || key.Alt {
		return nil
	}
	for _, r := range key.Runes {
		if len([]rune(m.activity.filter)) < maxActivityFilter && unicode.IsGraphic(r) {
			m.activity.filter += string(r)
		}
	}
	s.offset = 0
	return nil
}

func (s *activityScreen) view(m *shared, width, height int) string {
	field := m.Field.Render(draw.Fit("filter: "+m.activity.filter+m.glyph("▏", "_"), width))
	return draw.Stack(field, m.activityBox(width, height-1, s.offset))
}
