package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// key finds the binding of a key and runs it. It looks first in the overlay, then in the page, then
// in the global keys. While text is typed, letters are text, and global keys that are no letters
// work.
func (m *model) key(msg tea.KeyMsg) tea.Cmd {
	name := msg.String()
	if name == "ctrl+c" || name == "q" && m.small() {
		return tea.Quit
	}
	if m.small() {
		return nil
	}
	seen := m.focused()
	if b, found := find(m.keysOf(seen), name); found {
		return b.run(&m.shared)
	}
	if m.pageHasFocus() && (!seen.typing() || !isText(msg)) {
		if b, found := find(m.globalKeys(), name); found {
			return b.run(&m.shared)
		}
	}
	if name == "f1" && m.login == nil && m.overlay != nil && !m.helps() {
		return m.overlayHelp().run(&m.shared)
	}
	return seen.update(&m.shared, msg)
}

// isText reports whether a key is text or moves between fields, so that it is no global key while
// text is typed.
func isText(msg tea.KeyMsg) bool {
	switch msg.Type {
	case tea.KeyRunes, tea.KeySpace:
		return !msg.Alt
	case tea.KeyTab, tea.KeyShiftTab:
		return true
	default:
		return false
	}
}

func (m *model) small() bool { return m.width < minWidth || m.height < minHeight }

// pageHasFocus reports whether no overlay and no log-in covers the page.
func (m *model) pageHasFocus() bool { return m.overlay == nil && m.login == nil }

// focused returns the screen that receives the keys.
func (m *model) focused() screen {
	switch {
	case m.login != nil:
		return m.login
	case m.overlay != nil:
		return m.overlay
	}
	return m.pages[m.shown].screen
}

// handleMouse selects a tab on a click, turns the wheel into keys, and passes the rest to the
// screen with coordinates relative to it.
func (m *model) handleMouse(msg tea.MouseMsg) tea.Cmd {
	if m.small() {
		return nil
	}
	switch msg.Button {
	case tea.MouseButtonWheelDown:
		return m.wheel("down")
	case tea.MouseButtonWheelUp:
		return m.wheel("up")
	default:
	}
	if msg.Action == tea.MouseActionPress && msg.Button == tea.MouseButtonLeft && m.pageHasFocus() {
		for _, tab := range m.tabs {
			if msg.Y == tab.row && msg.X >= tab.from && msg.X < tab.to {
				return m.turn(tab.page)
			}
		}
	}
	msg.Y -= m.headLines()
	if msg.Y < 0 || msg.Y >= m.bodyLines() {
		return nil
	}
	return m.focused().update(&m.shared, msg)
}

// wheelRows is the number of rows for one notch of the wheel.
const wheelRows = 3

func (m *model) wheel(key string) tea.Cmd {
	var commands []tea.Cmd
	for range wheelRows {
		if b, found := find(m.focused().keys(&m.shared), key); found {
			commands = append(commands, b.run(&m.shared))
		}
	}
	return tea.Batch(commands...)
}

// globalBindings returns the default keys that work on every page.
func (m *model) globalBindings() []binding {
	keys := []binding{
		{keys: []string{"?", "f1"}, shown: "?", typed: "F1", help: "keys", command: "kizo help", run: func(s *shared) tea.Cmd { s.open(newHelpScreen(m.keymap())); return nil }},
		{keys: []string{":", "ctrl+k"}, shown: ":", typed: "ctrl-k", help: "commands", run: func(s *shared) tea.Cmd { s.open(newPaletteScreen(m.keymap())); return nil }},
		{keys: []string{"q"}, shown: "q", help: "quit", run: m.quit},
		{keys: []string{"tab"}, shown: "tab", help: "next screen", run: func(*shared) tea.Cmd { return m.turnBy(1) }},
		{keys: []string{"shift+tab"}, shown: "shift-tab", help: "previous screen", run: func(*shared) tea.Cmd { return m.turnBy(-1) }},
		{keys: []string{"L"}, shown: "L", help: "activity strip on or off", command: "kizo events", run: func(s *shared) tea.Cmd { return s.toggleStrip() }},
		{keys: []string{"ctrl+l"}, shown: "ctrl-l", typed: "ctrl-l", help: "activity log: filter, pause", command: "kizo events", run: func(s *shared) tea.Cmd { s.open(&activityScreen{}); return nil }},
		{keys: []string{"-", "ctrl+o"}, shown: "-", typed: "ctrl-o", help: m.backHelp(), off: m.backOff(), run: m.back},
		{keys: []string{"r"}, shown: "r", help: "refresh, or reconnect now", command: "kizo dashboard --once", run: func(*shared) tea.Cmd { m.retryNow(); return m.askSummary() }},
		{keys: []string{"m"}, shown: "m", help: m.mouseHelp(), run: func(*shared) tea.Cmd { return m.toggleMouse() }},
		{keys: []string{"A"}, shown: "A", help: "log in a device that shows a code", command: "kizo approve CODE", run: func(s *shared) tea.Cmd { s.open(newApproveScreen()); return nil }},
		{keys: []string{"I"}, shown: "I", help: "notices: what happened to your account", command: "kizo notices", run: openNotices},
		{keys: []string{"ctrl+z"}, shown: "ctrl-z", typed: "ctrl-z", help: "suspend", run: func(*shared) tea.Cmd { return tea.Suspend }},
	}
	for i, p := range m.pages {
		if m.hides(i) {
			continue
		}
		number := string(rune('1' + i))
		keys = append(keys, binding{keys: []string{number, "alt+" + number}, shown: number, typed: "alt-" + number, help: "the " + p.title + " screen", run: func(*shared) tea.Cmd { return m.turn(i) }})
	}
	return keys
}

