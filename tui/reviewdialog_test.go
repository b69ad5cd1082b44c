package tui

import (
	"errors"
	"slices"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
)

// sender is a dashboard that records the commands that it sends.
type sender struct {
	*model
	sent  []client.Command
	whats []string
	err   error
}

func newSender(t *testing.T, transfers ...client.Transfer) *sender {
	t.Helper()
	s := &sender{model: operatorDashboard(t, 80, 24)}
	s.move = func(command client.Command, what string) (client.Receipt, error) {
		s.sent, s.whats = append(s.sent, command), append(s.whats, what)
		return client.Receipt{}, s.err
	}
	s.Update(pageMsg{found: client.TransferList{Items: transfers}})
	return s
}

// press presses keys and handles the answers of the commands that they send.
func (s *sender) press(names ...string) {
	for _, msg := range keys(names...) {
		before := len(s.sent)
		_, command := s.Update(msg)
		if d := s.dialog; d == nil || d.step != sending || before != len(s.sent) {
			continue
		}
		for _, answer := range messagesOf(command) {
			s.Update(answer)
		}
	}
}

func TestMoneyMovesByReview(t *testing.T) {
	hold := heldFor("ada", "Bob")
	received := hold
	received.Kind, received.State, received.Amount, received.ReversedAmount = client.TransferKindTransfer, client.Posted, 30_00, pointerTo[int64](12_00)
	id := hold.Id.String()
	for _, test := range []struct {
		name     string
		transfer client.Transfer
		keys     []string
		path     string // "" if nothing is sent
		body     string
		what     string
	}{
		{"capture all", hold, []string{"2", "C", "enter", "y"}, "/v1/transfers/" + id + "/capture", `{"amount":2000}`, "capture 20.00 USD of transfer " + id},
		{"capture a part", hold, []string{"2", "C", "5", ".", "2", "5", "enter", "y"}, "/v1/transfers/" + id + "/capture", `{"amount":525}`, "capture 5.25 USD of transfer " + id},
		{"while reading", hold, []string{"2", "enter", "C", "5", "enter", "y"}, "/v1/transfers/" + id + "/capture", `{"amount":500}`, "capture 5.00 USD of transfer " + id},
		{"another amount after the review", hold, []string{"2", "C", "1", "enter", "up", "2", "enter", "y"}, "/v1/transfers/" + id + "/capture", `{"amount":1200}`, "capture 12.00 USD of transfer " + id},
		{"void", hold, []string{"2", "V", "y"}, "/v1/transfers/" + id + "/void", "", "void transfer " + id},
		{"reverse what is left", received, []string{"2", "R", "enter", "y"}, "/v1/transfers/" + id + "/reverse", `{"amount":1800}`, "reverse 18.00 USD of transfer " + id},
		{"reverse a part", received, []string{"2", "R", "1", "enter", "y"}, "/v1/transfers/" + id + "/reverse", `{"amount":100}`, "reverse 1.00 USD of transfer " + id},
		{"deposit", hold, []string{"1", "D", "7", "enter", "y"}, "/v1/deposits", `{"amount":700,"currency":"USD"}`, "deposit 7.00 USD"},
		{"withdraw from the second wallet", hold, []string{"1", "j", "W", "7", "enter", "y"}, "/v1/withdrawals", `{"amount":700,"currency":"EUR"}`, "withdraw 7.00 EUR"},

		{"the key that opened it", hold, []string{"2", "V", "V", "V"}, "", "", ""},
		{"enter is Cancel", hold, []string{"2", "C", "enter", "enter"}, "", "", ""},
		{"esc", hold, []string{"2", "V", "esc", "y"}, "", "", ""},
		{"more than is held", hold, []string{"2", "C", "2", "1", "enter", "y"}, "", "", ""},
		{"nothing", hold, []string{"2", "C", "0", "enter", "y"}, "", "", ""},
		{"no number", hold, []string{"2", "C", "x", "enter", "y"}, "", "", ""},
		{"more than is available", hold, []string{"1", "W", "9", "9", "9", "9", "9", "enter", "y"}, "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSender(t, test.transfer)
			s.press(test.keys...)
			if test.path == "" {
				if len(s.sent) != 0 {
					t.Fatalf("sent %s", s.sent[0].Path)
				}
				if canceled := test.name == "enter is Cancel" || test.name == "esc"; canceled && s.overlay != nil {
					t.Error("the dialog is still open")
				}
				return
			}
			if len(s.sent) != 1 {
				t.Fatalf("sent %d commands:\n%s", len(s.sent), s.View())
			}
			if got := s.sent[0]; got.Path != test.path || string(got.Body) != test.body || got.Key != someKey || got.Resumed || s.whats[0] != test.what {
				t.Errorf("sent %s %s under %s: %q", got.Path, got.Body, got.Key, s.whats[0])
			}
			if s.dialog.step != done {
				t.Errorf("step %d", s.dialog.step)
			}
			if s.press("esc"); s.overlay != nil {
				t.Error("esc does not close it")
			}
		})
	}
}

