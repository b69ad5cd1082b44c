package tui

import (
	"context"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// The least that there is room for anything on. Below it, keys do nothing: nobody should confirm what cannot be seen.
const (
	minWidth  = 60
	minHeight = 15
)

// page is a screen with its name in the row of tabs.
type page struct {
	title string
	screen
}

// model is the program. Update decides; what takes time is a command.
type model struct {
	shared
	pages         []page
	shown         int
	width, height int
	clock         func() time.Time
	hurry         func() // has the line tried now

	asking bool // a summary is under way
	dirty  bool // and something has happened since
}

// tickMsg comes once a second, for what shows an age.
type tickMsg struct{}

// dueMsg says that a summary may be asked for again.
type dueMsg struct{}

// summaryPause is the least time between two summaries, however much happens.
const summaryPause = 100 * time.Millisecond

// toastTime is how long a sentence stands in the footer.
const toastTime = 6 * time.Second

func newModel(server Server, look pen, readonly bool, clock func() time.Time, hurry func()) *model {
	return &model{
		shared: shared{pen: look, server: server, readonly: readonly, now: clock()},
		pages:  []page{{"Wallet", &walletScreen{}}, {"Queues", newQueuesScreen()}, {"Health", healthScreen{}}},
		clock:  clock, hurry: hurry,
	}
}

func (m *model) Init() tea.Cmd { return tick() }

func tick() tea.Cmd { return tea.Tick(time.Second, func(time.Time) tea.Msg { return tickMsg{} }) }

// Update takes one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.now = m.clock()
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		return m, nil
	case tea.KeyMsg:
		return m, m.typed(msg)
	case tickMsg:
		return m, tea.Batch(tick(), m.tell(msg))
	case dueMsg:
		m.asking = false
		if m.dirty {
			return m, m.askSummary()
		}
		return m, nil
	case meMsg:
		m.me = msg.me
		m.ops.denied = msg.me.Role != client.UserRoleOperator
	case lineMsg:
		m.line(msg)
		if msg.line == live {
			return m, tea.Batch(m.askSummary(), m.tell(msg))
		}
	case askedMsg:
		due := tea.Tick(summaryPause, func(time.Time) tea.Msg { return dueMsg{} })
		return m, tea.Batch(due, m.summarised(msg.summaryMsg), m.tell(msg.summaryMsg))
	case summaryMsg:
		return m, tea.Batch(m.summarised(msg), m.tell(msg))
	case eventsMsg:
		return m, tea.Batch(m.happened(msg), m.tell(msg))
	}
	return m, m.tell(msg)
}

// tell gives a message to every screen.
func (m *model) tell(msg tea.Msg) tea.Cmd {
	var commands []tea.Cmd
	for _, p := range m.pages {
		commands = append(commands, p.update(&m.shared, msg))
	}
	if m.overlay != nil {
		commands = append(commands, m.overlay.update(&m.shared, msg))
	}
	return tea.Batch(commands...)
}

func (m *model) line(msg lineMsg) {
	m.connection.line, m.connection.err = msg.line, msg.err
	m.connection.again = m.now.Add(msg.next)
	if msg.line == live {
		m.connection.heard = m.now
	}
}

// happened takes a batch of events. Balances are the server's to say: it is asked, once for the whole batch.
func (m *model) happened(msg eventsMsg) tea.Cmd {
	m.connection.heard = m.now
	moved := false
	for _, e := range msg.events {
		switch {
		case e.Ops != nil:
			m.ops.take(*e.Ops)
		case e.Transfer != nil:
			moved = true
		}
	}
	var commands []tea.Cmd
	if moved {
		commands = append(commands, m.askSummary())
	}
	if queues, seen := m.pages[m.shown].screen.(*queuesScreen); seen {
		commands = append(commands, queues.refresh(&m.shared))
	}
	return tea.Batch(commands...)
}

// askSummary asks unless that is under way or was a moment ago; then it is asked as soon as may be.
func (m *model) askSummary() tea.Cmd {
	if m.asking {
		m.dirty = true
		return nil
	}
	m.asking, m.dirty = true, false
	server := m.server
	return m.ask(func(ctx context.Context) tea.Msg {
		summary, err := server.Summary(ctx)
		return askedMsg{summaryMsg{summary, err}}
	})
}

// askedMsg is a summary that this model asked for, not the feed.
type askedMsg struct{ summaryMsg }

func (m *model) summarised(msg summaryMsg) tea.Cmd {
	if msg.err == nil {
		m.summary, m.connection.heard = &msg.summary, m.now
	}
	return nil
}

// typed takes keys one by one: those that are pressed fast come as one message. What was pasted is text, and never keys.
func (m *model) typed(msg tea.KeyMsg) tea.Cmd {
	if msg.Type != tea.KeyRunes || len(msg.Runes) < 2 && !msg.Paste {
		return m.key(msg)
	}
	if msg.Paste {
		if m.small() || !m.seen().typing() {
			return nil
		}
		return m.seen().update(&m.shared, msg)
	}
	var commands []tea.Cmd
	for _, r := range msg.Runes {
		commands = append(commands, m.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: msg.Alt}))
	}
	return tea.Batch(commands...)
}

