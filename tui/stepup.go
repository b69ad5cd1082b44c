package tui

import (
	"context"
	"errors"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// steppedUpMsg is the answer to a code of the second factor for the transfer with this key.
type steppedUpMsg struct {
	key string
	err error
}

// needsStepUp reports whether the server asks for a code of the second factor before the request.
func needsStepUp(err error) bool {
	refused, ok := errors.AsType[*client.Error](err)
	return ok && refused.Code == client.StepUpRequired
}

// askForCode asks for a code. The draft, the command and its key stay as they are. doubt says that
// an earlier attempt may have moved the money.
func (s *sendScreen) askForCode(doubt bool) {
	s.step, s.problem, s.command.Resumed = proving, "", doubt
	s.code = newTextField(32)
	s.code.secret = true
}

func (s *sendScreen) codeKeys() []binding {
	leave := func(*shared) tea.Cmd {
		s.step, s.problem = filling, ""
		if s.command.Resumed { // its outcome is still unknown
			s.step, s.problem = unknown, "no code was given"
		}
		return nil
	}
	return append([]binding{
		{keys: []string{"enter"}, shown: "enter", help: "give the code, and send", command: "kizo step-up confirm", run: s.giveCode},
		{keys: []string{"esc"}, shown: "esc", help: "cancel and go back", run: leave},
	}, s.code.keys(nil)...)
}

func (s *sendScreen) giveCode(m *shared) tea.Cmd {
	otp := s.code.text()
	if otp == "" || s.checking {
		return nil
	}
	s.checking, s.problem = true, ""
	server, key := m.server, s.command.Key
	return m.ask(func(ctx context.Context) tea.Msg {
		_, err := server.StepUp(ctx, otp)
		return steppedUpMsg{key, err}
	})
}

// steppedUp sends the command again after a right code.
func (s *sendScreen) steppedUp(m *shared, msg steppedUpMsg) tea.Cmd {
	s.checking = false
	if msg.key != s.command.Key || s.step != proving {
		return nil
	}
	s.code.set("")
	if msg.err != nil {
		s.problem = msg.err.Error()
		return nil
	}
	return s.send(m)
}

func (s *sendScreen) codeLines(m *shared, width int) []string {
	const label = 10
	lines := append(s.facts(m, width), "", m.Warn.Render(draw.Fit("Type a code of your authenticator app, or a recovery code.", width)), "",
		m.Accent.Render(draw.Fit("Code", label))+s.code.draw(m, max(0, width-label), true), "")
	switch {
	case s.checking:
		return append(lines, m.Dim.Render(draw.Fit("Checking the code…", width)))
	case s.problem != "":
		for _, line := range draw.Wrap(s.problem, max(4, width)) {
			lines = append(lines, m.Bad.Render(draw.Fit(line, width)))
		}
	}
	return lines
}
