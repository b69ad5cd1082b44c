package tui

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// walletScreen shows what there is in each currency, how that went, and the newest transfers, all as the server said it last.
type walletScreen struct{ selected int }

func (s *walletScreen) typing() bool                    { return false }
func (s *walletScreen) update(*shared, tea.Msg) tea.Cmd { return nil }

func (s *walletScreen) keys(*shared) []binding {
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
		{keys: []string{"k", "up"}, shown: "k/↑", help: "wallet before", run: moves(-1)},
		{keys: []string{"g", "home"}, shown: "g", help: "first wallet", run: moves(-1 << 16)},
		{keys: []string{"G", "end"}, shown: "G", help: "last wallet", run: moves(1 << 16)},
	}
}

func (s *walletScreen) view(m *shared, width, height int) string {
	if m.summary == nil {
		return draw.Block([]string{"", "  " + m.Dim.Render("Waiting for the server…")}, width, height)
	}
	wallets := m.summary.Wallets
	if len(wallets) == 0 {
		return draw.Block([]string{"", "  You have no wallet yet.", "", "  " + m.Key.Render("kizo wallet open CURRENCY")}, width, height)
	}
	s.selected = min(s.selected, len(wallets)-1)
	list := min(len(wallets)+1, max(3, height/4))
	table := s.wallets(m, width, list)
	detail := s.detail(m, wallets[s.selected], width, min(9, height-list-4))
	recent := s.recent(m, width, height-list-strings.Count(detail, "\n")-1)
	return draw.Block(strings.Split(draw.Stack(table, detail, recent), "\n"), width, height)
}

func (s *walletScreen) wallets(m *shared, width, height int) string {
	t := draw.Table{
		Columns: []draw.Column{{Title: "WALLET"}, {Title: "AVAILABLE", Right: true}, {Title: "HELD", Right: true}, {Title: "BALANCE", Right: true},
			{Title: "IN THIS MONTH", Right: true, Drop: 2}, {Title: "OUT THIS MONTH", Right: true, Drop: 1}, {Title: "STATE", Drop: 3}},
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
	t.Offset = draw.ScrollTo(s.selected, 0, len(t.Rows), height)
	return t.Draw()
}

// detail is the chosen wallet's last days.
func (s *walletScreen) detail(m *shared, w client.WalletSummary, width, height int) string {
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

func (s *walletScreen) recent(m *shared, width, height int) string {
	if height < 2 {
		return ""
	}
	if len(m.summary.Recent) == 0 {
		return draw.Block([]string{"", "  Nothing has moved yet.", "", "  " + m.Key.Render("kizo deposit 100")}, width, height)
	}
	t := draw.Table{
		Columns: []draw.Column{{Title: "WHEN", Drop: 3}, {Title: "STATE"}, {Title: "KIND", Drop: 4}, {Title: "AMOUNT", Right: true},
			{Title: "WITH", Cut: 8, Drop: 2}, {Title: "MEMO", Cut: 6, Drop: 5}},
		Selected: -1, Width: width, Height: height, Detail: m.detail, Titles: m.Dim.Render, Bar: m.Border.Render,
	}
	for _, transfer := range m.summary.Recent {
		t.Rows = append(t.Rows, m.transferRow(transfer))
	}
	return t.Draw()
}

// transferRow is when, state, kind, amount with its sign, the other side, memo.
func (m *shared) transferRow(t client.Transfer) []draw.Cell {
	other, sign := t.From, "+"
	if t.Direction == client.Out {
		other, sign = t.To, "-"
	}
	who := "the bank"
	if other.Handle != nil {
		who = "@" + *other.Handle
	}
	amount := draw.Cell{Text: sign + amountOf(t.Amount, t.Currency)}
	if t.State == client.Posted && t.Direction == client.In {
		amount.Paint = m.Good.Render
	}
	when := age(m.now.Sub(t.CreatedAt)) + " ago"
	return []draw.Cell{{Text: when, Paint: m.Dim.Render}, m.state(t.State), {Text: string(t.Kind)}, amount, {Text: who}, {Text: value(t.Memo)}}
}

// state is a transfer's state as glyph and word.
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
