package tui

import (
	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// transferTable returns a table for transferRow, without a selection. The currency is in the title
// of the amounts if the user has one, and otherwise in a column.
func (m *shared) transferTable(width, height int) draw.Table {
	amount, currency := "AMOUNT", draw.Column{Title: "CUR"}
	if all := m.currencies(); len(all) == 1 {
		amount, currency = "AMOUNT "+all[0], draw.Column{Sparse: true}
	}
	return draw.Table{
		Columns: []draw.Column{{Title: "WHEN", Drop: 4}, {Title: "STATE"}, {Title: "KIND", Drop: 6}, {Title: amount, Right: true}, currency,
			{Title: "AUTHORIZED", Right: true, Drop: 2, Sparse: true}, {Title: "WITH", Cut: 8, Drop: 3}, {Title: "MEMO", Cut: 6, Drop: 5}},
		Selected: -1, Width: width, Height: height, Detail: m.detail, Titles: m.Dim.Render, Chosen: m.Selected.Render, Bar: m.Border.Render,
	}
}

// transferRow returns time, state, kind, amount with its sign, currency, the authorized amount if
// it differs, the other side, and the memo.
func (m *shared) transferRow(t client.Transfer) []draw.Cell {
	currency := draw.Cell{Text: t.Currency, Paint: m.Dim.Render}
	if all := m.currencies(); len(all) == 1 && all[0] == t.Currency {
		currency.Text = ""
	}
	authorized := draw.Cell{}
	if t.AuthorizedAmount != nil && *t.AuthorizedAmount != t.Amount {
		authorized = draw.Cell{Text: "of " + numberOf(*t.AuthorizedAmount, t.Currency), Paint: m.Dim.Render}
	}
	return m.highlighted(t.Id, []draw.Cell{{Text: when(t.CreatedAt, m.now), Paint: m.Dim.Render}, m.state(t.State), {Text: string(t.Kind)}, m.amountCell(t), currency, authorized,
		{Text: otherName(t)}, {Text: value(t.Memo)}})
}

// amountCell dims what did not move, and marks what came in.
func (m *shared) amountCell(t client.Transfer) draw.Cell {
	amount := draw.Cell{Text: signedNumber(t)}
	switch {
	case t.State == client.Refused || t.State == client.Voided:
		amount.Paint = m.Dim.Render
	case t.State == client.Posted && t.Direction == client.In:
		amount.Paint = m.Good.Render
	}
	return amount
}

// otherName returns the handle of the other side, or the bank.
func otherName(t client.Transfer) string {
	if other := otherSide(t); other.Handle != nil {
		return "@" + *other.Handle
	}
	return "the bank"
}

// state shows a transfer's state as a glyph and a word.
func (m *shared) state(s client.TransferState) draw.Cell {
	switch s {
	case client.Posted:
		return draw.Cell{Text: m.glyph("✓", "+") + " posted"}
	case client.Refused:
		return draw.Cell{Text: m.glyph("✗", "!") + " refused", Paint: m.Bad.Render}
	case client.Voided:
		return draw.Cell{Text: m.glyph("⊘", "-") + " voided", Paint: m.Dim.Render}
	}
	return draw.Cell{Text: m.glyph("◌", "~") + " " + string(s), Paint: m.Warn.Render}
}