// TestAnActionThatIsOffSaysWhy in the help and when its key is pressed, and is in no footer.
func TestAnActionThatIsOffSaysWhy(t *testing.T) {
	change := func(edit func(*client.Transfer)) client.Transfer {
		hold := heldFor("ada", "Bob")
		edit(&hold)
		return hold
	}
	for _, test := range []struct {
		name, key, reason string
		transfer          client.Transfer
	}{
		{"own authorization", "C", "Only the receiver, @ada", change(func(t *client.Transfer) { t.Direction = client.Out })},
		{"own authorization", "V", "Only the receiver, @ada", change(func(t *client.Transfer) { t.Direction = client.Out })},
		{"captured", "C", "This authorization is posted already", change(func(t *client.Transfer) { t.State = client.Posted })},
		{"voided", "V", "This authorization is voided already", change(func(t *client.Transfer) { t.State = client.Voided })},
		{"expired", "C", "This authorization has expired", change(func(t *client.Transfer) { t.ExpiresAt = pointerTo(noon) })},
		{"a transfer", "C", "Only an authorization can be captured", change(func(t *client.Transfer) { t.Kind = client.TransferKindTransfer })},
		{"pending", "R", "Only a posted transfer can be reversed, this one is pending", change(func(*client.Transfer) {})},
		{"a deposit", "R", "A deposit cannot be reversed", change(func(t *client.Transfer) { t.Kind = client.TransferKindDeposit })},
		{"sent", "R", "Only the receiver, @ada", change(func(t *client.Transfer) { t.State, t.Direction = client.Posted, client.Out })},
		{"reversed", "R", "All of it was reversed already", change(func(t *client.Transfer) { t.State, t.ReversedAmount = client.Posted, &t.Amount })},
	} {
		for _, reading := range []bool{false, true} {
			s := newSender(t, test.transfer)
			s.press("2")
			if reading {
				s.press("enter")
			}
			b, found := find(s.focused().keys(&s.shared), test.key)
			if !found || b.off == "" || !strings.Contains(strings.ToLower(test.reason), strings.ToLower(b.off[:20])) {
				t.Errorf("%s: %s is off for %q", test.name, test.key, b.off)
			}
			if footer := s.footer(); strings.Contains(footer, " "+test.key+" ") {
				t.Errorf("%s: the footer shows %s: %s", test.name, test.key, footer)
			}
			if s.press(test.key); s.overlay != nil || !s.bad || !strings.Contains(s.toast, test.reason) {
				t.Errorf("%s: %s says %q, and opens %T", test.name, test.key, s.toast, s.overlay)
			}
			s.press("?")
			for _, letter := range b.help {
				s.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{letter}})
			}
			if view := s.View(); !strings.Contains(view, "Not now: "+b.off) {
				t.Errorf("%s: the help does not say %q:\n%s", test.name, b.off, view)
			}
		}
	}

	s := newSender(t, heldFor("ada", "Bob"))
	s.press("2")
	if footer := s.footer(); !strings.Contains(footer, " C capture") || strings.Contains(footer, " R ") {
		t.Errorf("the footer is %q", footer)
	}
	s.readonly = "it was started with --readonly"
	for _, key := range []string{"2", "C", "V", "1", "D", "W"} {
		if s.press(key); s.overlay != nil {
			t.Errorf("%s opens %T", key, s.overlay)
		}
	}
}

