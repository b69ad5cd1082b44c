package tui

import (
	"errors"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// execution is a command that moves money, from its review to its outcome. The Send screen and
// reviewDialog embed it. The idempotency key is created for the review and is the same for every
// attempt.
//
//	filling ──► reviewing ──y──► sending ──► done
//	   ▲            │               │ └────► filling, refused
//	   └────────────┘               ├──► unknown ──y──► sending, same key
//	                                └──► proving ──enter──► sending, same key (stepup.go)
type execution struct {
	step     executionStep
	command  client.Command // from the review on
	what     string         // the command for the user: "transfer 12.50 USD to @bob"
	problem  string         // why it was refused, or why the outcome is unknown
	receipt  client.Receipt
	code     *textField // of the second factor
	checking bool       // the server checks the code
}

type executionStep int

const (
	filling    executionStep = iota
	previewing               // Send only: the server computes the preview
	reviewing
	sending
	unknown
	proving // a code of the second factor is needed first
	done
)

// sentMsg is the answer to the command with this key.
type sentMsg struct {
	key     string
	receipt client.Receipt
	err     error
}

// unfinished reports whether the command was sent and has no final answer yet.
func (e *execution) unfinished() bool {
	return e.step == sending || e.step == unknown || e.step == proving
}

// inDoubt reports whether the command may have moved money that no answer has confirmed.
func (e *execution) inDoubt() bool {
	return e.step == sending || e.step == unknown || e.step == proving && e.command.Resumed
}

// send sends the command through Config.Move, which records it first. If it was sent before, only
// an answer to its key settles it.
func (e *execution) send(m *shared) tea.Cmd {
	e.command.Resumed = e.step == unknown || e.step == proving && e.command.Resumed
	e.step, e.problem = sending, ""
	move, command, what := m.move, e.command, e.what
	return func() tea.Msg {
		receipt, err := move(command, what)
		return sentMsg{command.Key, receipt, err}
	}
}

// answered handles the answer to the command, if it is awaited. It returns a refusal, after which
// nothing has happened.
func (e *execution) answered(msg sentMsg) (refusal error, answered bool) {
	if msg.key != e.command.Key || e.step != sending {
		return nil, false
	}
	var inDoubt *client.UnknownOutcomeError
	switch {
	case msg.err == nil:
		e.step, e.receipt = done, msg.receipt
	case needsStepUp(msg.err):
		e.askForCode(errors.As(msg.err, &inDoubt))
	case errors.As(msg.err, &inDoubt):
		e.step, e.problem = unknown, msg.err.Error()
	default:
		return msg.err, true
	}
	return nil, true
}

func (e *execution) copyKey() binding {
	return binding{keys: []string{"c"}, shown: "c", help: "copy the key", run: func(m *shared) tea.Cmd { return m.copy("the key", e.command.Key) }}
}

func (e *execution) retryKey() binding {
	return binding{keys: []string{"y", "Y"}, shown: "y", help: "retry with the same key", command: "kizo retry " + e.command.Key, run: e.send}
}

// sendingLines, doubtfulLines and codeLines (stepup.go) begin with the facts of the review.
func (e *execution) sendingLines(m *shared, width int, facts []string) []string {
	return append(facts, "", m.Warn.Render(draw.Fit(m.glyph("◌ ", "~ ")+"Sending… The balance changes when the server confirms the transfer.", width)))
}

func (e *execution) doubtfulLines(m *shared, width int, facts []string) []string {
	lines := slices.Concat(facts, []string{""})
	text := e.problem + ". The transfer is recorded and cannot happen twice: y retries with the same key, and so does kizo retry."
	for _, line := range draw.Wrap(text, width) {
		lines = append(lines, m.Warn.Render(draw.Fit(line, width)))
	}
	return append(append(lines, ""), m.command("kizo retry "+e.command.Key, width)...)
}

// receiptLines shows the result of a transfer.
func (e *execution) receiptLines(m *shared, width int) []string {
	t := e.receipt.Transfer
	word := "The transfer is " + string(t.State)
	if e.receipt.Replayed {
		word += "; this key was used before, and no money moved again"
	}
	sign, paint := m.glyph("✓ ", "+ "), m.Good.Render
	switch t.State {
	case client.Pending:
		sign, paint = m.glyph("◌ ", "~ "), m.Warn.Render
	case client.Voided:
		sign, paint = m.glyph("⊘ ", "- "), m.Dim.Render
	case client.Refused:
		sign, paint = m.glyph("✗ ", "! "), m.Bad.Render
	}
	lines := []string{paint(draw.Fit(sign+word+".", width)), ""}
	return append(lines, strings.Split(draw.Panel(m.transferPairs(t), width, m.Dim.Render), "\n")...)
}
