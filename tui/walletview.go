package tui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// view draws the selected wallet, the list of wallets, its balance over time, what is pending,
// payees, and the newest transfers. A wider screen shows more of them.
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
	data := s.data
	if data.currency != chosen.Wallet.Currency { // not loaded yet
		data = walletData{currency: chosen.Wallet.Currency}
	}
	switch {
	case width >= threePanes:
		left, middle := width*2/5, width/4
		return draw.Beside(s.main(m, chosen, data, left, height, []string{s.pending(m, data, left, min(max(len(data.pending), 3)+3, height/4))}),
			s.more(m, chosen, data, middle, height), s.recent(m, width-left-middle, height))
	case width >= twoPanes:
		left := width / 2
		payees := 0
		if n := len(data.payees()); n > 0 {
			payees = min(n+3, 10, height/4)
		}
		return draw.Beside(s.main(m, chosen, data, left, height, []string{s.pending(m, data, left, min(len(data.pending)+3, 9)), s.month(m, chosen, left)}),
			draw.Stack(s.recent(m, width-left, height-payees), s.payees(m, data, width-left, payees)))
	}
	above := []string{s.available(m, chosen, data, width), s.list(m, width, min(len(wallets)+1, max(3, height/4)))}
	left := height - lineCount(draw.Stack(above...))
	if left >= 10 {
		tall := max(6, min(9, left/2))
		above = append(above, s.trend(m, chosen, data, width, tall))
		left -= tall
	}
	return draw.Block(strings.Split(draw.Stack(append(above, s.moved(m, width, left))...), "\n"), width, height)
}

// main draws the first column: the selected wallet, the list, the balance over time in the height
// that is left, and what is to be below.
func (s *walletScreen) main(m *shared, w client.WalletSummary, data walletData, width, height int, below []string) string {
	above := draw.Stack(s.available(m, w, data, width), s.list(m, width, min(len(m.summary.Wallets)+1, max(4, height/3))))
	tall := height - lineCount(above) - lineCount(draw.Stack(below...))
	for tall < 6 && len(below) > 0 {
		tall += lineCount(below[len(below)-1])
		below = below[:len(below)-1]
	}
	return draw.Block(strings.Split(draw.Stack(append([]string{above, s.trend(m, w, data, width, tall)}, below...)...), "\n"), width, height)
}

// more draws the column of the month, the days and the payees.
func (s *walletScreen) more(m *shared, w client.WalletSummary, data walletData, width, height int) string {
	month, details := s.month(m, w, width), s.details(m, w, width)
	left := height - lineCount(draw.Stack(month, details))
	days := min(len(w.Trend)+3, left)
	payees := max(4, min(len(data.payees())+3, left-days))
	if left-days < payees {
		payees = 0
	}
	column := draw.Stack(month, s.days(m, w, width, days), s.payees(m, data, width, payees), details)
	if left := height - lineCount(column); left >= stripLines { // what is left shows what happens
		column = draw.Stack(column, m.activityBox(width, left, 0))
	}
	return draw.Block(strings.Split(column, "\n"), width, height)
}

// days shows the balance at the end of each day, the newest first.
func (s *walletScreen) days(m *shared, w client.WalletSummary, width, height int) string {
	if height < 4 {
		return ""
	}
	inner, rows := draw.Inner(width, height)
	t := draw.Table{
		Columns:  []draw.Column{{Title: "DAY"}, {Title: "CHANGE", Right: true, Drop: 1}, {Title: "BALANCE", Right: true}},
		Selected: -1, Width: inner, Height: rows, Detail: m.detail, Titles: m.Dim.Render, Bar: m.Border.Render,
	}
	for i, day := range slices.Backward(w.Trend) {
		balance, name := day.Balance, day.Day.Format("Mon Jan 02")
		if i == len(w.Trend)-1 {
			balance, name = w.Wallet.Balance, "today"
		}
		moved := draw.Cell{Text: "–", Paint: m.Dim.Render}
		if i > 0 && balance != w.Trend[i-1].Balance {
			moved = draw.Cell{Text: change(balance-w.Trend[i-1].Balance, w.Wallet.Currency)}
			if balance > w.Trend[i-1].Balance {
				moved.Paint = m.Good.Render
			}
		}
		t.Rows = append(t.Rows, []draw.Cell{{Text: name, Paint: m.Dim.Render}, moved, {Text: numberOf(balance, w.Wallet.Currency)}})
	}
	return m.box("Days "+w.Wallet.Currency, "UTC", t.Draw(), width, height)
}

func lineCount(block string) int {
	if block == "" {
		return 0
	}
	return strings.Count(block, "\n") + 1
}

// availableHeight is the height of the box of the selected wallet: large digits and one more line.
const availableHeight = 6

