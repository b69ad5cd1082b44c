package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/tui/draw"
)

// The widths from which two and three panes fit beside each other.
const (
	twoPanes   = 120
	threePanes = 200
)

func (s *transfersScreen) keys(m *shared) []binding {
	switch {
	case s.field != nil:
		return s.filterKeys()
	case s.reading:
		return s.readingKeys(m)
	}
	moves := func(by func() int) func(*shared) tea.Cmd {
		return func(m *shared) tea.Cmd {
			s.emptyPages, s.paused = 0, true // scrolling on continues the search
			s.move(by())
			return s.fetch(m)
		}
	}
	follow := func(m *shared) tea.Cmd { s.follow(); return s.fetch(m) }
	by := func(n int) func() int { return func() int { return n } }
	allowed, greyed := s.moneyKeysByState(m)
	keys := slices.Concat(allowed, []binding{
		{keys: []string{"j", "down"}, shown: "j/↓", help: "next transfer", run: moves(by(1))},
		{keys: []string{"k", "up"}, shown: "k/↑", help: "previous transfer", run: moves(by(-1))},
		{keys: []string{"/"}, shown: "/", help: "filter", command: "kizo transfers list --state refused --with @bob", run: s.openFilter},
		{keys: []string{"enter"}, shown: "enter", help: "read", command: s.commandFor("kizo explain"), run: func(m *shared) tea.Cmd {
			s.reading, s.paused = s.current() != nil, true
			return s.fetch(m)
		}},
	})
	if s.filter.text != "" {
		keys = append(keys, binding{keys: []string{"c", "esc"}, shown: "c", help: "clear the filter", run: func(m *shared) tea.Cmd { return s.narrow(m, "") }})
	}
	if s.paused {
		keys = append(keys, binding{keys: []string{" "}, shown: "space", help: "follow the newest again", run: follow})
	} else {
		keys = append(keys, binding{keys: []string{" "}, shown: "space", help: "pause the list", run: func(*shared) tea.Cmd { s.paused = true; return nil }})
	}
	keys = append(append(keys, s.actions()...), greyed...)
	keys = append(keys, binding{keys: []string{"f"}, shown: "f", help: "only like this one", command: "kizo transfers list --state " + s.stateOfCurrent(), run: s.onlyLike})
	if len(m.saved) > 0 {
		keys = append(keys, binding{keys: []string{"]"}, shown: "]", help: "next saved filter", run: s.turnSaved(1)},
			binding{keys: []string{"["}, shown: "[", help: "previous saved filter", run: s.turnSaved(-1)})
	}
	return append(keys,
		binding{keys: []string{"ctrl+d", "pgdown"}, shown: "ctrl-d", help: "half a screen down", run: moves(func() int { return max(1, s.visible/2) })},
		binding{keys: []string{"ctrl+u", "pgup"}, shown: "ctrl-u", help: "half a screen up", run: moves(func() int { return -max(1, s.visible/2) })},
		binding{keys: []string{"g", "home"}, shown: "g", help: "newest transfer", run: follow},
		binding{keys: []string{"G", "end"}, shown: "G", help: "oldest that is loaded", run: moves(s.length)},
		binding{keys: []string{"e"}, shown: "e", help: "export the filtered list as CSV", command: "kizo transfers list --all > transfers.tsv", run: func(m *shared) tea.Cmd { return s.export(m, "csv") }},
		binding{keys: []string{"E"}, shown: "E", help: "export the filtered list as JSON lines", command: "kizo transfers list --all --json", run: func(m *shared) tea.Cmd { return s.export(m, "jsonl") }},
	)
}

// actions returns what can be done with the selected transfer, in the list and in its detail.
func (s *transfersScreen) actions() []binding {
	return []binding{
		{keys: []string{"a"}, shown: "a", help: "send the same again", command: "kizo transfer TO AMOUNT", run: s.sendAgain},
		{keys: []string{"y"}, shown: "y", help: "copy the id", command: s.commandFor("kizo transfers show"), run: func(m *shared) tea.Cmd {
			chosen := s.current()
			if chosen == nil {
				return nil
			}
			return m.copy("the id", chosen.Id.String())
		}},
	}
}

