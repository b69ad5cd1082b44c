package tui

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// keptNames keeps names in memory.
type keptNames map[string]string

func (k keptNames) List(context.Context) (map[string]string, error) { return maps.Clone(k), nil }

func (k keptNames) Add(_ context.Context, name, handle string) error {
	if name == "bad" {
		return errors.New("bad\x1b[2J is not a name")
	}
	k[name] = handle
	return nil
}

func (k keptNames) Remove(_ context.Context, name string) error {
	delete(k, name)
	return nil
}

// TestPayeesAreListedAndNamed: those of transfers and those that only have a name, and a name is
// completed on the Send screen.
func TestPayeesAreListedAndNamed(t *testing.T) {
	m := operatorDashboard(t, 100, 30)
	form(m).known.at = noon
	kept := keptNames{"rent": "@dora"}
	m.payeeNames, m.recent = kept, nil
	m.paid = adasTransfers(9).Items // three of them pay Bob, and one of those was refused
	do(m, "P")
	view := m.View()
	testkit.Contains(t, view, "▸ @bob", "Bob Moore", "@dora", "rent", "2 payees")
	do(m, "n", "l", "a", "n", "d", "l", "o", "r", "d", "enter")
	testkit.Contains(t, m.View(), "Name this payee?", "landlord then stands for @bob", "▸ Cancel", "$ kizo payees add landlord @bob")
	do(m, "y")
	testkit.Equal(t, "named", kept["landlord"], "@bob")
	do(m, "n", "b", "a", "d", "enter", "y")
	if !m.bad || strings.Contains(m.View(), "\x1b[2J") {
		t.Errorf("%q", m.toast)
	}
	if _, lists := m.overlay.(*payeesScreen); !lists {
		t.Errorf("shows %T", m.overlay)
	}
	m.names, _ = kept.List(t.Context())
	do(m, "j", "x")
	testkit.Contains(t, m.View(), "Remove this name?", "$ kizo payees remove rent")
	do(m, "y")
	testkit.Equal(t, "left", len(kept), 1)
	m.names = kept
	do(m, "k", "enter")
	if got := form(m).fields[payeeField].text(); got != "@bob" || m.shown != 2 {
		t.Errorf("page %d, payee %q", m.shown, got)
	}
	pressKeys(m, "ctrl+x", "enter", "l", "a", "n", "d", "l", "o", "r", "d")
	testkit.Contains(t, m.View(), "▸ @bob (landlord)")
	pressKeys(m, "enter")
	testkit.Equal(t, "by its name", form(m).fields[payeeField].text(), "@bob")

	m = operatorDashboard(t, 80, 24)
	m.recent = nil
	pressKeys(m, "P")
	testkit.Contains(t, m.View(), "You have paid no user yet")
	for _, key := range []string{"enter", "n", "x"} {
		if pressKeys(m, key); !m.bad {
			t.Errorf("%s says nothing", key)
		}
	}
}

// TestAWalletIsOpened in a currency that is checked first.
func TestAWalletIsOpened(t *testing.T) {
	for _, test := range []struct {
		typed []string
		want  string // what the dialog says
		opens string
	}{
		{[]string{"k", "w", "d", "enter", "y"}, "", "KWD"},
		{[]string{"k", "w", "d", "enter", "enter"}, "", ""},
		{[]string{"u", "s", "d", "enter", "y"}, "you have a wallet in USD already", ""},
		{[]string{"x", "x", "q", "enter", "y"}, "XXQ", ""},
		{[]string{"enter"}, "type a currency", ""},
	} {
		m := operatorDashboard(t, 80, 24)
		opened := &walletOpener{}
		m.server = opened
		do(m, append([]string{"N"}, test.typed...)...)
		if view := m.View(); opened.currency != test.opens || !strings.Contains(view, test.want) {
			t.Errorf("%v opened %q\n%s", test.typed, opened.currency, view)
		}
	}
}

type walletOpener struct {
	operatorRecord
	currency string
}

func (o *walletOpener) OpenWallet(_ context.Context, currency string) (client.Wallet, error) {
	o.currency = currency
	return client.Wallet{Currency: currency}, nil
}

func (o *walletOpener) Summary(context.Context, time.Time) (client.Summary, error) {
	return adasSummary("x"), nil
}

// TestUnfinishedCommandsAreRetriedUnderTheirKeys, with a review first.
func TestUnfinishedCommandsAreRetriedUnderTheirKeys(t *testing.T) {
	s := newSender(t)
	command, err := client.NewTransfer("an-old-key", client.TransferCreate{To: "@bob", Amount: 100, Currency: "USD"})
	testkit.Must(t, err)
	list := []Unfinished{{Command: command, What: "transfer 1.00 USD to @bob\x1b[2J", At: noon.Add(-2 * time.Hour)}}
	s.recorded = func(context.Context, client.User) ([]Unfinished, error) { return list, nil }
	s.server = slowServer{}
	s.Update(unfinishedMsg{list: list})
	testkit.Contains(t, s.View(), "▲ 1 unfinished (u)")
	s.press("u")
	testkit.Contains(t, s.View(), "▸ 10:00", `transfer 1.00 USD to @bob\u{1b}[2J`)
	s.press("enter")
	testkit.Contains(t, s.View(), "Finish this command?", "an-old-key", "▸ Cancel", "$ kizo retry an-old-key")
	s.press("enter")
	if len(s.sent) != 0 || s.overlay != nil || s.inDoubt() != "" {
		t.Fatalf("sent %v", s.sent)
	}
	s.press("u", "enter", "y")
	if len(s.sent) != 1 || s.sent[0].Key != "an-old-key" || !s.sent[0].Resumed || s.dialog.step != done {
		t.Errorf("sent %+v, step %d", s.sent, s.dialog.step)
	}
	s.Update(unfinishedMsg{})
	s.press("esc", "u")
	if s.overlay != nil || !strings.Contains(s.toast, "No command is unfinished") {
		t.Errorf("opens %T, says %q", s.overlay, s.toast)
	}
}