// available shows what can be spent as large as it fits, and how the balance changed.
func (s *walletScreen) available(m *shared, w client.WalletSummary, data walletData, width int) string {
	inner, _ := draw.Inner(width, availableHeight)
	c := w.Wallet.Currency
	changes := s.changes(m, w, data)
	right := 0
	for _, line := range changes {
		right = max(right, draw.Width(line))
	}
	right = min(right, inner/2)
	left := inner - right - 2
	digits := draw.Digits(numberOf(w.Wallet.Available, c), left, m.detail)
	held := "nothing is held"
	if w.Wallet.Held != 0 {
		held = numberOf(w.Wallet.Held, c) + " is held"
		if all := held + " of a balance of " + numberOf(w.Wallet.Balance, c); draw.TextWidth(all) <= inner {
			held = all
		}
	}
	if m.width < twoPanes {
		held = s.withPending(m, data, held, inner)
	}
	lines := make([]string, 0, len(digits))
	for _, line := range digits {
		lines = append(lines, m.Accent.Render(line))
	}
	body := draw.Stack(draw.Beside(draw.Block(lines, left+2, len(changes)), draw.Block(changes, right, len(changes))), m.Dim.Render(draw.Fit(held, inner)))
	state := m.sign(w.Wallet.Status == client.Active, "active", "frozen")
	return m.box("Available "+c, state.Value, body, width, availableHeight)
}

// withPending adds to a line how many transfers are pending, and what the newest of them waits for
// if that fits whole. A wide screen has a box for them.
func (s *walletScreen) withPending(m *shared, data walletData, line string, width int) string {
	n := m.summary.Pending.In + m.summary.Pending.Out
	if n == 0 {
		return line
	}
	short := fmt.Sprintf("%s · %d pending", line, n)
	if len(data.pending) > 0 {
		t := data.pending[0]
		if long := short + ": " + signedNumber(t) + " " + t.Currency + ", " + waitsFor(t, m.now); draw.TextWidth(long) <= width {
			return long
		}
	}
	return short
}

// changes returns lines with the changes of the balance, today and in the last 7 and 30 days. Days
// are those of UTC, as in the summary.
func (s *walletScreen) changes(m *shared, w client.WalletSummary, data walletData) []string {
	c, widest := w.Wallet.Currency, 0
	type row struct{ name, text string }
	rows := []row{{name: "today"}, {name: "7 days"}, {name: "30 days"}}
	for i, days := range []int{1, 7} {
		if at := len(w.Trend) - 1 - days; at >= 0 {
			rows[i].text = change(w.Wallet.Balance-w.Trend[at].Balance, c)
		}
	}
	if !data.at.IsZero() {
		rows[2].text = change(w.Wallet.Balance-data.monthAgo, c)
	}
	for i := range rows {
		if rows[i].text == "" {
			rows[i].text = "–"
		}
		widest = max(widest, draw.TextWidth(rows[i].text))
	}
	var lines []string
	for _, r := range rows {
		paint := m.Plain.Render
		switch r.text[0] {
		case '+':
			paint = m.Good.Render
		case '0':
			paint = m.Dim.Render
		}
		lines = append(lines, m.Dim.Render(draw.Fit(r.name, 9))+paint(draw.FitRight(r.text, widest)))
	}
	return lines
}

// list draws the wallets of all currencies.
func (s *walletScreen) list(m *shared, width, height int) string {
	t := draw.Table{
		Columns: []draw.Column{{Title: "WALLET"}, {Title: "AVAILABLE", Right: true}, {Title: "HELD", Right: true, Drop: 2}, {Title: "BALANCE", Right: true, Drop: 1},
			{Title: "IN THIS MONTH", Right: true, Drop: 4}, {Title: "OUT THIS MONTH", Right: true, Drop: 3}, {Title: "STATE", Drop: 5}},
		Selected: s.selected, Width: width, Height: height, Detail: m.detail, Titles: m.Dim.Render, Chosen: m.Selected.Render, Bar: m.Border.Render,
	}
	for _, w := range m.summary.Wallets {
		c := w.Wallet.Currency
		amount := func(minor *int64) draw.Cell {
			switch {
			case minor == nil:
				return draw.Cell{Text: "–"}
			case *minor == 0:
				return draw.Cell{Text: numberOf(0, c), Paint: m.Dim.Render}
			}
			return draw.Cell{Text: numberOf(*minor, c)}
		}
		state := m.sign(w.Wallet.Status == client.Active, "active", "frozen")
		available := amount(&w.Wallet.Available)
		available.Paint = m.Accent.Render
		t.Rows = append(t.Rows, []draw.Cell{{Text: c, Paint: m.Title.Render}, available, amount(&w.Wallet.Held), amount(&w.Wallet.Balance),
			amount(w.Month.In), amount(w.Month.Out), {Text: state.Value, Paint: state.Paint}})
	}
	s.offset = draw.ScrollTo(s.selected, s.offset, len(t.Rows), height)
	t.Offset, s.top, s.listed, s.wide = s.offset, availableHeight, height, width
	return t.Draw()
}

// trend shows the balance of the selected wallet as steps over its movements.
func (s *walletScreen) trend(m *shared, w client.WalletSummary, data walletData, width, height int) string {
	if height < 3 {
		return ""
	}
	inner, rows := draw.Inner(width, height)
	c := w.Wallet.Currency
	span, ago := spanOf(w, data, m.now)
	parts := 2 * inner
	chart := draw.Plot{
		Area: balances(w, data, m.now, span, parts), Newest: int64(parts) - 1, Span: parts, Width: inner, Height: rows, Above: true,
		Format: func(v float64) string { return numberOf(int64(v), c) }, Ago: ago, Detail: m.detail, AreaPaint: m.Good.Render, Scale: m.Dim.Render,
	}
	return m.box("Balance "+c+", last "+ago, numberOf(w.Wallet.Balance, c), chart.Draw(), width, height)
}

