package tui

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	openapi_types "github.com/oapi-codegen/runtime/types"
	"pgregory.net/rapid"

	"github.com/JDevAman/kizo/client"
)

// Server returns the address that the screen shows.
func (r *operatorRecord) Server() string { return "http://127.0.0.1:7420" }

// operatorDashboard returns a model of a size with the data of an operator.
func operatorDashboard(t *testing.T, width, height int) *model {
	t.Helper()
	first := *operatorModel(t)
	first.newKey = func() string { return someKey }
	m := newModel(first, func() time.Time { return noon }, func() {})
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	m.Update(meMsg{client.User{Handle: "ada", Name: "Ada", Role: client.UserRoleOperator}})
	m.Update(connectionStateMsg{state: live})
	minuteOfOperations(&m.ops)
	m.Update(summaryMsg{summary: adasSummary("lunch")})
	return m
}

func adasSummary(memo string) client.Summary {
	s := client.Summary{At: noon}
	for i, currency := range []string{"USD", "EUR", "JPY"} {
		w := client.WalletSummary{Wallet: client.Wallet{Currency: currency, Balance: int64(1_234_56 * (i + 1)), Held: int64(i * 100), Available: int64(1_234_56*(i+1) - i*100), Status: client.Active},
			Month: client.MonthTotals{In: ptr[int64](500_00), Out: ptr[int64](120_00)}}
		for day := range 14 {
			w.Trend = append(w.Trend, client.DayBalance{Day: openapi_types.Date{Time: noon.Truncate(24*time.Hour).AddDate(0, 0, day-13)}, Balance: int64(1000 * day * day)})
		}
		s.Wallets = append(s.Wallets, w)
	}
	bob := "bob"
	for i, state := range []client.TransferState{client.Posted, client.Pending, client.Refused, client.Voided, client.Posted} {
		direction := client.In
		if i%2 == 1 {
			direction = client.Out
		}
		party := client.Party{Handle: &bob}
		s.Recent = append(s.Recent, client.Transfer{Id: *taskNumber(9 - i).TransferId, Kind: client.TransferKindTransfer, State: state, Amount: int64(12_50 * (i + 1)), Currency: "USD",
			Direction: direction, From: party, To: party, Memo: &memo, CreatedAt: noon.Add(-time.Duration(i) * time.Minute)})
	}
	return s
}

// adasWallet is what the Wallet screen requests about Ada's wallet in USD: movements of 200 hours,
// and two pending transfers.
func adasWallet(name string) walletMsg {
	data := walletData{currency: "USD", monthAgo: 500_00, at: noon, recent: adasTransfers(60).Items}
	for i, t := range adasTransfers(100).Items {
		t.State, t.Id[1] = client.Posted, 0x94
		t.CreatedAt = noon.Add(-time.Duration(2*i) * time.Hour)
		t.ResolvedAt = &t.CreatedAt
		t.Amount = int64(10_00 + i%7*300)
		if i%5 > 1 {
			t.To = client.Party{Handle: pointerTo("carol"), Name: &name}
		}
		data.moves = append(data.moves, t)
	}
	data.pending = slices.Clone(adasTransfers(6).Items[2:4])
	data.pending[0].Kind = client.TransferKindDeposit
	data.pending[1].Kind, data.pending[1].To.Handle, data.pending[1].ExpiresAt = client.TransferKindAuthorization, &name, pointerTo(noon.AddDate(0, 0, 7))
	return walletMsg{data: data}
}

func TestDashboardGoldens(t *testing.T) {
	for _, size := range sizes {
		m := operatorDashboard(t, size[0], size[1])
		golden(t, fmt.Sprintf("wallet-loading-%dx%d", size[0], size[1]), m.View())
		m.summary.Pending = client.PendingCounts{In: 1, Out: 1}
		m.pages[0].screen.(*walletScreen).asked = "USD"
		m.Update(adasWallet("bob"))
		golden(t, fmt.Sprintf("wallet-%dx%d", size[0], size[1]), m.View())
		m.Update(keyMsg("5"))
		golden(t, fmt.Sprintf("dashboard-health-%dx%d", size[0], size[1]), m.View())
	}
	m := operatorDashboard(t, 80, 24)
	m.clock = func() time.Time { return noon.Add(14 * time.Second) }
	m.Update(connectionStateMsg{state: offline, err: errors.New("cannot reach http://127.0.0.1:7420: connection refused"), next: 3 * time.Second})
	golden(t, "offline-80x24", m.View())
	m.Update(connectionStateMsg{state: polling})
	if view := m.View(); !strings.Contains(view, "STALE 14s") {
		t.Errorf("%s", view)
	}
}

func TestPastedTextPressesNoKeys(t *testing.T) {
	m := operatorDashboard(t, 80, 24)
	if _, quit := m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q"), Paste: true}); quit != nil {
		t.Error("a pasted q does something")
	}
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("4p")}) // two keys in one message
	if _, asks := m.overlay.(*reviewDialog); !asks {
		t.Errorf("4p opened %T", m.overlay)
	}
}

func TestNoKeysOnATinyTerminal(t *testing.T) {
	m := operatorDashboard(t, 59, 24)
	m.Update(keyMsg("2"))
	for _, name := range []string{"r", "y", "enter", "tab", "3"} {
		if _, command := m.Update(keyMsg(name)); command != nil || m.shown != 0 {
			t.Errorf("%s did something", name)
		}
	}
	if !strings.Contains(m.View(), "60 × 15") {
		t.Errorf("%s", m.View())
	}
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 15})
	m.Update(keyMsg("2"))
	if m.shown != 1 {
		t.Error("keys are still off")
	}
}