func (s *transfersScreen) commandFor(command string) string {
	if chosen := s.current(); chosen != nil {
		return command + " " + chosen.Id.String()
	}
	return command + " ID"
}

func (s *transfersScreen) readingKeys(m *shared) []binding {
	walk := func(by int) func(*shared) tea.Cmd {
		return func(m *shared) tea.Cmd { s.move(by); return s.fetch(m) }
	}
	allowed, greyed := s.moneyKeysByState(m)
	keys := slices.Concat(allowed, []binding{
		{keys: []string{"esc", "enter", "backspace"}, shown: "esc", help: "back to the list", run: func(*shared) tea.Cmd { s.reading = false; return nil }},
		{keys: []string{"n", "l", "right"}, shown: "n", help: "next transfer", run: walk(1)},
		{keys: []string{"p", "h", "left"}, shown: "p", help: "previous transfer", run: walk(-1)},
	})
	return slices.Concat(keys, s.detail.scrollKeys(), s.actions(), greyed)
}

// sendAgain fills the Send screen from a past transfer.
func (s *transfersScreen) sendAgain(m *shared) tea.Cmd {
	t := s.current()
	switch {
	case t == nil:
		return nil
	case t.Kind != client.TransferKindTransfer && t.Kind != client.TransferKindAuthorization || t.Direction != client.Out || t.To.Handle == nil:
		m.showToast("Only transfers that you sent can be sent again.")
		return nil
	}
	minor := t.Amount
	if t.AuthorizedAmount != nil {
		minor = *t.AuthorizedAmount
	}
	amount := money.Amount{Minor: minor, Currency: money.Currency(t.Currency)}
	again := draftMsg{to: "@" + *t.To.Handle, amount: amount.Decimal(), currency: t.Currency, memo: value(t.Memo)}
	return func() tea.Msg { return again }
}

func (s *transfersScreen) view(m *shared, width, height int) string {
	if s.reading && s.current() != nil {
		return s.detail.view(m, s.current(), width, height)
	}
	above := s.above(m, width)
	s.top = len(above) + 1
	rest := height - len(above)
	head := draw.Block(above, width, len(above))
	switch {
	case width >= threePanes:
		list := width * 9 / 20
		facts := (width - list) / 2
		return draw.Stack(head, draw.Beside(s.table(m, list, rest), s.facts(m, facts, rest), s.detail.view(m, s.current(), width-list-facts, rest)))
	case width >= twoPanes:
		list := width * 3 / 5
		return draw.Stack(head, draw.Beside(s.table(m, list, rest), s.detail.view(m, s.current(), width-list, rest)))
	}
	return draw.Stack(head, s.table(m, width, rest))
}

// above draws the filter, and what is wrong with it.
func (s *transfersScreen) above(m *shared, width int) []string {
	const label = " Filter: "
	var lines []string
	if len(m.saved) > 0 {
		lines = append(lines, s.savedTabs(m, width))
	}
	switch {
	case s.field != nil:
		lines = append(lines, m.Title.Render(label)+s.field.draw(m, width-len(label), true), s.hint(m, width))
	case s.filter.text != "":
		lines = append(lines, m.Title.Render(label)+m.Accent.Render(draw.Cut(s.filter.text, max(0, width-len(label)-12)))+m.Dim.Render("  (c clears)"))
	}
	return lines
}

func (s *transfersScreen) stateOfCurrent() string {
	if chosen := s.current(); chosen != nil {
		return string(chosen.State)
	}
	return "STATE"
}

// table draws the list. Rows of a dropped page are blank until it is loaded again.
func (s *transfersScreen) table(m *shared, width, height int) string {
	s.visible = max(1, height-1)
	s.scroll()
	if s.length() == 0 {
		return s.empty(m, width, height)
	}
	t := m.transferTable(width, height)
	t.Total = s.length()
	if !s.ended {
		t.Total++ // the scrollbar shows that there is more
	}
	t.Selected = s.selected - s.offset
	for row := s.offset; row < min(s.length(), s.offset+s.visible); row++ {
		if transfer, known := s.at(row); known {
			t.Rows = append(t.Rows, m.transferRow(transfer))
		} else {
			t.Rows = append(t.Rows, []draw.Cell{{Text: "…"}})
		}
	}
	t.First = s.offset
	s.drawn = t
	return m.noted(t.Draw(), s.position(m), width)
}