// TestAnUnknownOutcomeIsRetriedUnderItsKey, also after the dialog was closed.
func TestAnUnknownOutcomeIsRetriedUnderItsKey(t *testing.T) {
	s := newSender(t, heldFor("ada", "Bob"))
	number := 0
	s.newKey = func() string { number++; return someKey + strings.Repeat("x", number) }
	s.err = &client.UnknownOutcomeError{Err: errors.New("it took too long")}
	s.press("2", "C", "enter", "y")
	if view := s.View(); !strings.Contains(view, "Outcome unknown") || !strings.Contains(view, "$ kizo retry "+someKey+"x") {
		t.Fatalf("%s", view)
	}
	if got := s.inDoubt(); got != someKey+"x" {
		t.Errorf("in doubt: %q", got)
	}
	s.press("esc", "1", "D") // another action shows it again
	if s.overlay != screen(s.dialog) || s.dialog.step != unknown || s.inDoubt() != someKey+"x" {
		t.Fatalf("%T, step %d", s.overlay, s.dialog.step)
	}
	s.Update(userChangedMsg{}) // nor does another log-in forget it
	s.err = nil
	s.press("y")
	if len(s.sent) != 2 || s.sent[1].Key != s.sent[0].Key || !s.sent[1].Resumed || s.dialog.step != done || s.inDoubt() != "" {
		t.Errorf("sent %+v, step %d", s.sent, s.dialog.step)
	}
}

// TestAnAnswerAfterTheDialogWasClosed is shown in the footer.
func TestAnAnswerAfterTheDialogWasClosed(t *testing.T) {
	for name, err := range map[string]error{"": nil, "not pending": &client.Error{Status: 422, Code: client.TransferNotPending, Detail: "not pending"}} {
		s := newSender(t, heldFor("ada", "Bob"))
		s.Update(keyMsg("2"))
		for _, key := range []string{"V", "y", "esc"} {
			s.Update(keyMsg(key))
		}
		if s.overlay != nil || s.inDoubt() != someKey {
			t.Fatalf("%T", s.overlay)
		}
		s.Update(sentMsg{key: someKey, err: err})
		if s.bad != (err != nil) || s.toast == "" || !strings.Contains(s.toast, name) || s.inDoubt() != "" {
			t.Errorf("%q", s.toast)
		}
	}
}

// TestAWithdrawalAsksForACode of the second factor, and goes on under its key.
func TestAWithdrawalAsksForACode(t *testing.T) {
	s := newSender(t)
	s.err = &client.Error{Status: 403, Code: client.StepUpRequired, Detail: "a recent code is required"}
	s.press("1", "W", "5", "enter", "y")
	if view := s.View(); s.dialog.step != proving || !strings.Contains(view, "authenticator app") {
		t.Fatalf("%s", view)
	}
	s.press("1", "2", "3")
	if view := s.View(); strings.Contains(view, "123") || s.dialog.code.text() != "123" {
		t.Errorf("the code is %q:\n%s", s.dialog.code.text(), view)
	}
	s.err = nil
	_, sends := s.Update(steppedUpMsg{someKey, nil})
	for _, msg := range messagesOf(sends) {
		s.Update(msg)
	}
	if len(s.sent) != 2 || s.sent[1].Key != someKey || s.sent[1].Resumed || s.dialog.step != done {
		t.Errorf("sent %+v, step %d", s.sent, s.dialog.step)
	}
}

// TestEveryKeyOfAFooterWorks in each state of the dialog: it has one meaning and changes something.
func TestEveryKeyOfAFooterWorks(t *testing.T) {
	states := [][]string{{"2", "C"}, {"2", "C", "enter"}, {"2", "V"}, {"1", "D"}, {"2", "C", "enter", "y"}}
	for _, err := range []error{nil, &client.UnknownOutcomeError{Err: errors.New("slow")}, &client.Error{Code: client.StepUpRequired}, errors.New("refused")} {
		for _, state := range states {
			s := newSender(t, heldFor("ada", "Bob"))
			s.err = err
			s.press(state...)
			all := s.focused().keys(&s.shared)
			for _, fault := range keymapFaults(all) {
				t.Errorf("%v: %s", state, fault)
			}
			if !slices.ContainsFunc(all, func(b binding) bool { return slices.Contains(b.keys, "esc") }) {
				t.Errorf("%v: esc is missing", state)
			}
			s.toast = ""
			if view := s.View(); lineCount(view) != 24 || !strings.Contains(s.footer(), all[0].help) {
				t.Errorf("%v:\n%s", state, view)
			}
		}
	}
}

// TestADialogIsOverTheDimmedPage, whatever the width of the characters at its edges.
func TestADialogIsOverTheDimmedPage(t *testing.T) {
	hold := heldFor("ada", "Bob")
	hold.Memo = pointerTo(strings.Repeat("山", 60))
	for width := 100; width < 110; width++ {
		s := newSender(t, hold)
		s.Update(tea.WindowSizeMsg{Width: width, Height: 40})
		s.press("2", "V")
		view := s.View()
		if !strings.Contains(view, "Void this authorization?") || !strings.Contains(view, "KIND") {
			t.Errorf("%s", view)
		}
	}
}
