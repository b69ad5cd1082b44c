package tui

import (
	"context"
	"errors"
	"slices"

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
func (e *execution) askForCode(doubt bool) {
	e.step, e.problem, e.command.Resumed = proving, "", doubt
	e.code = newTextField(32)
	e.code.secret = true
}

func (e *execution) codeKeys() []binding {
	leave := func(*shared) tea.Cmd {
		e.step, e.problem = filling, ""
		if e.command.Resumed { // its outcome is still unknown
			e.step, e.problem = unknown, "no code was given"
		}
		return nil
	}
	return append([]binding{
		{keys: []string{"enter"}, shown: "enter", help: "give the code, and send", command: "kizo step-up confirm", run: e.giveCode},
		{keys: []string{"esc"}, shown: "esc", help: "cancel and go back", run: leave},
	}, e.code.keys(nil)...)
}

func (e *execution) giveCode(m *shared) tea.Cmd {
	otp := e.code.text()
	if otp == "" || e.checking {
		return nil
	}
	e.checking, e.problem = true, ""
	server, key := m.server, e.command.Key
	return m.ask(func(ctx context.Context) tea.Msg {
		_, err := server.StepUp(ctx, otp)
		return steppedUpMsg{key, err}
	})
}

// steppedUp sends the command again after a right code.
func (e *execution) steppedUp(m *shared, msg steppedUpMsg) tea.Cmd {
	e.checking = false
	if msg.key != e.command.Key || e.step != proving {
		return nil
	}
	e.code.set("")
	if msg.err != nil {
		e.problem = msg.err.Error()
		return nil
	}
	return e.send(m)
}

// codeNeededMsg says that the server asks for a code before an action that moves no money.
type codeNeededMsg struct{ dialog *reviewDialog }

// askForCode shows the dialog again, unless it would cover another one: the user then repeats the
// action.
func (m *shared) askForCode(msg codeNeededMsg) {
	if m.overlay != nil {
		m.showError(errors.New("nothing was done: " + msg.dialog.verb + " needs a code of your second factor"))
		return
	}
	msg.dialog.execution.askForCode(false)
	m.open(msg.dialog)
}

// proved does the action again after a right code.
func (d *reviewDialog) proved(m *shared, msg steppedUpMsg) tea.Cmd {
	d.checking = false
	if msg.key != "" || d.step != proving || m.overlay != screen(d) {
		return nil
	}
	d.code.set("")
	if msg.err != nil {
		d.problem = msg.err.Error()
		return nil
	}
	d.step = reviewing
	return d.confirm(m)
}

func (e *execution) codeLines(m *shared, width int, facts []string) []string {
	const label = 10
	lines := slices.Concat(facts, []string{"", m.Warn.Render(draw.Fit("Type a code of your authenticator app, or a recovery code.", width)), "",
		m.Accent.Render(draw.Fit("Code", label)) + e.code.draw(m, max(0, width-label), true), ""})
	switch {
	case e.checking:
		return append(lines, m.Dim.Render(draw.Fit("Checking the code…", width)))
	case e.problem != "":
		for _, line := range draw.Wrap(e.problem, max(4, width)) {
			lines = append(lines, m.Bad.Render(draw.Fit(line, width)))
		}
	}
	return lines
}
