package tui

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// walletScreen shows the balance of each currency, its trend, and the newest transfers, from the
// newest summary.
type walletScreen struct {
	selected, offset int
	listed, wide     int // position and size of the list when it was last drawn
}

func (s *walletScreen) typing() bool { return false }

// update handles a click on a wallet; all data comes from the summary.
func (s *walletScreen) update(m *shared, msg tea.Msg) tea.Cmd {
	click, is := msg.(tea.MouseMsg)
	if row := s.offset + click.Y - 1; is && click.Action == tea.MouseActionPress && click.Button == tea.MouseButtonLeft &&
		click.Y > 0 && click.Y < s.listed && click.X < s.wide && row < len(m.wallets()) {
		s.selected = row
	}
	return nil
}

func (s *walletScreen) keys(m *shared) []binding {
	moves := func(by int) func(*shared) tea.Cmd {
		return func(m *shared) tea.Cmd {
			if m.summary != nil {
				s.selected = max(0, min(s.selected+by, len(m.summary.Wallets)-1))
			}
			return nil
		}
	}
	return []binding{
		{keys: []string{"j", "down"}, shown: "j/↓", help: "next wallet", command: "kizo wallet list", run: moves(1)},
		{keys: []string{"k", "up"}, shown: "k/↑", help: "previous wallet", run: moves(-1)},
		{keys: []string{"g", "home"}, shown: "g", help: "first wallet", run: moves(-1 << 16)},
		{keys: []string{"G", "end"}, shown: "G", help: "last wallet", run: moves(1 << 16)},
		{keys: []string{"enter"}, shown: "enter", help: "show its transfers", command: "kizo transfers list --currency " + s.currency(m), run: func(m *shared) tea.Cmd {
			filter := "currency:" + s.currency(m)
			return func() tea.Msg { return narrowMsg{filter} }
		}},
		{keys: []string{"s"}, shown: "s", help: "send from it", command: "kizo transfer TO AMOUNT " + s.currency(m), run: func(m *shared) tea.Cmd {
			draft := draftMsg{currency: s.currency(m)}
			return func() tea.Msg { return draft }
		}},
	}
}

// currency returns the currency of the selected wallet.
func (s *walletScreen) currency(m *shared) string {
	if wallets := m.wallets(); len(wallets) > 0 {
		return wallets[min(s.selected, len(wallets)-1)].Wallet.Currency
	}
	return "CURRENCY"
}

// view draws the wallets at the top, the trend of the selected one and the newest transfers below
// or beside.
func (s *walletScreen) view(m *shared, width, height int) string {
	if m.summary == nil {
		return draw.Block([]string{"", "  " + m.Dim.Render("Loading…")}, width, height)
	}
	wallets := m.summary.Wallets
	if len(wallets) == 0 {
		return draw.Block([]string{"", "  You have no wallet yet.", "", "  " + m.Key.Render("kizo wallet open CURRENCY")}, width, height)
	}
	s.selected = min(s.selected, len(wallets)-1)
	chosen := wallets[s.selected]
	if width < twoPanes {
		list := min(len(wallets)+1, max(3, height/4))
		detail := s.trend(m, chosen, width, min(9, height-list-4))
		recent := s.moved(m, width, height-list-lineCount(detail))
		return draw.Block(strings.Split(draw.Stack(s.wallets(m, width, list), detail, recent), "\n"), width, height)
	}
	left := width / 2
	if width >= threePanes {
		left = width * 2 / 5
	}
	list := min(len(wallets)+1, max(4, height/3))
	tall := min(height-list, 14)
	panes := []string{draw.Stack(s.wallets(m, left, list), s.trend(m, chosen, left, tall), s.facts(m, chosen, left, height-list-tall))}
	rest := width - left
	if width >= threePanes {
		panes[0] = draw.Stack(s.wallets(m, left, list), s.trend(m, chosen, left, height-list))
		panes = append(panes, s.facts(m, chosen, rest/3, height))
		rest -= rest / 3
	}
	inner, rows := draw.Inner(rest, height)
	panes = append(panes, m.box("Recent transfers", "2 shows all", nil, s.moved(m, inner, rows), rest, height))
	return draw.Beside(panes...)
}

func lineCount(block string) int {
	if block == "" {
		return 0
	}
	return strings.Count(block, "\n") + 1
}

// facts shows the selected wallet in full, including its pending transfers.
func (s *walletScreen) facts(m *shared, w client.WalletSummary, width, height int) string {
	if height < 3 {
		return draw.Block(nil, width, height)
	}
	inner, _ := draw.Inner(width, height)
	c := w.Wallet.Currency
	amount := func(minor *int64) string {
		if minor == nil {
			return "too large to add up"
		}
		return amountOf(*minor, c)
	}
	pending := func(n int) string {
		if n >= 1000 {
			return "1000 or more"
		}
		return count(n, "transfer", "transfers")
	}
	pairs := []draw.Pair{
		{Name: "available", Value: amountOf(w.Wallet.Available, c), Paint: m.Accent.Render, Whole: true},
		{Name: "held", Value: amountOf(w.Wallet.Held, c), Whole: true},
		{Name: "balance", Value: amountOf(w.Wallet.Balance, c), Whole: true},
		{}, {Name: "in this month", Value: amount(w.Month.In), Paint: m.Good.Render, Whole: true},
		{Name: "out this month", Value: amount(w.Month.Out), Whole: true},
		{Name: "movements", Value: fmt.Sprint(w.Month.Count)},
		{}, {Name: "pending in", Value: pending(m.summary.Pending.In)},
		{Name: "pending out", Value: pending(m.summary.Pending.Out)},
		{}, {Name: "wallet id", Value: w.Wallet.Id.String(), Whole: true},
	}
	return m.box(c, m.sign(w.Wallet.Status == client.Active, "active", "frozen").Value, nil, draw.Panel(pairs, inner, m.Dim.Render), width, height)
}

