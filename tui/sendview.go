package tui

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/tui/draw"
)

func (s *sendScreen) keys(m *shared) []binding {
	back := func(*shared) tea.Cmd { s.step = filling; return nil }
	copyKey := s.copyKey()
	switch s.step {
	case filling:
		if !s.entered {
			return s.pageKeys(m)
		}
		return s.formKeys(m)
	case previewing:
		return []binding{{keys: []string{"esc"}, shown: "esc", help: "back to the form", run: back}}
	case reviewing:
		return []binding{
			{keys: []string{"y", "Y"}, shown: "y", help: "send it", command: s.commandLine(), run: s.send},
			{keys: []string{"esc", "n", "N"}, shown: "esc", help: "cancel and go back to the form", run: back},
			{keys: []string{"left", "right", "h", "l"}, shown: "←/→", help: "choose", run: func(*shared) tea.Cmd { s.chosen = !s.chosen; return nil }},
			{keys: []string{"enter"}, shown: "enter", help: "press the button", run: func(m *shared) tea.Cmd {
				if s.chosen {
					return s.send(m)
				}
				s.step = filling
				return nil
			}},
			copyKey,
		}
	case unknown:
		return []binding{
			s.retryKey(), copyKey,
		}
	case proving:
		return s.codeKeys()
	case done:
		again := func(m *shared) tea.Cmd { s.entered = false; return s.clear(m) }
		return []binding{
			{keys: []string{"enter", "esc"}, shown: "enter", help: "new transfer", run: again},
			{keys: []string{"y"}, shown: "y", help: "copy the id", command: "kizo transfers show " + s.receipt.Transfer.Id.String(), run: func(m *shared) tea.Cmd {
				return m.copy("the id", s.receipt.Transfer.Id.String())
			}},
		}
	}
	return []binding{copyKey}
}

// pageKeys returns the bindings before the form is entered.
func (s *sendScreen) pageKeys(m *shared) []binding {
	return []binding{
		{keys: []string{"enter", "i"}, shown: "enter", help: "fill in the form", command: "kizo transfer TO AMOUNT", run: s.enter},
		{keys: []string{"ctrl+s"}, shown: "ctrl-s", help: "review", run: s.review},
		{keys: []string{"down", "j"}, shown: "↓", help: "next field", run: s.focusBy(1)},
		{keys: []string{"up", "k"}, shown: "↑", help: "previous field", run: s.focusBy(-1)},
		{keys: []string{"ctrl+t"}, shown: "ctrl-t", help: "next currency", run: s.turnCurrency},
		s.clearKey("ctrl+x", "n"),
		payeesKey(), m.unfinishedKey(),
		{keys: []string{"esc"}, shown: "esc", help: "back to the wallet", run: func(*shared) tea.Cmd { return func() tea.Msg { return showMsg{"Wallet"} } }},
	}
}

// clearKey is the binding that clears the form.
func (s *sendScreen) clearKey(keys ...string) binding {
	b := binding{keys: keys, shown: "ctrl-x", help: "clear", run: s.clear}
	if !s.draft() {
		b.off = "the form is empty"
	}
	return b.greyed()
}

func (s *sendScreen) focusBy(by int) func(*shared) tea.Cmd {
	return func(*shared) tea.Cmd { s.focus = (s.focus + by + sendFields) % sendFields; return nil }
}

// turnCurrency selects the next of the user's currencies.
func (s *sendScreen) turnCurrency(m *shared) tea.Cmd {
	if n := len(m.currencies()); n > 0 {
		s.currency = (s.wallet(m) + 1) % n
		return s.recheck(m)
	}
	return nil
}