// quit asks first if there is a draft, a review, or a command without a final answer.
func (m *model) quit(*shared) tea.Cmd {
	lost := m.unfinishedWork()
	if lost == "" {
		return tea.Quit
	}
	m.open(newQuestion(action{
		title: "Quit?", verb: "Quit", effect: always(lost), run: func(*shared, string) tea.Cmd { return tea.Quit },
	}))
	return nil
}

// unfinishedWork says what would be lost by quitting; empty if nothing would.
func (m *model) unfinishedWork() string {
	if key := m.inDoubt(); key != "" {
		return "A command that moves money has no final answer yet. It is recorded, and cannot happen twice: kizo retry " + key + " finishes it."
	}
	if m.dialog != nil && m.dialog.unfinished() {
		return "A command that moves money waits for a code. Nothing has been sent."
	}
	for _, p := range m.pages {
		if s, sends := p.screen.(*sendScreen); sends && s.draft() {
			return "The form of the Send screen is not empty. Nothing has been sent, and the draft is not kept."
		}
	}
	return ""
}

func (m *model) backHelp() string {
	if n := len(m.trail); n > 0 {
		return "back to " + m.pages[m.trail[n-1]].title
	}
	return "back to the screen before"
}

func (m *model) backOff() string {
	if len(m.trail) == 0 {
		return "no other screen was shown before"
	}
	return ""
}

func (m *model) mouseHelp() string {
	if m.mouse {
		return "turn the mouse off, so that the terminal selects text"
	}
	return "turn the mouse on: rows, tabs, wheel"
}

func (m *model) toggleMouse() tea.Cmd {
	if m.mouse = !m.mouse; m.mouse {
		m.showToast("The mouse selects rows and tabs.")
		return tea.EnableMouseCellMotion
	}
	m.showToast("The terminal selects text; m turns the mouse on again.")
	return tea.DisableMouse
}

func (m *model) keymap() []keyGroup {
	p := m.pages[m.shown]
	keys := m.keysOf(p.screen)
	var rest []binding // a page's own binding overrides a global one
	for _, b := range m.globalKeys() {
		if !slices.ContainsFunc(b.keys, func(key string) bool { _, own := find(keys, key); return own }) {
			rest = append(rest, b)
		}
	}
	return []keyGroup{{p.title, keys}, {"Everywhere", rest}}
}

// leaver is a screen that is notified when another page replaces it.
type leaver interface{ leave() }

// hides reports whether a page has no tab: an operator's page for another user, and the form of
// Send if nothing can be sent. The other pages keep their numbers.
func (m *model) hides(i int) bool {
	switch m.pages[i].screen.(type) {
	case *queuesScreen, *healthScreen:
		return m.me.Role != client.UserRoleOperator
	case *sendScreen:
		return m.readonly != ""
	}
	return false
}

// turnBy shows the next page with a tab in a direction, 1 or -1.
func (m *model) turnBy(direction int) tea.Cmd {
	to := m.shown
	for {
		to = (to + direction + len(m.pages)) % len(m.pages)
		if !m.hides(to) {
			return m.turn(to)
		}
	}
}

// turn shows another page.
func (m *model) turn(to int) tea.Cmd {
	if l, wants := m.pages[m.shown].screen.(leaver); wants && to != m.shown {
		l.leave()
	}
	if to != m.shown {
		m.trail = append(m.trail[max(0, len(m.trail)-maxTrail+1):], m.shown)
	}
	m.shown = to
	m.close()
	return m.refresh()
}

func (m *model) show(title string) tea.Cmd {
	for i, p := range m.pages {
		switch {
		case p.title != title:
		case m.hides(i):
			m.showError(m.errReadonly())
		default:
			return m.turn(i)
		}
	}
	return nil
}

