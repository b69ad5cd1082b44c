package tui

import (
	"context"
	"errors"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/tui/draw"
)

// action is what a reviewDialog does. It either moves money, by build, or it does something else,
// by run. Before the review, the dialog asks for an amount, for a text, or for nothing.
type action struct {
	title, verb string // "Capture this authorization?", "Capture"
	label       string // of the text that is asked for; empty if none is
	maxLen      int    // of that text, in characters
	missing     string // what is wrong if the text is empty; empty if it may be
	initial     string // the text at the beginning
	hint        string // under the field
	subject     []draw.Pair

	effect      func(text string) string // what happens, as sentences
	commandLine func(text string) string // the same on the command line; empty if there is none
	check       func(text string) string // what is wrong with the text; nil if all is right
	run         func(m *shared, text string) tea.Cmd

	money *moneyAction // nil if no money moves
}

// moneyAction is the part of an action that moves money.
type moneyAction struct {
	currency string
	most     int64 // the largest amount, in minor units; 0 if there is none
	fixed    bool  // the amount is the largest one and is not asked for

	effect      func(minor int64) string         // what happens, as sentences
	commandLine func(amount money.Amount) string // the same on the command line
	described   func(amount money.Amount) string // recorded with the command
	build       func(key string, minor int64) (client.Command, error)

	recorded   *client.Command // an earlier command, which is sent again; then nothing is built
	line, what string          // of that command
}

// maxReason is the limit of the contract, in characters.
const maxReason = 500

// withReason makes an action ask for the reason that the server stores, and request do.
func (a action) withReason(command string, do func(ctx context.Context, reason string) (done string, err error)) action {
	a.label, a.maxLen, a.missing = "Reason", maxReason, "A reason is required. It is stored with your name."
	a.hint = "stored with your name"
	a.commandLine = func(string) string { return command + " --reason …" }
	a.run = func(m *shared, reason string) tea.Cmd {
		return m.ask(func(ctx context.Context) tea.Msg {
			done, err := do(ctx, reason)
			return actedMsg{done: done, err: err}
		})
	}
	return a
}

// reviewDialog reviews an action over the dimmed page, and carries it out. The key that opened it
// never confirms: Cancel has the focus, and only y or the other button confirms. The idempotency
// key of a command that moves money is created for the review.
//
//	field ──enter──► review ──y──► done, or for money: sending ──► done
//	   ▲              │ │                                 └──► as in execution
//	   └──────up──────┘ └──esc, enter──► closed
//
// After esc, a dialog without a final answer stays in shared.dialog: the next action that moves
// money shows it again.
type reviewDialog struct {
	execution
	action
	field  *textField
	amount money.Amount
	chosen bool // the focus is on the button that confirms
}

func newReviewDialog(a action) *reviewDialog {
	d := &reviewDialog{action: a, field: newTextField(a.maxLen)}
	d.field.set(a.initial)
	d.field.choose()
	return d
}

// act opens the dialog of an action, unless the dashboard is read-only, or an earlier command has
// no final answer yet: that one is shown again.
func (m *shared) act(a action) {
	if m.readonly != "" {
		m.showError(m.errReadonly())
		return
	}
	if a.money != nil && m.dialog != nil && m.dialog.unfinished() {
		m.showToast("This one has no final answer yet.")
		m.open(m.dialog)
		return
	}
	d := newReviewDialog(a)
	if !d.asks() {
		d.review(m)
	}
	if a.money != nil {
		m.dialog = d
	}
	m.open(d)
}

// newQuestion returns the review of an action that asks for nothing and changes nothing on the
// server.
func newQuestion(a action) *reviewDialog {
	d := newReviewDialog(a)
	d.step = reviewing
	return d
}

// asks reports whether the dialog asks for an amount or a text before the review.
func (d *reviewDialog) asks() bool { return d.label != "" }

func (d *reviewDialog) typing() bool { return d.step == filling && d.asks() || d.step == proving }

