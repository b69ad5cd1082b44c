package tui

import (
	"context"
	"errors"
	"net/http"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// loginScreen replaces all pages while there is no session.
type loginScreen struct {
	name, password *textField
	focus          int // 0 the name, 1 the password
	asked          bool
	problem        string
}

type loggedInMsg struct {
	me  client.User
	err error
}

// userChangedMsg says that the known data belongs to another user or to an ended session.
type userChangedMsg struct{}

func newLoginScreen() *loginScreen {
	s := &loginScreen{name: newTextField(maxPayee), password: newTextField(128)}
	s.password.secret = true
	return s
}

func (s *loginScreen) typing() bool { return true }

func (s *loginScreen) field() *textField {
	if s.focus == 0 {
		return s.name
	}
	return s.password
}

func (s *loginScreen) update(_ *shared, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		if s.field().take(msg) {
			s.problem = ""
		}
	case loggedInMsg:
		s.asked = false
		s.password.set("")
		if msg.err != nil {
			s.problem = msg.err.Error()
		}
	}
	return nil
}

func (s *loginScreen) keys(*shared) []binding {
	other := func(*shared) tea.Cmd { s.focus = 1 - s.focus; return nil }
	enter := binding{keys: []string{"enter"}, shown: "enter", help: "log in", command: "kizo login NAME", run: s.logIn}
	if s.focus == 0 {
		enter = binding{keys: []string{"enter"}, shown: "enter", help: "next field", run: other}
	}
	keys := []binding{enter,
		{keys: []string{"tab", "shift+tab", "down", "up"}, shown: "tab", help: "next field", run: other},
		{keys: []string{"esc"}, shown: "esc", help: "quit", run: func(*shared) tea.Cmd { return tea.Quit }},
	}
	return append(keys, s.field().keys(nil)...)
}

func (s *loginScreen) logIn(m *shared) tea.Cmd {
	name, password := strings.TrimPrefix(strings.TrimSpace(s.name.text()), "@"), s.password.text()
	switch {
	case s.asked:
		return nil
	case name == "":
		s.focus, s.problem = 0, "type your handle or e-mail address"
		return nil
	case password == "":
		s.problem = "type your password"
		return nil
	}
	s.asked, s.problem = true, ""
	server := m.server
	return m.ask(func(ctx context.Context) tea.Msg {
		me, err := server.LogIn(ctx, name, password)
		return loggedInMsg{me, err}
	})
}

func (s *loginScreen) view(m *shared, width, height int) string {
	wide := min(width, 64)
	inner, _ := draw.Inner(wide, 2)
	const label = 10
	line := func(name string, field *textField, focused bool) string {
		paint := m.Dim.Render
		if focused {
			paint = m.Accent.Render
		}
		return paint(draw.Fit(name, label)) + field.draw(m, inner-label, focused)
	}
	body := []string{
		m.Dim.Render(draw.Fit("on "+m.server.Server(), inner)), "",
		line("Name", s.name, s.focus == 0), line("Password", s.password, s.focus == 1), "",
	}
	switch {
	case s.asked:
		body = append(body, m.Dim.Render(draw.Fit("Logging in…", inner)))
	case s.problem != "":
		for _, text := range draw.Wrap(s.problem, inner) {
			body = append(body, m.Bad.Render(draw.Fit(text, inner)))
		}
	default:
		body = append(body, m.Dim.Render(draw.Fit("No account yet? kizo signup", inner)))
	}
	return centered(m.box("Log in", "", nil, strings.Join(body, "\n"), wide, min(height, len(body)+2)), width, height)
}

// sessionEnded reports whether the user must log in again.
func sessionEnded(err error) bool {
	if errors.Is(err, client.ErrNotLoggedIn) {
		return true
	}
	refused, ok := asRefusal(err)
	return ok && refused.Status == http.StatusUnauthorized
}
