package tui

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/tui/draw"
)

// suggestions are the people whose handle or name begins with what is typed as the payee: those
// whom the user paid first, the last one before the others, then those whom the server finds.
type suggestions struct {
	people []client.Person // of the server
	person int             // the chosen suggestion
	looked string          // the prefix that people is the answer to
}

type peopleMsg struct {
	prefix string
	people []client.Person
	err    error
}

// suggestion is a person, and when the user last paid them.
type suggestion struct {
	client.Person
	paid time.Time // zero if never, as far as is known
}

// maxSuggestions limits the suggestions; the form shows five of them at a time.
const maxSuggestions = 20

// sendData is what the Send screen requests when it is shown.
type sendData struct {
	limits     []client.WalletLimit
	thresholds []client.StepUpThreshold // of the step-up; empty if there is none
	verified   bool                     // no code is needed now
	at         time.Time                // of the request; zero before the first
}

type sendDataMsg struct {
	sendData
	paid []client.Transfer
}

// sendDataPause is the minimum time between two requests for sendData.
const sendDataPause = 30 * time.Second

// sendServer is the part of the server that the Send screen needs besides that of transfers.
type sendServer interface {
	SearchUsers(ctx context.Context, q string) ([]client.Person, error)
	Preview(ctx context.Context, body client.TransferCreate) (client.TransferPreview, error)
	Limits(ctx context.Context) (client.Limits, error)
	StepUpStatus(ctx context.Context) (client.StepUpStatus, error)
}

// refresh implements refresher: it requests payees and limits, which are hints. Without them, for
// example with a token of narrow scope, the form works all the same.
func (s *sendScreen) refresh(m *shared) tea.Cmd {
	if m.me.Handle == "" || !s.known.at.IsZero() && m.now.Sub(s.known.at) < sendDataPause {
		return nil
	}
	s.known.at = m.now
	server, data, paid := m.server, s.known, m.paid
	return tea.Batch(m.askNames(), m.ask(func(ctx context.Context) tea.Msg {
		out, limit := string(client.Out), listLimit
		if found, err := server.Transfers(ctx, client.ListTransfersParams{Direction: &out, Limit: &limit}); err == nil {
			paid = found.Items
		}
		if found, err := server.Limits(ctx); err == nil {
			data.limits = found.Items
		}
		if found, err := server.StepUpStatus(ctx); err == nil {
			data.thresholds, data.verified = nil, found.ValidUntil != nil
			if found.Enabled {
				data.thresholds = found.Thresholds
			}
		}
		return sendDataMsg{data, paid}
	}))
}