// position says whether the list follows the newest transfer, and how many are above the screen.
func (s *transfersScreen) position(m *shared) string {
	up := m.glyph("↑", "^")
	switch {
	case s.newer() > 0:
		return m.Warn.Render(fmt.Sprintf("%d new %s", s.newer(), up)) + m.Dim.Render(" space follows")
	case s.paused:
		return m.Dim.Render("paused, space follows")
	}
	return m.Dim.Render("following " + up)
}

// noted writes a note at the right end of the titles of a table, where it moves nothing.
func (m *shared) noted(table, note string, width int) string {
	titles, rows, _ := strings.Cut(table, "\n")
	free := width - draw.Width(note) - 2
	if free < width/2 {
		return table
	}
	kept := ansi.Truncate(titles, free, "")
	if next := ansi.TruncateLeft(titles, free, ""); !strings.HasPrefix(ansi.Strip(next), " ") { // no part of a title
		words := strings.TrimRight(ansi.Strip(kept), " ")
		whole := draw.Width(strings.TrimRightFunc(words, func(r rune) bool { return r != ' ' }))
		kept = ansi.Truncate(titles, whole, "") + strings.Repeat(" ", free-whole)
	}
	return kept + " " + note + " \n" + rows
}

// empty explains an empty list.
func (s *transfersScreen) empty(m *shared, width, height int) string {
	text := m.Dim.Render("Loading…")
	switch {
	case s.failed != nil:
		text = m.Bad.Render(draw.Cut(m.glyph("✗ ", "! ")+s.failed.Error(), max(0, width-2)))
	case s.emptyPages >= maxEmptyPages:
		text = m.Warn.Render(draw.Cut("No match among the newest transfers. G continues the search, c clears the filter.", max(0, width-2)))
	case s.ended && s.filter.text != "":
		text = "No transfer matches. " + m.Key.Render("c") + " clears the filter, " + m.Key.Render("/") + " changes it."
	case s.ended:
		text = "No transfers yet. Deposit money: " + m.Key.Render("kizo deposit 100")
	case s.filter.text != "":
		text = m.Dim.Render("Searching…")
	}
	return draw.Block([]string{"", "  " + text}, width, height)
}

// facts draws the third pane: sums of the loaded part of the list.
func (s *transfersScreen) facts(m *shared, width, height int) string {
	type sum struct{ in, out int64 }
	sums, states := map[string]sum{}, map[client.TransferState]int{}
	var currencies []string
	held := 0
	for row := range s.length() {
		t, known := s.at(row)
		if !known {
			continue
		}
		held++
		states[t.State]++
		if t.State != client.Posted {
			continue
		}
		total, seen := sums[t.Currency]
		if !seen {
			currencies = append(currencies, t.Currency)
		}
		if t.Direction == client.In {
			total.in += t.Amount
		} else {
			total.out += t.Amount
		}
		sums[t.Currency] = total
	}
	_, rows := draw.Inner(width, height)
	inner, _ := draw.Inner(width, height)
	pairs := []draw.Pair{{Name: "loaded", Value: count(held, "transfer", "transfers")}}
	for _, state := range []client.TransferState{client.Pending, client.Posted, client.Voided, client.Refused} {
		cell := m.state(state)
		pairs = append(pairs, draw.Pair{Name: cell.Text, Value: fmt.Sprint(states[state])})
	}
	for _, currency := range currencies[:min(len(currencies), max(0, rows-len(pairs))/2)] {
		pairs = append(pairs, draw.Pair{Name: "in " + currency, Value: amountOf(sums[currency].in, currency), Paint: m.Good.Render, Whole: true},
			draw.Pair{Name: "out " + currency, Value: amountOf(sums[currency].out, currency), Whole: true})
	}
	return m.box("Loaded transfers", "", strings.TrimRight(draw.Panel(pairs, inner, m.Dim.Render), "\n"), width, height)
}