func (s *sendScreen) formKeys(m *shared) []binding {
	focus := s.focusBy
	completing := s.completing(m)
	choose := func(by int) func(*shared) tea.Cmd {
		return func(m *shared) tea.Cmd {
			if completing {
				s.person = max(0, min(s.person+by, len(s.suggested(m))-1))
				return nil
			}
			return focus(by)(m)
		}
	}
	next := binding{keys: []string{"tab"}, shown: "tab", help: "next field", run: focus(1)}
	enter := binding{keys: []string{"enter"}, shown: "enter", help: "review", command: s.commandLine() + " --dry-run", run: s.review}
	take := func(m *shared) tea.Cmd { s.complete(m); return focus(1)(m) }
	switch {
	case completing:
		enter.help, enter.command, enter.run = "take this person", "", take
		if s.fields[payeeField].text() != "" { // tab leaves an empty field as it is
			next.help, next.run = "take this person", take
		}
	case s.focus != memoField:
		enter.help, enter.command, enter.run = "next field", "", focus(1)
	}
	keys := []binding{
		enter,
		{keys: []string{"esc"}, shown: "esc", help: "leave the form", run: func(*shared) tea.Cmd { s.leave(); return nil }},
		s.clearKey("ctrl+x"),
		next,
		{keys: []string{"ctrl+s"}, shown: "ctrl-s", help: "review", run: s.review},
		{keys: []string{"ctrl+t"}, shown: "ctrl-t", help: "next currency", run: s.turnCurrency},
		{keys: []string{"shift+tab"}, shown: "shift-tab", help: "previous field", run: focus(-1)},
		{keys: []string{"down", "ctrl+n"}, shown: "↓", help: "next", run: choose(1)},
		{keys: []string{"up", "ctrl+p"}, shown: "↑", help: "before", run: choose(-1)},
	}
	return append(keys, s.fields[s.focus].keys(s.changed)...)
}

// recheck checks the amount in another currency.
func (s *sendScreen) recheck(m *shared) tea.Cmd {
	s.problems[amountField] = ""
	if s.fields[amountField].text() != "" {
		s.problems[amountField] = errorText(s.amount(m))
	}
	return nil
}

// commandLine returns the equivalent command.
func (s *sendScreen) commandLine() string {
	if s.step == filling || s.body.To == "" {
		return "kizo transfer TO AMOUNT"
	}
	line := "kizo transfer " + s.body.To + " " + strings.TrimSuffix(strings.TrimPrefix(s.what, "transfer "), " to "+s.body.To)
	if s.body.Memo != nil {
		line += " -m '" + strings.ReplaceAll(*s.body.Memo, "'", `'\''`) + "'"
	}
	return line
}

func (s *sendScreen) view(m *shared, width, height int) string {
	wide := min(width, 90)
	if width >= twoPanes {
		wide = max(64, width*2/5)
	}
	inner, _ := draw.Inner(wide, 2)
	var title string
	var body []string
	switch s.step {
	case filling, previewing:
		title, body = "Send money", s.form(m, inner)
	case reviewing:
		title, body = "Send this?", s.reviewed(m, inner)
	case sending:
		title, body = "Sending", s.sendingLines(m, inner, s.facts(m, inner))
	case unknown:
		title, body = "Outcome unknown", s.doubtfulLines(m, inner, s.facts(m, inner))
	case proving:
		title, body = "Code needed", s.codeLines(m, inner, s.facts(m, inner))
	case done:
		title, body = "Sent", s.receiptLines(m, inner)
	}
	if m.readonly != "" {
		body = append([]string{m.Warn.Render(draw.Fit(m.glyph("▲ ", "! ")+"Read-only: "+m.readonly+".", inner)), ""}, body...)
	}
	box := m.box(title, "", strings.Join(body, "\n"), wide, min(height, len(body)+2))
	if width < twoPanes {
		return draw.Block(strings.Split(box, "\n"), width, height)
	}
	panes := []string{draw.Block(strings.Split(box, "\n"), wide, height)}
	rest := width - wide
	if width >= threePanes {
		panes = append(panes, s.walletPane(m, rest/2, height))
		rest -= rest / 2
	}
	return draw.Beside(append(panes, s.recentPane(m, rest, height))...)
}

// walletPane shows the wallet to send from.
func (s *sendScreen) walletPane(m *shared, width, height int) string {
	inner, rows := draw.Inner(width, height)
	var pairs []draw.Pair
	for _, w := range m.wallets() {
		if len(pairs)+1 < rows {
			pairs = append(pairs, draw.Pair{Name: w.Wallet.Currency, Value: amountOf(w.Wallet.Available, w.Wallet.Currency), Paint: m.Accent.Render, Whole: true})
		}
	}
	return m.box("Available", "", draw.Panel(pairs, inner, m.Dim.Render), width, height)
}