// suggested returns the suggestions for what is typed. With an empty field, they are all whom the
// user paid. An exact handle comes first.
func (s *sendScreen) suggested(m *shared) []suggestion {
	typed := strings.TrimSpace(s.fields[payeeField].text())
	prefix := strings.ToLower(s.prefix())
	if typed != "" && typed != "@" && prefix == "" { // an e-mail address
		return nil
	}
	var found []suggestion
	add := func(p client.Person, paid time.Time) {
		i := slices.IndexFunc(found, func(other suggestion) bool { return other.Handle == p.Handle })
		switch {
		case i >= 0 && paid.After(found[i].paid):
			found[i].paid = paid
		case i < 0 && p.Handle != m.me.Handle && len(found) < maxSuggestions:
			found = append(found, suggestion{p, paid})
		}
	}
	for _, t := range slices.Concat(m.paid, m.recent) {
		if !paysAPerson(t) {
			continue
		}
		p := client.Person{Handle: *t.To.Handle, Name: value(t.To.Name), Staff: t.To.Staff}
		if begins(p, prefix) || prefix != "" && begins(client.Person{Name: m.nameOf(p.Handle)}, prefix) {
			add(p, t.CreatedAt)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		if prefix != "" && strings.HasPrefix(name, prefix) {
			add(client.Person{Handle: strings.TrimPrefix(m.names[name], "@")}, time.Time{})
		}
	}
	slices.SortStableFunc(found, func(a, b suggestion) int { return b.paid.Compare(a.paid) })
	if prefix != "" && s.looked == s.prefix() {
		for _, p := range s.people {
			add(p, time.Time{})
		}
	}
	exact := func(p suggestion) int {
		switch {
		case prefix == "":
			return 0
		case strings.EqualFold(p.Handle, prefix):
			return 2
		case m.names[prefix] == "@"+p.Handle:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(found, func(a, b suggestion) int { return cmp.Compare(exact(b), exact(a)) })
	return found
}

// begins reports whether the handle or a word of the name begins with a prefix in lower case.
func begins(p client.Person, prefix string) bool {
	if strings.HasPrefix(strings.ToLower(p.Handle), prefix) {
		return true
	}
	return slices.ContainsFunc(strings.Fields(strings.ToLower(p.Name)), func(word string) bool { return strings.HasPrefix(word, prefix) })
}

// completing reports whether suggestions are shown that differ from the typed payee.
func (s *sendScreen) completing(m *shared) bool {
	if !s.typing() || s.step != filling || s.focus != payeeField {
		return false
	}
	list := s.suggested(m)
	return len(list) > 1 && !s.named(list[0]) || len(list) == 1 && !strings.EqualFold(list[0].Handle, s.prefix())
}

// named reports whether the field holds a whole handle with its sign, as it is after a suggestion
// was taken.
func (s *sendScreen) named(p suggestion) bool {
	return strings.EqualFold(strings.TrimSpace(s.fields[payeeField].text()), "@"+p.Handle)
}

// completions shows at most five of the suggestions.
func (s *sendScreen) completions(m *shared, width, indent int) []string {
	const maxShown = 5
	list := s.suggested(m)
	chosen := min(s.person, len(list)-1)
	from := max(0, min(chosen-maxShown+1, len(list)-maxShown))
	var lines []string
	for i := from; i < min(len(list), from+maxShown); i++ {
		p := list[i]
		who := "@" + p.Handle
		if p.Staff != nil && *p.Staff {
			who += " [staff]"
		}
		paid := ""
		if !p.paid.IsZero() {
			paid = "paid " + when(p.paid, m.now)
		}
		free := max(0, width-indent-2)
		if name := m.nameOf(p.Handle); name != "" {
			who += " (" + name + ")"
		}
		text := draw.Fit(who+"  "+p.Name, max(0, free-len(paid)-1)) + " " + paid
		if i == chosen {
			lines = append(lines, strings.Repeat(" ", indent)+m.Selected.Render(m.glyph("▸", ">")+" "+text))
		} else {
			lines = append(lines, strings.Repeat(" ", indent+2)+text)
		}
	}
	if more := len(list) - len(lines); more > 0 {
		lines = append(lines, m.Dim.Render(draw.Fit(strings.Repeat(" ", indent+2)+count(more, "other", "others")+": type on, or press ↓", width)))
	}
	return lines
}

// afterwards says what the typed amount leaves, and which limits it meets. The server decides: the
// limits may have changed.
func (s *sendScreen) afterwards(m *shared, width int) []string {
	currency := s.in(m)
	if currency == "" {
		return nil
	}
	available := m.available(currency)
	pairs := []draw.Pair{{Name: "available", Value: amountOf(available, currency), Whole: true}}
	amount, err := s.amount(m)
	typed := err == nil && s.fields[amountField].text() != ""
	if typed {
		pairs = append(pairs, draw.Pair{Name: "after this", Value: amountOf(available-amount.Minor, currency), Paint: m.Accent.Render, Whole: true})
	} else {
		amount = money.Amount{}
	}
	for _, l := range s.known.limits {
		if l.Currency == currency {
			pairs = append(pairs, m.limitPairs(l, amount.Minor)...)
		}
	}
	for _, t := range s.known.thresholds {
		if t.Currency != currency {
			continue
		}
		pair := draw.Pair{Name: "second factor", Value: "asked above " + amountOf(t.Amount, currency)}
		if typed && amount.Minor > t.Amount && !s.known.verified {
			pair.Paint, pair.Value = m.Warn.Render, m.glyph("▲ ", "! ")+"a code is asked for this amount"
		}
		pairs = append(pairs, pair)
	}
	return append([]string{""}, m.panel(pairs, width)...)
}

// limitPairs shows the user's own limits of a wallet, and whether an amount is beyond them.
func (m *shared) limitPairs(l client.WalletLimit, minor int64) (pairs []draw.Pair) {
	show := func(name, text string, beyond bool) {
		pair := draw.Pair{Name: name, Value: text, Whole: true}
		if beyond {
			pair.Paint, pair.Value = m.Bad.Render, m.glyph("✗ ", "! ")+text+", this is more"
		}
		pairs = append(pairs, pair)
	}
	if most := l.MaxPerTransfer; most != nil {
		show("limit each", amountOf(*most, l.Currency), minor > *most)
	}
	if most := l.MaxPerDay; most != nil {
		left := max(0, *most-l.SpentToday)
		show("left today", amountOf(left, l.Currency)+" of "+amountOf(*most, l.Currency), minor > left)
	}
	return pairs
}