// key finds what a key does: what stands over the page first, then the page, then everywhere.
func (m *model) key(msg tea.KeyMsg) tea.Cmd {
	name := msg.String()
	if name == "ctrl+c" {
		return tea.Quit
	}
	if m.small() {
		return nil
	}
	seen := m.seen()
	if b, found := find(seen.keys(&m.shared), name); found {
		return b.run(&m.shared)
	}
	if m.overlay == nil && !seen.typing() {
		if b, found := find(m.everywhere(), name); found {
			return b.run(&m.shared)
		}
	}
	return seen.update(&m.shared, msg)
}

func (m *model) small() bool { return m.width < minWidth || m.height < minHeight }

// seen is the screen that has the keys.
func (m *model) seen() screen {
	if m.overlay != nil {
		return m.overlay
	}
	return m.pages[m.shown].screen
}

// everywhere is what works on every page.
func (m *model) everywhere() []binding {
	keys := []binding{
		{keys: []string{"?"}, shown: "?", help: "keys", command: "kizo help", run: func(s *shared) tea.Cmd { s.open(newHelpScreen(m.keymap())); return nil }},
		{keys: []string{":", "ctrl+k"}, shown: ":", help: "commands", run: func(s *shared) tea.Cmd { s.open(newPaletteScreen(m.keymap())); return nil }},
		{keys: []string{"tab"}, shown: "tab", help: "next screen", run: func(*shared) tea.Cmd { return m.turn(m.shown + 1) }},
		{keys: []string{"shift+tab"}, shown: "shift-tab", help: "screen before", run: func(*shared) tea.Cmd { return m.turn(m.shown - 1) }},
		{keys: []string{"r"}, shown: "r", help: "ask the server now", command: "kizo dashboard --once", run: func(*shared) tea.Cmd { m.hurry(); return m.askSummary() }},
		{keys: []string{"ctrl+z"}, shown: "ctrl-z", help: "suspend", run: func(*shared) tea.Cmd { return tea.Suspend }},
		{keys: []string{"q"}, shown: "q", help: "quit", run: func(*shared) tea.Cmd { return tea.Quit }},
	}
	for i, p := range m.pages {
		number := string(rune('1' + i))
		keys = append(keys, binding{keys: []string{number}, shown: number, help: "the " + p.title + " screen", run: func(*shared) tea.Cmd { return m.turn(i) }})
	}
	return keys
}

func (m *model) keymap() []keyGroup {
	p := m.pages[m.shown]
	return []keyGroup{{p.title, p.keys(&m.shared)}, {"Everywhere", m.everywhere()}}
}

// turn shows another page.
func (m *model) turn(to int) tea.Cmd {
	m.shown = (to + len(m.pages)) % len(m.pages)
	m.close()
	if queues, is := m.pages[m.shown].screen.(*queuesScreen); is {
		return queues.refresh(&m.shared)
	}
	return nil
}

// View is the whole screen: tabs, page, footer.
func (m *model) View() string {
	if m.width == 0 {
		return ""
	}
	if m.small() {
		return draw.Block([]string{"", draw.Cut("Not enough room: 60 × 15 is needed.", m.width), draw.Cut("Keys do nothing until then.", m.width)}, m.width, m.height)
	}
	badge, fresh := m.badge()
	body := m.seen().view(&m.shared, m.width, m.height-2)
	if !fresh {
		lines := strings.Split(ansi.Strip(body), "\n")
		for i := range lines {
			lines[i] = m.Dim.Render(lines[i])
		}
		body = strings.Join(lines, "\n")
	}
	return draw.Stack(m.header(badge), body, m.footer())
}

func (m *model) header(badge string) string {
	var tabs strings.Builder
	tabs.WriteString(m.Title.Render(" Kizo "))
	for i, p := range m.pages {
		label := string(rune('1'+i)) + " " + p.title
		if i == m.shown {
			tabs.WriteString(m.Selected.Render("[" + label + "]"))
		} else {
			tabs.WriteString(m.Dim.Render(" " + label + " "))
		}
	}
	where := m.server.Server()
	if m.me.Handle != "" {
		where = "@" + m.me.Handle + " · " + where
	}
	if m.readonly {
		where += " · read-only"
	}
	room := m.width - draw.Width(tabs.String()) - draw.Width(badge) - 2
	return draw.Clip(tabs.String()+m.Dim.Render(draw.FitRight(where, max(0, room)))+"  "+badge, m.width)
}

// footer is a toast, the trouble with the line, or the keys.
func (m *model) footer() string {
	if m.toast != "" && m.now.Sub(m.toastAt) < toastTime {
		paint, sign := m.Good.Render, m.glyph("✓ ", "")
		if m.bad {
			paint, sign = m.Bad.Render, m.glyph("✗ ", "! ")
		}
		return paint(draw.Fit(" "+sign+m.toast, m.width))
	}
	if trouble := m.trouble(); trouble != "" {
		return m.Bad.Render(draw.Fit(" "+trouble, m.width))
	}
	keys := m.seen().keys(&m.shared)
	if m.overlay == nil {
		// What works everywhere comes first: it is how the rest is found.
		keys = append(m.everywhere()[:3:3], keys...)
		keys = append(keys, m.everywhere()[6])
	}
	line, room := "", m.width
	for _, b := range keys {
		item := " " + b.shown + " " + b.help + " "
		if draw.TextWidth(item) > room {
			break
		}
		room -= draw.TextWidth(item)
		line += " " + m.Key.Render(b.shown) + " " + m.Dim.Render(b.help) + " "
	}
	return draw.Clip(line, m.width)
}