func (s *walletScreen) wallets(m *shared, width, height int) string {
	t := draw.Table{
		Columns: []draw.Column{{Title: "WALLET"}, {Title: "AVAILABLE", Right: true}, {Title: "HELD", Right: true, Drop: 2}, {Title: "BALANCE", Right: true, Drop: 1},
			{Title: "IN THIS MONTH", Right: true, Drop: 4}, {Title: "OUT THIS MONTH", Right: true, Drop: 3}, {Title: "STATE", Drop: 5}},
		Selected: s.selected, Width: width, Height: height, Detail: m.detail, Titles: m.Dim.Render, Chosen: m.Selected.Render, Bar: m.Border.Render,
	}
	for _, w := range m.summary.Wallets {
		amount := func(minor *int64) string {
			if minor == nil {
				return "–"
			}
			return amountOf(*minor, w.Wallet.Currency)
		}
		state := m.sign(w.Wallet.Status == client.Active, "active", "frozen")
		t.Rows = append(t.Rows, []draw.Cell{{Text: w.Wallet.Currency, Paint: m.Title.Render}, {Text: amount(&w.Wallet.Available), Paint: m.Accent.Render},
			{Text: amount(&w.Wallet.Held)}, {Text: amount(&w.Wallet.Balance)}, {Text: amount(w.Month.In)}, {Text: amount(w.Month.Out)},
			{Text: state.Value, Paint: state.Paint}})
	}
	s.offset = draw.ScrollTo(s.selected, s.offset, len(t.Rows), height)
	t.Offset, s.listed, s.wide = s.offset, height, width
	return t.Draw()
}

// trend shows the balance of the selected wallet over the last days.
func (s *walletScreen) trend(m *shared, w client.WalletSummary, width, height int) string {
	if height < 3 {
		return ""
	}
	values := make([]float64, len(w.Trend))
	for i, day := range w.Trend {
		values[i] = float64(day.Balance)
	}
	inner, rows := draw.Inner(width, height)
	chart := draw.Chart{Values: values, Width: inner, Height: rows, FromZero: true, Stretch: true, Detail: m.detail}
	title := fmt.Sprintf("%s, the last %d days", w.Wallet.Currency, len(w.Trend))
	return m.box(title, amountOf(w.Wallet.Balance, w.Wallet.Currency), m.Good.Render, chart.Draw(), width, height)
}

func (s *walletScreen) moved(m *shared, width, height int) string {
	if height < 2 {
		return ""
	}
	if len(m.recent) == 0 {
		return draw.Block([]string{"", "  No transfers yet.", "", "  " + m.Key.Render("kizo deposit 100")}, width, height)
	}
	t := m.transferTable(width, height)
	for _, transfer := range m.recent[:min(len(m.recent), max(0, height-1))] {
		t.Rows = append(t.Rows, m.transferRow(transfer))
	}
	return t.Draw()
}

// transferTable returns a table for transferRow, without a selection.
func (m *shared) transferTable(width, height int) draw.Table {
	return draw.Table{
		Columns: []draw.Column{{Title: "WHEN", Drop: 4}, {Title: "STATE"}, {Title: "KIND", Drop: 6}, {Title: "AMOUNT", Right: true},
			{Title: "AUTHORIZED", Right: true, Drop: 2, Sparse: true}, {Title: "WITH", Cut: 8, Drop: 3}, {Title: "MEMO", Cut: 6, Drop: 5}},
		Selected: -1, Width: width, Height: height, Detail: m.detail, Titles: m.Dim.Render, Chosen: m.Selected.Render, Bar: m.Border.Render,
	}
}

// transferRow returns time, state, kind, amount with its sign, the authorized amount if it differs,
// the other side, and the memo.
func (m *shared) transferRow(t client.Transfer) []draw.Cell {
	other := otherSide(t)
	who := "the bank"
	if other.Handle != nil {
		who = "@" + *other.Handle
	}
	amount := draw.Cell{Text: signed(t)}
	if t.State == client.Posted && t.Direction == client.In {
		amount.Paint = m.Good.Render
	}
	when := age(m.now.Sub(t.CreatedAt)) + " ago"
	authorized := draw.Cell{}
	if t.AuthorizedAmount != nil && *t.AuthorizedAmount != t.Amount {
		authorized = draw.Cell{Text: "of " + amountOf(*t.AuthorizedAmount, t.Currency), Paint: m.Dim.Render}
	}
	return []draw.Cell{{Text: when, Paint: m.Dim.Render}, m.state(t.State), {Text: string(t.Kind)}, amount, authorized, {Text: who}, {Text: value(t.Memo)}}
}

// state shows a transfer's state as a glyph and a word.
func (m *shared) state(s client.TransferState) draw.Cell {
	switch s {
	case client.Posted:
		return draw.Cell{Text: m.glyph("✓", "+") + " posted", Paint: m.Good.Render}
	case client.Refused:
		return draw.Cell{Text: m.glyph("✗", "!") + " refused", Paint: m.Bad.Render}
	case client.Voided:
		return draw.Cell{Text: m.glyph("⊘", "-") + " voided", Paint: m.Dim.Render}
	}
	return draw.Cell{Text: m.glyph("◌", "~") + " " + string(s), Paint: m.Warn.Render}
}
