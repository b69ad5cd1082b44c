package tui

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// noticeServer is the part of Server that has the user's inbox.
type noticeServer interface {
	Notices(ctx context.Context, params client.ListNoticesParams) (client.NoticeList, error)
	ReadNotices(ctx context.Context, ids []int64) (client.NoticesMarked, error)
}

// noticesPause is the time between two looks for unread notices.
const noticesPause = 15 * time.Second

// unreadMsg says how many notices are unread.
type unreadMsg struct {
	unread int
	err    error
}

// askUnread asks how many notices are unread. An API key may not know: then nothing is shown.
func (m *model) askUnread() tea.Cmd {
	if m.me.Handle == "" {
		return nil
	}
	m.unreadAt = m.now
	server, one, unread := m.server, int32(1), true
	return m.ask(func(ctx context.Context) tea.Msg {
		list, err := server.Notices(ctx, client.ListNoticesParams{Limit: &one, Unread: &unread})
		return unreadMsg{list.Unread, err}
	})
}

func (m *model) takeUnread(msg unreadMsg) {
	switch {
	case msg.err == nil:
		m.unread = msg.unread
	case forbidden(msg.err): // with an API key, which will never be allowed
		m.unreadAt = m.now.Add(24 * time.Hour)
	}
}

func (m *model) unreadTick() tea.Cmd {
	if m.now.Sub(m.unreadAt) < noticesPause {
		return nil
	}
	return m.askUnread()
}

// unreadNote is a part of the header; empty if every notice is read.
func (m *shared) unreadNote() string {
	if m.unread == 0 {
		return ""
	}
	return fmt.Sprintf(" · %s%d unread (I)", m.glyph("✉ ", ""), m.unread)
}

// noticesScreen lists the user's notices, with what to do if another person did it.
type noticesScreen struct {
	list     []client.Notice
	cursor   *string // of the next page; nil after the last one
	selected int
	asked    bool
	loaded   bool
	problem  string
}

// noticesMsg is the answer to a request for a page. screen is the one that asked.
type noticesMsg struct {
	screen *noticesScreen
	page   client.NoticeList
	err    error
}

// readMsg is the answer to marking notices as read.
type readMsg struct {
	screen *noticesScreen
	ids    []int64
	marked client.NoticesMarked
	err    error
}

func openNotices(m *shared) tea.Cmd {
	s := &noticesScreen{}
	m.open(s)
	return s.load(m)
}

func (s *noticesScreen) typing() bool { return false }

func (s *noticesScreen) load(m *shared) tea.Cmd {
	if s.asked || s.loaded && s.cursor == nil {
		return nil
	}
	s.asked, s.problem = true, ""
	server, limit, cursor := m.server, int32(50), s.cursor
	return m.ask(func(ctx context.Context) tea.Msg {
		page, err := server.Notices(ctx, client.ListNoticesParams{Limit: &limit, Cursor: cursor})
		return noticesMsg{s, page, err}
	})
}

func (s *noticesScreen) keys(*shared) []binding {
	one := binding{keys: []string{"enter"}, shown: "enter", help: "mark as read", command: "kizo notices read ID", run: s.readOne}
	all := binding{keys: []string{"a"}, shown: "a", help: "mark all as read", command: "kizo notices --read-all", run: s.readAll}
	if len(s.unreadIDs()) == 0 {
		one.off, all.off = "every notice is read", "every notice is read"
	}
	return []binding{
		{keys: []string{"esc", "I"}, shown: "esc", help: "close", run: func(m *shared) tea.Cmd { m.close(); return nil }},
		{keys: []string{"down", "j"}, shown: "↓", help: "next", command: "kizo notices", run: s.move(1)},
		{keys: []string{"up", "k"}, shown: "↑", help: "previous", run: s.move(-1)},
		one.greyed(), all.greyed(),
	}
}

func (s *noticesScreen) move(by int) func(*shared) tea.Cmd {
	return func(m *shared) tea.Cmd {
		s.selected = max(0, min(s.selected+by, len(s.list)-1))
		if s.selected == len(s.list)-1 {
			return s.load(m)
		}
		return nil
	}
}

// unreadIDs returns the newest unread notices of the list, at most 100: what one request marks.
func (s *noticesScreen) unreadIDs() (ids []int64) {
	for _, n := range s.list {
		if !n.Read && len(ids) < 100 {
			ids = append(ids, n.Id)
		}
	}
	return ids
}