// TestEveryKeyIsDocumentedOnce on every page, including the global keys.
func TestEveryKeyIsDocumentedOnce(t *testing.T) {
	m := operatorDashboard(t, 80, 24)
	for i, p := range m.pages {
		m.shown = i
		var all []binding
		for _, group := range m.keymap() {
			all = append(all, group.keys...)
		}
		for _, fault := range keymapFaults(all) {
			t.Errorf("%s: %s", p.title, fault)
		}
	}
}

func TestBurstFetchesOneSummary(t *testing.T) {
	m := operatorDashboard(t, 80, 24)
	asked := 0
	for range 100 {
		before := m.asking
		m.Update(eventsMsg{events: []client.Event{{Type: client.EventTransfer, Transfer: &client.Transfer{}}}})
		if !before && m.asking {
			asked++
		}
	}
	if asked > 1 || !m.dirty {
		t.Errorf("asked %d times, dirty %v", asked, m.dirty)
	}
	m.Update(askedMsg{summaryMsg{summary: adasSummary("x")}})
	if m.Update(dueMsg{}); m.dirty || !m.asking {
		t.Error("what happened since was forgotten")
	}
}

// anything returns a random key, click or message of the server with untrusted text.
func anything(r *rapid.T, evil *rapid.Generator[string]) tea.Msg {
	text := evil.Draw(r, "text")
	t := adasTransfers(1).Items[0]
	t.Memo, t.To.Handle, t.To.Name, t.Reason = &text, &text, &text, &text
	person := client.Person{Handle: text, Name: text}
	failed := errors.New(text)
	key := rapid.SampledFrom([]string{"1", "2", "3", "4", "5", "?", ":", "/", "esc", "p", "x", "enter", "j", "down", "tab", "L", "ctrl+l", "-", "l", "h", "G", "a", "c", "y", "b", "q", "m", "ctrl+s", "C", "V", "R", "D", "W", "up"})
	return rapid.OneOf(
		rapid.Map(key, func(name string) tea.Msg { return keyMsg(name) }),
		rapid.Map(key, func(name string) tea.Msg { return keyMsg(name) }),
		rapid.SampledFrom([]tea.Msg{
			pageMsg{found: client.TransferList{Items: []client.Transfer{t}}}, pageMsg{pageAsk: pageAsk{list: 1}, err: failed},
			eventsMsg{events: []client.Event{{Type: client.EventTransfer, Transfer: &t}}},
			timelineMsg{id: t.Id, timeline: client.Timeline{Entries: []client.TimelineEntry{{At: noon, Text: text}}, WaitsFor: text, Next: text}}, timelineMsg{id: t.Id, err: failed},
			peopleMsg{prefix: "bo", people: []client.Person{person, person}}, draftMsg{to: text, amount: "1", currency: "USD", memo: text},
			previewMsg{asked: 1, preview: client.TransferPreview{Currency: text, To: t.To}}, previewMsg{asked: 1, err: failed},
			sentMsg{key: someKey, err: &client.UnknownOutcomeError{Key: someKey, Err: failed}}, sentMsg{key: someKey, receipt: client.Receipt{Transfer: t}},
			loggedOutMsg{failed}, loggedInMsg{me: client.User{Handle: text}}, meMsg{client.User{Handle: text}}, exportedMsg{path: text}, copiedMsg{what: text},
			tea.WindowSizeMsg{Width: 80, Height: 24}, tickMsg{}, userChangedMsg{},
			tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(text), Paste: true},
			tea.MouseMsg{X: len(text), Y: len(text) % 40, Button: tea.MouseButtonLeft, Action: tea.MouseActionPress}, tea.MouseMsg{Button: tea.MouseButtonWheelDown},
		}),
	).Draw(r, "step")
}

// TestDashboardFits any terminal, in any state, with any untrusted text.
func TestDashboardFits(t *testing.T) {
	evil := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\x1b[2J", "\x1b]52;c;eA==\x07", "\u202eevil", "☰🇩🇪👍🏽", "e\u0301\u0301\u0301\u0301\u0301\u0301", strings.Repeat("山", 300)}))
	for name := range screens("") {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				m := operatorDashboard(t, rapid.IntRange(1, 300).Draw(r, "width"), rapid.IntRange(1, 100).Draw(r, "height"))
				m.me.Handle = evil.Draw(r, "handle")
				m.Update(summaryMsg{summary: adasSummary(evil.Draw(r, "memo"))})
				m.summary.Pending.Out = rapid.IntRange(0, 1000).Draw(r, "pending")
				m.Update(adasWallet(evil.Draw(r, "payee")))
				m.Update(connectionStateMsg{state: rapid.SampledFrom([]connectionState{connecting, live, polling, lost, offline}).Draw(r, "line"), err: errors.New(evil.Draw(r, "error"))})
				messages := screens(evil.Draw(r, "name"))[name]
				for _, msg := range messages[:len(messages)-rapid.IntRange(0, len(messages)).Draw(r, "left out")] {
					m.Update(msg)
				}
				fits(r, m)
				for range rapid.IntRange(0, 8).Draw(r, "steps") {
					m.Update(anything(r, evil))
				}
				if rapid.Bool().Draw(r, "toast") {
					m.showError(errors.New(evil.Draw(r, "toast")))
				}
				fits(r, m)
			})
		})
	}
}

// fits checks that every line is as wide as the screen and contains no control sequence except
// styles.
func fits(r *rapid.T, m *model) {
	lines := strings.Split(m.View(), "\n")
	if len(lines) != m.height {
		r.Fatalf("%d lines, not %d", len(lines), m.height)
	}
	for _, line := range lines {
		if ansi.StringWidth(line) != m.width || strings.ContainsAny(line, "\x1b\x07\r\u202e") {
			r.Fatalf("%q is %d wide, not %d", line, ansi.StringWidth(line), m.width)
		}
	}
}
