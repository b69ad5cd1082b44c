package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/tui/draw"
)

// moneyAction is what a moneyDialog does: to a transfer, or to a wallet.
type moneyAction struct {
	title, verb string // "Capture this authorization?", "Capture"
	currency    string
	most        int64  // the largest amount, in minor units; 0 if there is none
	whole       bool   // the amount begins as the largest one
	fixed       bool   // the amount is the largest one and is not asked for
	hint        string // under the amount
	subject     []draw.Pair

	effect      func(minor int64) string         // what happens, as sentences
	commandLine func(amount money.Amount) string // the same on the command line
	described   func(amount money.Amount) string // recorded with the command
	build       func(key string, minor int64) (client.Command, error)
}

// moneyDialog asks for an amount, reviews the action over the dimmed page, and carries it out. As
// on the Send screen, enter opens the review, Cancel has the focus there, and only y confirms.
//
//	amount ──enter──► review ──y──► sending ──► done
//	   ▲                │ │            └──► as in execution
//	   └───────up───────┘ └──esc, enter──► closed
//
// After esc, a dialog without a final answer stays in shared.dialog: the next action
// shows it again.
type moneyDialog struct {
	execution
	moneyAction
	field  *textField // the amount
	amount money.Amount
}

// maxAmountText is the limit of a typed amount, in characters.
const maxAmountText = maxAmount

// act opens the dialog of an action, unless an earlier command has no final answer yet: that one
// is shown again.
func (m *shared) act(action moneyAction) {
	if m.dialog != nil && m.dialog.unfinished() {
		m.showToast("This one has no final answer yet.")
		m.open(m.dialog)
		return
	}
	d := &moneyDialog{moneyAction: action, field: newTextField(maxAmountText)}
	if action.whole || action.fixed {
		d.field.set(money.Amount{Minor: action.most, Currency: money.Currency(action.currency)}.Decimal())
		d.field.choose()
	}
	if action.fixed {
		d.review(m)
	}
	m.dialog = d
	m.open(d)
}

func (d *moneyDialog) typing() bool {
	return d.step == filling && !d.fixed || d.step == proving
}

func (d *moneyDialog) keys(*shared) []binding {
	closes := func(help string) binding {
		return binding{keys: []string{"esc"}, shown: "esc", help: help, run: func(m *shared) tea.Cmd { m.close(); return nil }}
	}
	switch d.step {
	case filling:
		keys := []binding{{keys: []string{"enter"}, shown: "enter", help: "review", command: d.commandLine(d.amount), run: d.review}, closes("cancel")}
		if d.fixed {
			return keys
		}
		return append(keys, d.field.keys(func(*shared) tea.Cmd { d.problem = ""; return nil })...)
	case reviewing:
		cancel := closes("cancel")
		cancel.keys = append(cancel.keys, "enter", "n", "q")
		keys := []binding{
			{keys: []string{"y", "Y"}, shown: "y", help: strings.ToLower(d.verb), command: d.commandLine(d.amount), run: d.send}, cancel,
		}
		if !d.fixed {
			keys = append(keys, binding{keys: []string{"up", "shift+tab"}, shown: "↑", help: "change the amount", run: func(*shared) tea.Cmd {
				d.step = filling
				return nil
			}})
		}
		return append(keys, d.copyKey())
	case sending:
		return []binding{d.copyKey(), closes("close; the answer is shown when it arrives")}
	case unknown:
		return []binding{d.retryKey(), d.copyKey(), closes("close, and retry later")}
	case proving:
		return d.codeKeys()
	}
	id := d.receipt.Transfer.Id.String()
	shut := closes("close")
	shut.keys = append(shut.keys, "enter", "q")
	return []binding{shut, {keys: []string{"y"}, shown: "y", help: "copy the id", command: "kizo transfers show " + id,
		run: func(m *shared) tea.Cmd { return m.copy("the id", id) }}}
}

// review checks the amount and shows what will happen, under a new key.
func (d *moneyDialog) review(m *shared) tea.Cmd {
	amount, err := money.Parse(strings.TrimSpace(d.field.text()), money.Currency(d.currency))
	if err == nil && d.most > 0 && amount.Minor > d.most {
		d.problem = "at most " + amountOf(d.most, d.currency)
		return nil
	}
	var command client.Command
	if err == nil {
		command, err = d.build(m.newKey(), amount.Minor)
	}
	if err != nil {
		d.problem = err.Error()
		return nil
	}
	d.amount, d.command, d.what = amount, command, d.described(amount)
	d.step, d.problem = reviewing, ""
	return nil
}