func (s *noticesScreen) readOne(m *shared) tea.Cmd {
	if s.selected >= len(s.list) || s.list[s.selected].Read {
		return nil
	}
	return s.read(m, []int64{s.list[s.selected].Id})
}

func (s *noticesScreen) readAll(m *shared) tea.Cmd { return s.read(m, s.unreadIDs()) }

func (s *noticesScreen) read(m *shared, ids []int64) tea.Cmd {
	switch {
	case len(ids) == 0 || s.asked:
		return nil
	case m.readonly != "":
		s.problem = m.errReadonly().Error()
		return nil
	}
	s.asked, s.problem = true, ""
	server := m.server
	return m.ask(func(ctx context.Context) tea.Msg {
		marked, err := server.ReadNotices(ctx, ids)
		return readMsg{s, ids, marked, err}
	})
}

func (s *noticesScreen) update(m *shared, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case noticesMsg:
		if msg.screen != s {
			return nil
		}
		s.asked = false
		if msg.err != nil {
			s.problem = msg.err.Error()
			return nil
		}
		s.loaded, s.cursor = true, msg.page.NextCursor
		s.list, m.unread = append(s.list, msg.page.Items...), msg.page.Unread
	case readMsg:
		if msg.screen != s {
			return nil
		}
		s.asked = false
		if msg.err != nil {
			s.problem = msg.err.Error()
			return nil
		}
		m.unread = msg.marked.Unread
		read := make(map[int64]bool, len(msg.ids))
		for _, id := range msg.ids {
			read[id] = true
		}
		for i := range s.list {
			s.list[i].Read = s.list[i].Read || read[s.list[i].Id]
		}
	}
	return nil
}

func (s *noticesScreen) view(m *shared, width, height int) string {
	wide := min(width, 100)
	inner, _ := draw.Inner(wide, 2)
	about := s.about(m, inner)
	rows := max(1, height-2-len(about)-1)
	var body []string
	first := max(0, min(s.selected-rows/2, len(s.list)-rows))
	for i := first; i < min(first+rows, len(s.list)); i++ {
		body = append(body, s.row(m, i, inner))
	}
	if len(s.list) == 0 && s.loaded {
		body = append(body, m.Dim.Render(draw.Fit("There are no notices.", inner)))
	}
	body = append(append(body, ""), about...)
	return centered(m.box("Notices", "", strings.Join(body, "\n"), wide, min(height, len(body)+2)), width, height)
}

func (s *noticesScreen) row(m *shared, i, width int) string {
	n, mark := s.list[i], "  "
	if !n.Read {
		mark = m.glyph("● ", "* ")
	}
	text := draw.Fit(mark+draw.Fit(when(n.At, m.now), 10)+draw.Text(n.Title), width)
	switch {
	case i == s.selected:
		return m.Selected.Render(text)
	case n.Read:
		return m.Dim.Render(text)
	}
	return m.Plain.Render(text)
}

// about describes the selected notice: when, from where, and what to do.
func (s *noticesScreen) about(m *shared, width int) (lines []string) {
	add := func(paint func(...string) string, text string) {
		for _, line := range draw.Wrap(draw.Text(text), width) {
			lines = append(lines, paint(draw.Fit(line, width)))
		}
	}
	switch {
	case s.problem != "":
		add(m.Bad.Render, m.glyph("✗ ", "! ")+s.problem)
	case s.asked && len(s.list) == 0:
		add(m.Dim.Render, "Asking the server…")
	}
	if s.selected >= len(s.list) {
		return lines
	}
	n := s.list[s.selected]
	add(m.Plain.Render, n.Title)
	for _, pair := range [][2]string{{"at", m.moment(n.At)}, {"from", optionalText(n.Address)}, {"by", optionalText(n.Client)}, {"detail", optionalText(n.Detail)}} {
		if pair[1] != "" {
			lines = append(lines, m.Dim.Render(draw.Fit(pair[0], 8))+m.Plain.Render(draw.Fit(draw.Text(pair[1]), max(0, width-8))))
		}
	}
	lines = append(lines, "")
	add(m.Warn.Render, n.Advice)
	return lines
}

func optionalText(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