// month compares what came in this month with what went out.
func (s *walletScreen) month(m *shared, w client.WalletSummary, width int) string {
	const height = 4
	inner, _ := draw.Inner(width, height)
	c := w.Wallet.Currency
	lines := []string{m.Dim.Render("too much to add up")}
	if w.Month.In != nil && w.Month.Out != nil {
		in, out := numberOf(*w.Month.In, c), numberOf(*w.Month.Out, c)
		widest := max(draw.TextWidth(in), draw.TextWidth(out))
		bar := max(0, inner-widest-6)
		most := max(*w.Month.In, *w.Month.Out)
		lines = []string{
			m.Dim.Render("in  ") + m.Good.Render(draw.FitRight(in, widest)+"  "+draw.Bar(*w.Month.In, most, bar, m.detail)),
			m.Dim.Render("out ") + draw.FitRight(out, widest) + "  " + m.Accent.UnsetBold().Render(draw.Bar(*w.Month.Out, most, bar, m.detail)),
		}
	}
	return m.box("This month "+c, count(int(w.Month.Count), "movement", "movements"), strings.Join(lines, "\n"), width, height)
}

// pending shows the transfers that are pending, and what each waits for.
func (s *walletScreen) pending(m *shared, data walletData, width, height int) string {
	inner, rows := draw.Inner(width, height)
	p := m.summary.Pending
	total := fmt.Sprintf("%s to you, %s from you", atMost(p.In), atMost(p.Out))
	if p.In+p.Out == 0 {
		return m.box("Pending", "", m.Dim.Render("nothing"), width, 3)
	}
	t := draw.Table{
		Columns:  []draw.Column{{Title: "SINCE", Drop: 2}, {Title: "AMOUNT", Right: true}, {Title: "CUR", Drop: 1}, {Title: "WAITS", Cut: 10}},
		Selected: -1, Width: inner, Height: rows, Detail: m.detail, Titles: m.Dim.Render, Bar: m.Border.Render,
	}
	for _, transfer := range data.pending {
		t.Rows = append(t.Rows, []draw.Cell{{Text: when(transfer.CreatedAt, m.now), Paint: m.Dim.Render}, {Text: signedNumber(transfer), Paint: m.Warn.Render},
			{Text: transfer.Currency, Paint: m.Dim.Render}, {Text: waitsFor(transfer, m.now)}})
	}
	return m.box("Pending", total, t.Draw(), width, height)
}

// atMost writes a count of the summary, which ends at 1000.
func atMost(n int) string {
	if n >= 1000 {
		return "1000 or more"
	}
	return fmt.Sprint(n)
}

// payees shows to whom the selected wallet paid.
func (s *walletScreen) payees(m *shared, data walletData, width, height int) string {
	if height < 4 {
		return ""
	}
	inner, rows := draw.Inner(width, height)
	known, note := data.payees(), "all movements"
	if !data.all {
		note = "of the last " + count(len(data.moves), "movement", "movements")
	}
	if len(known) == 0 {
		return m.box("Payees "+data.currency, "", m.Dim.Render("none yet"), width, height)
	}
	t := draw.Table{
		Columns:  []draw.Column{{Title: "PAYEE", Cut: 8}, {Title: "NAME", Cut: 6, Drop: 3}, {Title: "TIMES", Right: true, Drop: 2}, {Title: "TOTAL", Right: true}, {Title: "LAST", Drop: 1}},
		Selected: -1, Width: inner, Height: rows, Detail: m.detail, Titles: m.Dim.Render, Bar: m.Border.Render,
	}
	for _, p := range known {
		t.Rows = append(t.Rows, []draw.Cell{{Text: "@" + *p.party.Handle}, {Text: value(p.party.Name), Paint: m.Dim.Render}, {Text: fmt.Sprint(p.times)},
			{Text: numberOf(p.total, data.currency)}, {Text: when(p.last, m.now), Paint: m.Dim.Render}})
	}
	return m.box("Payees "+data.currency, note, t.Draw(), width, height)
}

// details shows what identifies the wallet.
func (s *walletScreen) details(m *shared, w client.WalletSummary, width int) string {
	inner, _ := draw.Inner(width, 4)
	panel := draw.Panel([]draw.Pair{{Name: "wallet id", Value: w.Wallet.Id.String(), Whole: true}}, inner, m.Dim.Render)
	return m.box("Wallet "+w.Wallet.Currency, "", panel, width, lineCount(panel)+2)
}

// recent shows the newest transfers in a box.
func (s *walletScreen) recent(m *shared, width, height int) string {
	inner, rows := draw.Inner(width, height)
	return m.box("Recent transfers", "2 shows all", s.moved(m, inner, rows), width, height)
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
