package tui

import (
	"slices"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
)

// form returns the Send screen.
func form(m *model) *sendScreen {
	for _, p := range m.pages {
		if s, ok := p.screen.(*sendScreen); ok {
			return s
		}
	}
	return nil
}

func pressKeys(m *model, names ...string) {
	for i, msg := range keys(names...) {
		_, command := m.Update(msg)
		if command == nil || names[i] != "esc" { // other commands send requests
			continue
		}
		if shows, ok := command().(showMsg); ok {
			m.Update(shows)
		}
	}
}

// TestKeysWorkUntilAFieldIsEntered: on the Send screen, every key in the footer does what the
// footer says.
func TestKeysWorkUntilAFieldIsEntered(t *testing.T) {
	for i, name := range []string{"1", "2", "4", "5", "tab", "shift+tab"} {
		m := operatorDashboard(t, 80, 24)
		pressKeys(m, "3", name)
		want := []int{0, 1, 3, 4, 3, 1}[i]
		if m.shown != want || form(m).fields[payeeField].text() != "" {
			t.Errorf("%s shows page %d and types %q", name, m.shown, form(m).fields[payeeField].text())
		}
	}
	m := operatorDashboard(t, 80, 24)
	pressKeys(m, "3", "?")
	if _, helps := m.overlay.(*searchScreen); !helps {
		t.Errorf("? opens %T", m.overlay)
	}
	m = operatorDashboard(t, 80, 24)
	pressKeys(m, "3")
	if _, command := m.Update(keyMsg("q")); command == nil {
		t.Error("q does not quit")
	}

	// Enter enters the form, where letters are text.
	m = operatorDashboard(t, 80, 24)
	pressKeys(m, "3", "enter", "@", "q", "1", "?")
	if got := form(m).fields[payeeField].text(); got != "@q1?" || m.shown != 2 {
		t.Errorf("typed %q on page %d", got, m.shown)
	}
	pressKeys(m, "esc", "1") // esc leaves the form and keeps the draft
	if got := form(m).fields[payeeField].text(); got != "@q1?" || m.shown != 0 {
		t.Errorf("typed %q on page %d", got, m.shown)
	}
}

// TestTypingReplacesAnAbandonedDraft: the draft is kept when the user leaves the form, and typing
// replaces it afterwards, so that 1 does not become 1999999.
func TestTypingReplacesAnAbandonedDraft(t *testing.T) {
	ways := map[string][]string{
		"esc":              {"esc"},
		"esc twice":        {"esc", "esc", "3"},
		"another page":     {"esc", "1", "3"},
		"a page and a tab": {"esc", "tab", "shift+tab"},
	}
	for name, way := range ways {
		m := operatorDashboard(t, 80, 24)
		pressKeys(m, "3", "enter", "@", "b", "o", "b", "enter", "1")
		pressKeys(m, way...)
		pressKeys(m, "9", "9", "9")
		if got := form(m).fields[amountField].text(); got != "1" {
			t.Errorf("%s: typed on without entering the field: %q", name, got)
		}
		pressKeys(m, "3", "enter", "tab", "9", "9")
		if got := form(m).fields[amountField].text(); got != "99" {
			t.Errorf("%s: the draft became %q", name, got)
		}
		if got := form(m).fields[payeeField].text(); got != "@bob" {
			t.Errorf("%s: the payee became %q", name, got)
		}
		pressKeys(m, "esc", "enter", "@", "c") // the form is entered at its first field
		if got := form(m).fields[payeeField].text(); got != "@c" {
			t.Errorf("%s: the payee became %q", name, got)
		}
	}

	// A key that moves the cursor or deletes keeps the draft, to correct it.
	for key, want := range map[string]string{"left": "912", "right": "129", "end": "129", "home": "912", "backspace": "9"} {
		m := operatorDashboard(t, 80, 24)
		pressKeys(m, "3", "enter", "@", "b", "o", "b", "enter", "1", "2", "esc", "enter", "tab", key)
		if key == "left" {
			pressKeys(m, "left")
		}
		pressKeys(m, "9")
		if got := form(m).fields[amountField].text(); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

// TestSendUsesTheDefaultWallet unless the user chooses another one.
func TestSendUsesTheDefaultWallet(t *testing.T) {
	m := operatorDashboard(t, 80, 24)
	if got := form(m).in(&m.shared); got != "USD" {
		t.Errorf("without a default wallet: %s", got)
	}
	m.currency = "EUR"
	if got := form(m).in(&m.shared); got != "EUR" {
		t.Errorf("the default wallet: %s", got)
	}
	pressKeys(m, "3", "ctrl+t")
	if got := form(m).in(&m.shared); got != "JPY" {
		t.Errorf("after it: %s", got)
	}
	m.Update(draftMsg{to: "@bob", amount: "1.00", currency: "USD"})
	if got := form(m).in(&m.shared); got != "USD" {
		t.Errorf("of a draft: %s", got)
	}
	m.currency = "KWD" // the user has no such wallet
	pressKeys(m, "n")
	if got := form(m).in(&m.shared); got != "USD" {
		t.Errorf("%s", got)
	}
}

// TestSendAgainFillsTheForm: after "send again", the keys of the page work.
func TestSendAgainFillsTheForm(t *testing.T) {
	m := operatorDashboard(t, 80, 24)
	m.Update(draftMsg{to: "@bob", amount: "1.00", currency: "USD", memo: "tea"})
	pressKeys(m, "9")
	if got := form(m).fields[amountField].text(); got != "1.00" || m.shown != 2 {
		t.Errorf("page %d, %q", m.shown, got)
	}
	pressKeys(m, "enter", "7")
	if got := form(m).fields[amountField].text(); got != "7" {
		t.Errorf("%q", got)
	}
	// A paste replaces the draft, as typing does.
	m.Update(draftMsg{to: "@bob", amount: "1.00", currency: "USD", memo: "tea"})
	pressKeys(m, "enter")
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("12.50"), Paste: true})
	if got := form(m).fields[amountField].text(); got != "12.50" {
		t.Errorf("%q", got)
	}
}