func (d *reviewDialog) keys(*shared) []binding {
	closes := func(help string) binding {
		return binding{keys: []string{"esc"}, shown: "esc", help: help, run: func(m *shared) tea.Cmd { m.close(); return nil }}
	}
	switch d.step {
	case filling:
		keys := []binding{{keys: []string{"enter"}, shown: "enter", help: "review", command: d.line(), run: d.review}, closes("cancel")}
		if !d.asks() {
			return keys
		}
		return append(keys, d.field.keys(func(*shared) tea.Cmd { d.problem = ""; return nil })...)
	case reviewing:
		return d.reviewKeys(closes("cancel"))
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

func (d *reviewDialog) reviewKeys(cancel binding) []binding {
	cancel.keys = append(cancel.keys, "n", "N", "q")
	keys := []binding{
		{keys: []string{"y", "Y"}, shown: "y", help: strings.ToLower(d.verb), command: d.line(), run: d.confirm}, cancel,
		{keys: []string{"left", "right", "h", "l", "tab"}, shown: "←/→", help: "choose", run: func(*shared) tea.Cmd { d.chosen = !d.chosen; return nil }},
		{keys: []string{"enter"}, shown: "enter", help: "press the button", run: func(m *shared) tea.Cmd {
			if d.chosen {
				return d.confirm(m)
			}
			return cancel.run(m)
		}},
	}
	if d.asks() {
		keys = append(keys, binding{keys: []string{"up", "shift+tab"}, shown: "↑", help: "change the " + strings.ToLower(d.label), run: func(*shared) tea.Cmd {
			d.step, d.chosen = filling, false
			return nil
		}})
	}
	if d.money != nil {
		keys = append(keys, d.copyKey())
	}
	return keys
}

// review checks the amount or the text and shows what will happen.
func (d *reviewDialog) review(m *shared) tea.Cmd {
	d.chosen = false
	text := strings.TrimSpace(d.field.text())
	if d.money != nil {
		d.problem = d.prepare(m, text)
	} else if text == "" && d.missing != "" {
		d.problem = d.missing
	} else if d.problem = ""; d.check != nil {
		d.problem = d.check(text)
	}
	if d.problem == "" {
		d.step = reviewing
	}
	return nil
}

// prepare builds the command under a new key, and returns what is wrong with the amount.
func (d *reviewDialog) prepare(m *shared, text string) (problem string) {
	if d.money.recorded != nil {
		d.command, d.what = *d.money.recorded, d.money.what
		return ""
	}
	amount, err := money.Parse(text, money.Currency(d.money.currency))
	if err == nil && d.money.most > 0 && amount.Minor > d.money.most {
		return "at most " + amountOf(d.money.most, d.money.currency)
	}
	var command client.Command
	if err == nil {
		command, err = d.money.build(m.newKey(), amount.Minor)
	}
	if err != nil {
		return err.Error()
	}
	d.amount, d.command, d.what = amount, command, d.money.described(amount)
	return ""
}

func (d *reviewDialog) confirm(m *shared) tea.Cmd {
	if d.money != nil {
		if d.money.recorded != nil { // the server may have done it already
			d.step = unknown
		}
		return d.send(m)
	}
	m.close()
	run := d.run(m, strings.TrimSpace(d.field.text()))
	if run == nil {
		return nil
	}
	return func() tea.Msg {
		msg := run()
		if acted, ok := msg.(actedMsg); ok && needsStepUp(acted.err) {
			return codeNeededMsg{d}
		}
		return msg
	}
}

// line returns the equivalent command; empty if there is none.
func (d *reviewDialog) line() string {
	switch {
	case d.money != nil && d.money.recorded != nil:
		return d.money.line
	case d.money != nil:
		return d.money.commandLine(d.amount)
	case d.commandLine != nil:
		return d.commandLine(strings.TrimSpace(d.field.text()))
	}
	return ""
}

func (d *reviewDialog) update(m *shared, msg tea.Msg) tea.Cmd {
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
		if d.money == nil {
			return d.proved(m, msg)
		}
		return d.steppedUp(m, msg)
	case userChangedMsg:
		if d.unfinished() { // the key of a command in doubt stays known
			return nil
		}
		if m.dialog == d {
			m.dialog = nil
		}
		if m.overlay == screen(d) {
			m.close()
		}
	}
	return nil
}

// sent shows the answer. If the dialog was closed in the meantime, it shows a message.
func (d *reviewDialog) sent(m *shared, msg sentMsg) {
	refusal, answered := d.answered(msg)
	hidden := m.overlay != screen(d)
	switch {
	case refusal != nil:
		d.step, d.problem = filling, refusal.Error()
		if hidden {
			m.showError(refusal)
		}
	case answered && d.step == done && d.receipt.Transfer.State == client.Refused:
		m.remember(d.receipt.Transfer)
		m.showError(errors.New("Refused: " + d.what + "."))
	case answered && d.step == done:
		m.remember(d.receipt.Transfer)
		m.showToast("Done: " + d.what + ".")
	case answered && hidden:
		m.showError(msg.err)
	}
}

// view implements screen; the frame draws dialog over the page instead.
func (d *reviewDialog) view(m *shared, width, height int) string {
	return centered(d.dialog(m, width, height), width, height)
}

func (d *reviewDialog) dialog(m *shared, width, height int) string {
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

// form shows what is asked for. An action that moves money shows its effect in the review only,
// since that depends on the amount.
func (d *reviewDialog) form(m *shared, width int) []string {
	var lines []string
	if d.money == nil {
		lines = append(m.warning(d.effect(""), width), "")
	}
	lines = append(append(lines, m.panel(d.subject, width)...), "")
	if d.asks() {
		label, currency := max(8, draw.TextWidth(d.label)+1), ""
		free := width - label
		if d.money != nil {
			currency = " " + m.Title.Render(draw.Cut(d.money.currency, 4))
			free -= len(d.money.currency) + 1
		}
		hint := d.hint
		if left := d.maxLen - len(d.field.letters); d.missing != "" {
			hint += "; " + count(left, "character", "characters") + " left"
		}
		lines = append(lines, m.Accent.Render(draw.Fit(d.label, label))+d.field.draw(m, max(0, free), true)+currency,
			m.Dim.Render(draw.Fit(strings.Repeat(" ", label)+hint, width)))
	}
	lines = append(lines, m.problemLines(d.problem, width)...)
	if line := d.line(); d.money == nil && line != "" {
		lines = append(append(lines, ""), m.command(line, width)...)
	}
	return lines
}

// problemLines shows what is wrong; nothing if the text is empty.
func (m *shared) problemLines(problem string, width int) (lines []string) {
	if problem == "" {
		return nil
	}
	for i, line := range draw.Wrap(problem, max(4, width-2)) {
		sign := "  "
		if i == 0 {
			sign = m.glyph("✗ ", "! ")
		}
		lines = append(lines, m.Bad.Render(draw.Fit(sign+line, width)))
	}
	return lines
}

func (m *shared) warning(text string, width int) (lines []string) {
	for _, line := range draw.Wrap(text, width) {
		lines = append(lines, m.Warn.Render(draw.Fit(line, width)))
	}
	return lines
}

// facts shows what is done, to what, and the idempotency key.
func (d *reviewDialog) facts(m *shared, width int) []string {
	pairs := slices.Clone(d.subject)
	as := draw.Pair{Name: "as", Value: "@" + m.me.Handle + " on " + m.server.Server() + m.inContext()}
	switch {
	case d.money != nil && d.money.recorded != nil:
		pairs = append(pairs, as, draw.Pair{Name: "key", Value: d.command.Key, Paint: m.Dim.Render, Whole: true})
	case d.money != nil:
		pairs = append(pairs, draw.Pair{Name: strings.ToLower(d.verb), Value: amountOf(d.amount.Minor, d.money.currency), Paint: m.Accent.Render, Whole: true},
			as, draw.Pair{Name: "key", Value: d.command.Key, Paint: m.Dim.Render, Whole: true})
	case d.asks():
		pairs = append(pairs, draw.Pair{Name: strings.ToLower(d.label), Value: strings.TrimSpace(d.field.text()), Paint: m.Accent.Render}, as)
	default:
		pairs = append(pairs, as)
	}
	return m.panel(pairs, width)
}

func (d *reviewDialog) reviewed(m *shared, width int) []string {
	effect := d.action.effect
	if d.money != nil {
		effect = func(string) string { return d.money.effect(d.amount.Minor) }
	}
	lines := append(append(d.facts(m, width), ""), m.warning(effect(strings.TrimSpace(d.field.text())), width)...)
	lines = append(lines, "", m.buttons(d.verb, d.chosen), "")
	if line := d.line(); line != "" {
		lines = append(lines, m.command(line, width)...)
	}
	return lines
}

// buttons draws Cancel and the button that confirms. The chosen one has a mark.
func (m *shared) buttons(verb string, chosen bool) string {
	button := func(label string, focused bool) string {
		if focused {
			return m.Selected.Render(m.glyph("▸", ">") + " " + label + " ")
		}
		return m.Plain.Render("  " + label + " ")
	}
	return button("Cancel (esc)", !chosen) + "  " + button(verb+" (y)", chosen)
}

func (m *shared) panel(pairs []draw.Pair, width int) []string {
	return strings.Split(draw.Panel(pairs, width, m.Dim.Render), "\n")
}

// centered places a block in the middle of a blank screen.
func centered(block string, width, height int) string {
	lines := strings.Split(block, "\n")
	left := strings.Repeat(" ", max(0, (width-draw.Width(lines[0]))/2))
	out := slices.Repeat([]string{""}, max(0, (height-len(lines))/2))
	for _, line := range lines {
		out = append(out, left+line)
	}
	return draw.Block(out, width, height)
}
