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
	name, password, otp *textField
	focus               int  // of the fields
	needsOTP            bool // the user has a second factor, so there is a third field
	asked               bool
	problem             string
}

type loggedInMsg struct {
	me  client.User
	err error
}

// userChangedMsg says that the known data belongs to another user or to an ended session.
type userChangedMsg struct{}

func newLoginScreen() *loginScreen {
	s := &loginScreen{name: newTextField(maxPayee), password: newTextField(128), otp: newTextField(32)}
	s.password.secret, s.otp.secret = true, true
	return s
}

func (s *loginScreen) typing() bool { return true }

// fields are those that are shown.
func (s *loginScreen) fields() []*textField {
	if s.needsOTP {
		return []*textField{s.name, s.password, s.otp}
	}
	return []*textField{s.name, s.password}
}

func (s *loginScreen) field() *textField { return s.fields()[s.focus] }

// move puts the focus on another field.
func (s *loginScreen) move(by int) func(*shared) tea.Cmd {
	return func(*shared) tea.Cmd {
		n := len(s.fields())
		s.focus = (s.focus + by + n) % n
		return nil
	}
}

func (s *loginScreen) update(_ *shared, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		if s.field().take(msg) {
			s.problem = ""
		}
	case loggedInMsg:
		s.asked = false
		s.otp.set("")
		if refused, ok := asRefusal(msg.err); ok && refused.Code == client.OTPRequired {
			s.needsOTP, s.focus, s.problem = true, 2, "type a code of your authenticator app, or a recovery code"
			return nil
		}
		if refused, ok := asRefusal(msg.err); !ok || refused.Code != client.OTPInvalid {
			s.password.set("")
			s.needsOTP, s.focus = false, min(s.focus, 1)
		}
		if msg.err != nil {
			s.problem = msg.err.Error()
		}
	}
	return nil
}

func (s *loginScreen) keys(*shared) []binding {
	enter := binding{keys: []string{"enter"}, shown: "enter", help: "log in", command: "kizo login NAME", run: s.logIn}
	if s.focus < len(s.fields())-1 {
		enter = binding{keys: []string{"enter"}, shown: "enter", help: "next field", run: s.move(1)}
	}
	keys := []binding{enter,
		{keys: []string{"tab", "down"}, shown: "tab", help: "next field", run: s.move(1)},
		{keys: []string{"shift+tab", "up"}, shown: "shift+tab", help: "previous field", run: s.move(-1)},
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
	case s.needsOTP && s.otp.text() == "":
		s.problem = "type a code of your authenticator app, or a recovery code"
		return nil
	}
	otp := s.otp.text()
	s.asked, s.problem = true, ""
	server := m.server
	return m.ask(func(ctx context.Context) tea.Msg {
		me, err := server.LogIn(ctx, name, password, otp)
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
	}
	for i, name := range []string{"Name", "Password", "Code"}[:len(s.fields())] {
		body = append(body, line(name, s.fields()[i], s.focus == i))
	}
	body = append(body, "")
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
	return centered(m.box("Log in", "", strings.Join(body, "\n"), wide, min(height, len(body)+2)), width, height)
}

// sessionEnded reports whether the user must log in again.
func sessionEnded(err error) bool {
	if errors.Is(err, client.ErrNotLoggedIn) {
		return true
	}
	refused, ok := asRefusal(err)
	return ok && refused.Status == http.StatusUnauthorized
}
