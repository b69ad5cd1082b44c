package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	openapi_types "github.com/oapi-codegen/runtime/types"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

func TestAmountsAreGrouped(t *testing.T) {
	for number, want := range map[string]string{
		"0": "0", "999": "999", "1000": "1 000", "-1234567.8901": "-1 234 567.8901", "123456.78 USD": "123 456.78 USD", "0.05": "0.05",
		"90071992547409.91 USD": "90 071 992 547 409.91 USD", "12 minor units of \"12345\"": "12 minor units of \"12345\"", "": "", "-": "-",
	} {
		if got := grouped(number); got != want {
			t.Errorf("%q is %q, want %q", number, got, want)
		}
	}
}

func TestWhen(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	now := noon.In(berlin) // Tuesday, 13:00
	for ago, want := range map[time.Duration]string{
		59 * time.Minute: "59m ago", time.Hour: "12:00", 13 * time.Hour: "00:00", 14 * time.Hour: "Mon 23:00",
		7 * 24 * time.Hour: "Nov 17", 365 * 24 * time.Hour: "2025-11-24", -time.Minute: "0s ago",
	} {
		if got := when(noon.Add(-ago), now); got != want {
			t.Errorf("%s ago is %q, want %q", ago, got, want)
		}
	}
}

func moved(direction client.TransferDirection, amount int64, ago time.Duration) client.Transfer {
	at := noon.Add(-ago)
	return client.Transfer{Direction: direction, Amount: amount, State: client.Posted, Currency: "USD", CreatedAt: at.Add(-time.Hour), ResolvedAt: &at}
}

// TestBalanceOverTime is computed from the movements, and before the oldest of them from the ends
// of days.
func TestBalanceOverTime(t *testing.T) {
	w := client.WalletSummary{Wallet: client.Wallet{Currency: "USD", Balance: 100}}
	for day, balance := range []int64{7, 20, 30, 100} { // today last
		w.Trend = append(w.Trend, client.DayBalance{Day: openapi_types.Date{Time: noon.Truncate(24*time.Hour).AddDate(0, 0, day-3)}, Balance: balance})
	}
	data := walletData{currency: "USD", all: true, moves: []client.Transfer{
		moved(client.In, 60, time.Hour), moved(client.Out, 10, 3*time.Hour), moved(client.In, 50, 3*time.Hour),
	}}
	shown := func() string { return fmt.Sprint(balances(w, data, noon, 7*time.Hour, 7)) }
	testkit.Equal(t, "all movements are known", shown(), "[0 0 0 40 40 100 100]")
	data.all = false // there are older ones of today
	testkit.Equal(t, "the last movements are known", shown(), "[NaN NaN NaN 40 40 100 100]")
	data.moves = nil
	testkit.Equal(t, "days", fmt.Sprint(balances(w, data, noon, 6*24*time.Hour, 6)), "[NaN NaN NaN 7 20 NaN]")
	if _, name := spanOf(w, data, noon); name != "14 days" {
		t.Errorf("without movements, the chart shows %s", name)
	}
	data.all, data.moves = true, []client.Transfer{moved(client.In, 1, 40*time.Minute)}
	if _, name := spanOf(w, data, noon); name != "1 h" {
		t.Errorf("the chart of a wallet of 40 minutes shows %s", name)
	}
	data.all = false
	if _, name := spanOf(w, data, noon); name != "14 days" {
		t.Errorf("the chart of a wallet with older movements shows %s", name)
	}
	for i := range w.Trend {
		w.Trend[i].Balance = 3
	}
	if _, name := spanOf(w, data, noon); name != "1 h" {
		t.Errorf("the chart of a wallet that moved today only shows %s", name)
	}
}

func TestPayees(t *testing.T) {
	data := walletData{moves: adasWallet("Carol").data.moves}
	data.moves[0].Reverses = &data.moves[1].Id // what is sent back is not paid to a payee
	known := data.payees()
	if len(known) != 2 || *known[0].party.Handle != "carol" || *known[1].party.Handle != "bob" || known[0].times != 45 || known[1].times != 19 {
		t.Errorf("%+v", known)
	}
}

// ledgerServer answers the requests of the Wallet screen and counts them.
type ledgerServer struct {
	slowServer
	asked []string
	fail  error
}

func (s *ledgerServer) Transfers(_ context.Context, p client.ListTransfersParams) (client.TransferList, error) {
	if p.State != nil { // the Transfers screen requests all states
		s.asked = append(s.asked, value(p.Currency)+" "+*p.State)
	}
	return adasTransfers(3), s.fail
}

func (s *ledgerServer) Balance(_ context.Context, currency string, at time.Time) (client.Balance, error) {
	s.asked = append(s.asked, currency+" "+noon.Sub(at).String())
	return client.Balance{Balance: 1000_00}, s.fail
}

// TestWalletIsLoadedOnce for each summary and wallet, and not more often than every two seconds.
func TestWalletIsLoadedOnce(t *testing.T) {
	m, server := dashboard(t), &ledgerServer{}
	m.server = server
	now := noon
	m.clock = func() time.Time { return now }
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 40})
	m.me = ada()
	step := func(msg tea.Msg, want string) {
		t.Helper()
		server.asked = nil
		_, command := m.Update(msg)
		for _, answer := range results(command) {
			m.Update(answer)
		}
		testkit.Equal(t, fmt.Sprintf("asked after %T", msg), strings.Join(server.asked, ", "), want)
	}
	summary := adasSummary("x")
	step(summaryMsg{summary: summary}, "USD posted,  pending, USD 720h0m0s")
	step(summaryMsg{summary: summary}, "")
	summary.At = noon.Add(time.Second)
	step(summaryMsg{summary: summary}, "") // too soon
	now = noon.Add(3 * time.Second)
	step(summaryMsg{summary: summary}, "USD posted,  pending, USD 719h59m59s")
	step(keyMsg("j"), "EUR posted,  pending, EUR 719h59m59s")
	if s := m.pages[0].screen.(*walletScreen); s.data.currency != "EUR" || len(s.data.moves) != 3 {
		t.Errorf("%+v", s.data)
	}
	m.Update(keyMsg("3")) // another page is shown
	summary.At, now = noon.Add(time.Minute), noon.Add(time.Minute)
	step(summaryMsg{summary: summary}, "")
	server.fail = errors.New("away")
	step(keyMsg("1"), "EUR posted")
	if s := m.pages[0].screen.(*walletScreen); len(s.data.moves) != 3 {
		t.Error("a failure removes what was known")
	}
	m.Update(userChangedMsg{})
	if s := m.pages[0].screen.(*walletScreen); len(s.data.moves) != 0 {
		t.Error("another user sees the movements")
	}
}

// results runs a command and those that it consists of, except timers and requests that wait.
func results(command tea.Cmd) (messages []tea.Msg) {
	if command == nil {
		return nil
	}
	switch msg := command().(type) {
	case tea.BatchMsg:
		for _, c := range msg {
			messages = append(messages, results(c)...)
		}
	case walletMsg, pageMsg:
		messages = append(messages, msg)
	}
	return messages
}