func (d *moneyDialog) update(m *shared, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyMsg:
		switch {
		case d.step == proving:
			d.code.take(msg)
		case d.typing() && d.field.take(msg):
			d.problem = ""
		}
	case sentMsg:
		d.sent(m, msg)
	case steppedUpMsg:
		return d.steppedUp(m, msg)
	case userChangedMsg:
		if !d.unfinished() && m.dialog == d { // the key of a command in doubt stays known
			m.dialog = nil
			if m.overlay == screen(d) {
				m.close()
			}
		}
	}
	return nil
}

// sent shows the answer. If the dialog was closed in the meantime, it shows a message.
func (d *moneyDialog) sent(m *shared, msg sentMsg) {
	refusal, answered := d.answered(msg)
	hidden := m.overlay != screen(d)
	switch {
	case refusal != nil:
		d.step, d.problem = filling, refusal.Error()
		if hidden {
			m.showError(refusal)
		}
	case answered && d.step == done:
		m.remember(d.receipt.Transfer)
		m.showToast("Done: " + d.what + ".")
	case answered && hidden:
		m.showError(msg.err)
	}
}

// view implements screen; the frame draws dialog over the page instead.
func (d *moneyDialog) view(m *shared, width, height int) string {
	return centered(d.dialog(m, width, height), width, height)
}

func (d *moneyDialog) dialog(m *shared, width, height int) string {
	wide := min(width, 76)
	inner, rows := draw.Inner(wide, height)
	title := d.title
	var body []string
	switch d.step {
	case filling:
		body = d.form(m, inner)
	case sending:
		title, body = "Sending", d.sendingLines(m, inner, d.facts(m, inner))
	case unknown:
		title, body = "Outcome unknown", d.doubtfulLines(m, inner, d.facts(m, inner))
	case proving:
		title, body = "Code needed", d.codeLines(m, inner, d.facts(m, inner))
	case done:
		title, body = "Done", d.receiptLines(m, inner)
	default:
		body = d.reviewed(m, inner)
	}
	if len(body) > rows { // what matters is at both ends
		var dense []string
		for _, line := range body {
			if strings.TrimSpace(line) != "" {
				dense = append(dense, line)
			}
		}
		body = dense
	}
	return m.box(title, "", strings.Join(body, "\n"), wide, min(height, len(body)+2))
}

func (d *moneyDialog) form(m *shared, width int) []string {
	lines := append(m.panel(d.subject, width), "")
	if !d.fixed {
		const label = 8
		typed := max(0, width-label-len(d.currency)-1)
		lines = append(lines, m.Accent.Render(draw.Fit("Amount", label))+d.field.draw(m, typed, true)+" "+m.Title.Render(draw.Cut(d.currency, 4)),
			m.Dim.Render(draw.Fit(strings.Repeat(" ", label)+d.hint, width)))
	}
	for i, line := range draw.Wrap(d.problem, max(4, width-2)) {
		sign := "  "
		if i == 0 {
			sign = m.glyph("✗ ", "! ")
		}
		if d.problem != "" {
			lines = append(lines, m.Bad.Render(draw.Fit(sign+line, width)))
		}
	}
	return lines
}

// facts shows what is done, to what, and the idempotency key.
func (d *moneyDialog) facts(m *shared, width int) []string {
	pairs := slices.Concat(d.subject, []draw.Pair{
		{Name: strings.ToLower(d.verb), Value: amountOf(d.amount.Minor, d.currency), Paint: m.Accent.Render, Whole: true},
		{Name: "as", Value: "@" + m.me.Handle + " on " + m.server.Server() + m.inContext()},
		{Name: "key", Value: d.command.Key, Paint: m.Dim.Render, Whole: true},
	})
	return m.panel(pairs, width)
}

func (d *moneyDialog) reviewed(m *shared, width int) []string {
	lines := append(d.facts(m, width), "")
	for _, line := range draw.Wrap(d.effect(d.amount.Minor), width) {
		lines = append(lines, m.Warn.Render(draw.Fit(line, width)))
	}
	buttons := m.Selected.Render(m.glyph("▸", ">")+" Cancel (enter) ") + "  " + m.Plain.Render(d.verb+" (y)")
	return append(append(lines, "", buttons, ""), m.command(d.commandLine(d.amount), width)...)
}

func (m *shared) panel(pairs []draw.Pair, width int) []string {
	return strings.Split(draw.Panel(pairs, width, m.Dim.Render), "\n")
}