// View draws the whole screen: tabs, page, footer.
func (m *model) View() string {
	if m.width == 0 {
		return ""
	}
	if m.small() {
		return draw.Block([]string{"", draw.Cut("The terminal is too small: 60 × 15 is needed.", m.width), draw.Cut("Until then, only q works: q quits.", m.width)}, m.width, m.height)
	}
	badge, fresh := m.badge()
	body := m.focused().view(&m.shared, m.width, m.bodyLines())
	if d, floats := m.overlay.(dialog); floats && m.login == nil {
		page := m.pages[m.shown].view(&m.shared, m.width, m.bodyLines())
		body = m.over(page, d.dialog(&m.shared, m.width, m.bodyLines()))
	}
	if !fresh && m.login == nil {
		lines := strings.Split(ansi.Strip(body), "\n")
		for i := range lines {
			lines[i] = m.Dim.Render(lines[i])
		}
		body = strings.Join(lines, "\n")
	}
	if strip := m.stripHeight(); strip > 0 {
		box := m.activityBox(m.width, strip, 0)
		if m.login != nil {
			box = draw.Block(nil, m.width, strip)
		}
		return draw.Stack(m.header(badge), body, box, m.footer())
	}
	return draw.Stack(m.header(badge), body, m.footer())
}

// dialog is an overlay that covers a part of the page only.
type dialog interface {
	dialog(m *shared, width, height int) string
}

// over draws a box in the middle of a page, which is dimmed.
func (m *shared) over(page, box string) string {
	lines, rows := strings.Split(ansi.Strip(page), "\n"), strings.Split(box, "\n")
	top := max(0, (len(lines)-len(rows))/2)
	for i, line := range lines {
		if i < top || i >= top+len(rows) {
			lines[i] = m.Dim.Render(line)
			continue
		}
		row := rows[i-top]
		wide := draw.Width(line)
		left := max(0, (wide-draw.Width(row))/2)
		rest := max(0, wide-left-draw.Width(row))
		before, after := ansi.Truncate(line, left, ""), ""
		for cut := wide - rest; cut <= wide; cut++ { // a wide character may stand on the edge
			if after = ansi.TruncateLeft(line, cut, ""); draw.Width(after) <= rest {
				break
			}
		}
		lines[i] = m.Dim.Render(before+strings.Repeat(" ", left-draw.Width(before))) + row +
			m.Dim.Render(strings.Repeat(" ", rest-draw.Width(after))+after)
	}
	return strings.Join(lines, "\n")
}

// oneLine is the width from which the tabs fit beside the rest of the header.
const oneLine = twoPanes

// headLines is the number of lines of the header. On a narrow, tall enough screen, user and server
// have a line of their own.
func (m *model) headLines() int {
	if m.width < oneLine && m.height >= 20 {
		return 2
	}
	return 1
}

func (m *model) bodyLines() int { return m.height - m.headLines() - 1 - m.stripHeight() }

// tabSpan is the position of a tab.
type tabSpan struct{ row, from, to int }

// pageTab is the tab of a page.
type pageTab struct {
	page int
	tabSpan
}

// header draws name, user, server and connection state, and the tabs.
func (m *model) header(badge string) string {
	name, badgeWidth := m.Title.Render(" Kizo "), draw.Width(badge)
	where := m.Dim.Render
	if m.headLines() == 2 {
		free := max(0, m.width-draw.Width(name)-badgeWidth-1)
		return draw.Stack(draw.Clip(name+where(draw.Fit(m.where(), free))+" "+badge, m.width), draw.Clip(m.tabLine(1, 1, m.width-1), m.width))
	}
	tabs := m.tabLine(0, draw.Width(name), m.width-draw.Width(name)-badgeWidth-1)
	free := max(0, m.width-draw.Width(name)-draw.Width(tabs)-badgeWidth-3)
	return draw.Clip(name+tabs+" "+where(draw.FitRight(m.where(), free))+"  "+badge, m.width)
}

func (m *model) where() string {
	where := m.server.Server() + m.inContext()
	if m.me.Handle != "" {
		where = "@" + m.me.Handle + " · " + where
	}
	if m.readonly != "" {
		where += " · read-only"
	}
	where += m.unfinishedNote() + m.unreadNote()
	return where
}

// inContext names the context after a server.
func (m *shared) inContext() string {
	if m.context == "" {
		return ""
	}
	return " (" + m.context + ")"
}

// tabLine draws the tabs from a column on, within the given width. If space is short, other tabs
// have no titles.
func (m *model) tabLine(row, column, free int) string {
	label := func(i int, short bool) string {
		if short && i != m.shown {
			return " " + string(rune('1'+i)) + " "
		}
		return " " + string(rune('1'+i)) + " " + m.pages[i].title + " "
	}
	all := 0
	for i := range m.pages {
		if !m.hides(i) {
			all += len(label(i, false))
		}
	}
	var line strings.Builder
	if row > 0 {
		line.WriteString(strings.Repeat(" ", column))
	}
	m.tabs = m.tabs[:0]
	for i := range m.pages {
		if m.hides(i) {
			continue
		}
		text := label(i, all > free)
		m.tabs = append(m.tabs, pageTab{i, tabSpan{row, column, column + len(text)}})
		column += len(text)
		if i == m.shown && m.login == nil {
			line.WriteString(m.Selected.Render("[" + text[1:len(text)-1] + "]"))
		} else {
			line.WriteString(m.Dim.Render(text))
		}
	}
	return line.String()
}