// recentPane shows the newest transfers.
func (s *sendScreen) recentPane(m *shared, width, height int) string {
	inner, rows := draw.Inner(width, height)
	t := m.transferTable(inner, rows)
	for _, transfer := range m.recent[:min(len(m.recent), max(0, rows-1))] {
		t.Rows = append(t.Rows, m.transferRow(transfer))
	}
	return m.box("Recent transfers", "", t.Draw(), width, height)
}

func (s *sendScreen) form(m *shared, width int) []string {
	labels := [sendFields]string{"To", "Amount", "Memo"}
	hints := [sendFields]string{"@handle, e-mail address or wallet id", "in " + s.in(m) + ", or all", "a note that both of you see; optional"}
	if len(m.currencies()) > 1 {
		hints[amountField] += "; ctrl-t for another currency"
	}
	const label = 9
	var lines []string
	for i, field := range s.fields {
		focused := i == s.focus && s.typing()
		name := m.Dim.Render(draw.Fit("  "+labels[i], label))
		if i == s.focus && s.step == filling {
			name = m.Accent.Render(draw.Fit(m.glyph("▸ ", "> ")+labels[i], label))
		}
		free := width - label
		value := field.draw(m, free, focused)
		if i == amountField {
			currency := s.in(m)
			value = field.draw(m, max(0, free-len(currency)-1), focused) + " " + m.Title.Render(draw.Cut(currency, 4))
		}
		lines = append(lines, name+value)
		under := m.Dim.Render(draw.Fit(strings.Repeat(" ", label)+hints[i], width))
		if s.problems[i] != "" {
			under = m.Bad.Render(draw.Fit(strings.Repeat(" ", label)+m.glyph("✗ ", "! ")+s.problems[i], width))
		}
		lines = append(lines, under)
		if i == payeeField && s.completing(m) {
			lines = append(lines, s.completions(m, width, label)...)
		}
	}
	lines = append(lines, s.afterwards(m, width)...)
	if s.problem != "" {
		lines = append(append(lines, ""), m.problemLines(s.problem, width)...)
	}
	if s.step == previewing {
		lines = append(lines, "", m.Dim.Render(draw.Fit("Loading the preview…", width)))
	}
	return lines
}

// facts shows what is sent to whom, and the idempotency key.
func (s *sendScreen) facts(m *shared, width int) []string {
	p := s.preview
	pairs := []draw.Pair{
		{Name: "to", Value: partyName(p.To), Paint: m.Title.Render},
		{Name: "amount", Value: amountOf(p.Amount, p.Currency), Paint: m.Accent.Render, Whole: true},
		{Name: "fee", Value: amountOf(p.Fee, p.Currency), Whole: true},
		{Name: "memo", Value: value(s.body.Memo)},
		{Name: "from", Value: "@" + m.me.Handle + " on " + m.server.Server() + m.inContext()},
		{Name: "key", Value: s.command.Key, Paint: m.Dim.Render, Whole: true},
	}
	return strings.Split(draw.Panel(pairs, width, m.Dim.Render), "\n")
}

func (s *sendScreen) reviewed(m *shared, width int) []string {
	p := s.preview
	after := []draw.Pair{
		{Name: "available after", Value: amountOf(p.AvailableAfter, p.Currency), Whole: true},
		{Name: "balance after", Value: amountOf(p.BalanceAfter, p.Currency), Whole: true},
	}
	lines := append(s.facts(m, width), "")
	lines = append(lines, strings.Split(draw.Panel(after, width, m.Dim.Render), "\n")...)
	return append(append(lines, "", m.buttons("Send", s.chosen), ""), m.command(s.commandLine(), width)...)
}

// command shows a whole command line.
func (p pen) command(line string, width int) []string {
	lines := draw.Wrap("$ "+line, width)
	for i := range lines {
		lines[i] = p.Dim.Render(draw.Fit(lines[i], width))
	}
	return lines
}