// TestTheFooterShowsKeysThatWork on the Send screen, inside and outside of the form.
func TestTheFooterShowsKeysThatWork(t *testing.T) {
	m := operatorDashboard(t, 120, 40)
	pressKeys(m, "3")
	if !m.pageHasFocus() || m.focused().typing() {
		t.Error("the page takes letters before a field is entered")
	}
	names := func() (all []string) {
		for _, b := range m.focused().keys(&m.shared) {
			all = append(all, b.keys...)
		}
		return all
	}
	for _, key := range []string{"enter", "ctrl+s", "esc"} {
		if !slices.Contains(names(), key) {
			t.Errorf("%s is missing", key)
		}
	}
	for _, key := range []string{"1", "q", "?"} {
		if slices.Contains(names(), key) {
			t.Errorf("%s has another meaning here", key)
		}
	}
}

// TestACodeIsAskedForAndTheSameTransferSent: after step_up_required, a dialog asks for a code, and
// the command goes on with its key; a wrong code asks again, and esc keeps the draft.
func TestACodeIsAskedForAndTheSameTransferSent(t *testing.T) {
	m := operatorDashboard(t, 80, 24)
	pressKeys(m, "3", "enter", "@", "b", "o", "b")
	s := form(m)
	var sent []client.Command
	m.move = func(command client.Command, _ string) (client.Receipt, error) {
		sent = append(sent, command)
		return client.Receipt{}, nil
	}
	command, err := client.NewTransfer("the-key", client.TransferCreate{To: "@bob", Amount: 100, Currency: "USD"})
	if err != nil {
		t.Fatal(err)
	}
	refused := &client.Error{Status: 403, Code: client.StepUpRequired, Detail: "a recent code is required"}
	s.step, s.command = sending, command
	m.Update(sentMsg{key: "the-key", err: refused})
	if view := m.View(); s.step != proving || !strings.Contains(view, "Code needed") || !strings.Contains(view, "authenticator app") {
		t.Fatalf("no dialog:\n%s", view)
	}
	pressKeys(m, "1", "2", "3", "4", "5", "6")
	if view := m.View(); strings.Contains(view, "123456") || s.code.text() != "123456" {
		t.Errorf("the code is %q:\n%s", s.code.text(), view)
	}
	if _, asks := m.Update(keyMsg("enter")); asks == nil {
		t.Fatal("the code is not sent")
	}
	m.Update(steppedUpMsg{"the-key", &client.Error{Status: 401, Code: client.OTPInvalid, Detail: "this code is wrong"}})
	if view := m.View(); s.step != proving || s.code.text() != "" || !strings.Contains(view, "this code is wrong") {
		t.Errorf("after a wrong code:\n%s", view)
	}
	_, sends := m.Update(steppedUpMsg{"the-key", nil})
	for _, msg := range messagesOf(sends) {
		m.Update(msg)
	}
	if len(sent) != 1 || sent[0].Key != "the-key" || sent[0].Resumed || s.step != done {
		t.Errorf("sent %+v, step %d", sent, s.step)
	}

	// If an earlier attempt may have moved the money, esc does not lose its key.
	s.step = sending
	m.Update(sentMsg{key: "the-key", err: &client.UnknownOutcomeError{Key: "the-key", Err: refused}})
	m.Update(keyMsg("esc"))
	if s.step != unknown || !s.command.Resumed {
		t.Errorf("step %d, resumed %t", s.step, s.command.Resumed)
	}
	s.step = sending
	m.Update(sentMsg{key: "the-key", err: refused})
	m.Update(keyMsg("esc"))
	if s.step != filling || s.fields[payeeField].text() != "@bob" {
		t.Errorf("step %d, payee %q", s.step, s.fields[payeeField].text())
	}
}

// messagesOf runs a command, and those of a batch.
func messagesOf(command tea.Cmd) []tea.Msg {
	if command == nil {
		return nil
	}
	switch msg := command().(type) {
	case tea.BatchMsg:
		var all []tea.Msg
		for _, one := range msg {
			all = append(all, messagesOf(one)...)
		}
		return all
	default:
		return []tea.Msg{msg}
	}
}
