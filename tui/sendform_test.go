package tui

import (
	"context"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
)

// sendRecord answers the requests of the Send screen.
type sendRecord struct {
	operatorRecord
	people []client.Person
}

func (r *sendRecord) SearchUsers(context.Context, string) ([]client.Person, error) {
	return r.people, nil
}

func (r *sendRecord) Preview(_ context.Context, body client.TransferCreate) (client.TransferPreview, error) {
	to := strings.TrimPrefix(body.To, "@")
	return client.TransferPreview{Amount: body.Amount, Currency: body.Currency, To: client.Party{Handle: &to}}, nil
}

// typed presses keys one by one and handles the answers to their requests at once.
func typed(m *model, names ...string) {
	for _, msg := range keys(names...) {
		_, command := m.Update(msg)
		handled(m, command)
	}
}

func handled(m *model, command tea.Cmd) {
	for _, answer := range messagesOf(command) {
		switch answer.(type) {
		case lookUpMsg, peopleMsg, previewMsg, sentMsg, showMsg, actedMsg:
			_, next := m.Update(answer)
			handled(m, next)
		}
	}
}

// TestTheFirstPaymentTakesFewKeys counts the keys from the first screen to the receipt.
func TestTheFirstPaymentTakesFewKeys(t *testing.T) {
	m := operatorDashboard(t, 80, 24)
	form(m).known.at = noon // nothing more is requested
	m.recent = nil
	m.server = &sendRecord{people: []client.Person{{Handle: "carol", Name: "Carol"}, {Handle: "carl", Name: "Carl"}}}
	var sent []client.Command
	m.move = func(command client.Command, _ string) (client.Receipt, error) {
		sent = append(sent, command)
		return client.Receipt{}, nil
	}
	pressed := []string{"3", "enter", "c", "a", "r", "enter", "1", "2", ".", "5", "0", "enter", "enter", "y"}
	typed(m, pressed...)
	if len(sent) != 1 || string(sent[0].Body) != `{"amount":1250,"currency":"USD","to":"@carol"}` || form(m).step != done {
		t.Fatalf("sent %v\n%s", sent, m.View())
	}
	if len(pressed) > 20 {
		t.Errorf("%d keys", len(pressed))
	}
}

// TestPayeesAreSuggested: the last paid first, then others; an exact handle before all.
func TestPayeesAreSuggested(t *testing.T) {
	m := operatorDashboard(t, 80, 24)
	m.recent = nil
	paid := func(handle, name string, ago time.Duration) client.Transfer {
		t := adasTransfers(1).Items[0]
		t.To, t.CreatedAt = client.Party{Handle: &handle, Name: &name}, noon.Add(-ago)
		return t
	}
	s := form(m)
	s.known.at = noon
	m.paid = []client.Transfer{paid("carol", "Carol Ng", 2*time.Hour), paid("bob", "Bob Moore", time.Hour),
		paid("bobby", "Robert Quist", time.Minute), paid("carol", "Carol Ng", 3*time.Hour), paid("ada", "Ada", 0)}
	refused := paid("dora", "Dora", 0)
	refused.State = client.Refused
	m.paid = append(m.paid, refused)
	handles := func() string {
		var all []string
		for _, p := range s.suggested(&m.shared) {
			all = append(all, p.Handle)
		}
		return strings.Join(all, " ")
	}
	pressKeys(m, "3", "enter")
	bodil, bob := client.Person{Handle: "bodil", Name: "Bodil"}, client.Person{Handle: "bob", Name: "Bob Moore"}
	for _, step := range []struct {
		key    string
		answer []client.Person // of the server
		want   string
	}{
		{"", nil, "bobby bob carol"},                                    // whom Ada paid, the last one first, and never herself
		{"b", nil, "bobby bob"},                                         // before the server has answered
		{"o", []client.Person{bob, bodil}, "bobby bob bodil"},           // and whom the server found
		{"b", []client.Person{bob, {Handle: "bobo"}}, "bob bobby bobo"}, // exactly this one
		{"ctrl+u", nil, "bobby bob carol"},                              // all again
		{"m", nil, "bob"},                                               // a word of the name
	} {
		if step.key != "" {
			pressKeys(m, step.key)
		}
		if step.answer != nil {
			m.Update(peopleMsg{prefix: s.prefix(), people: step.answer})
		}
		if got := handles(); got != step.want {
			t.Errorf("after %q: %q, want %q", step.key, got, step.want)
		}
	}
	pressKeys(m, "ctrl+u", "down", "enter")
	if got := s.fields[payeeField].text(); got != "@bob" || s.focus != amountField {
		t.Errorf("took %q", got)
	}
	pressKeys(m, "shift+tab", "ctrl+u", "tab") // tab leaves an empty field empty
	if got := s.fields[payeeField].text(); got != "" || s.focus != amountField {
		t.Errorf("took %q", got)
	}
}

// TestTheFormSaysWhatAnAmountLeaves, and which limits it meets.
func TestTheFormSaysWhatAnAmountLeaves(t *testing.T) {
	m := operatorDashboard(t, 100, 30)
	s := form(m)
	s.known = sendData{at: noon, limits: []client.WalletLimit{{Currency: "USD", MaxPerTransfer: ptr[int64](500_00), MaxPerDay: ptr[int64](1000_00), SpentToday: 400_00}},
		thresholds: []client.StepUpThreshold{{Currency: "USD", Amount: 100_00}}}
	pressKeys(m, "3", "enter", "@", "b", "o", "b", "enter", "2", "0", "0")
	see := func(texts ...string) {
		t.Helper()
		for _, text := range texts {
			if view := m.View(); !strings.Contains(view, text) {
				t.Errorf("%q is missing in\n%s", text, view)
			}
		}
	}
	see("after this     1 034.56 USD", "limit each     500.00 USD", "left today     600.00 USD of 1 000.00 USD", "▲ a code is asked for this amount")
	pressKeys(m, "ctrl+u", "a", "l", "l")
	see("after this     0.00 USD", "✗ 500.00 USD, this is more", "✗ 600.00 USD of 1 000.00 USD, this is more")
	amount, err := s.amount(&m.shared)
	if err != nil || amount.Minor != 1234_56 {
		t.Errorf("all is %v, %v", amount, err)
	}
	m.summary.Wallets[0].Wallet.Available = 0
	if _, err := s.amount(&m.shared); err == nil {
		t.Error("all of nothing can be sent")
	}
	pressKeys(m, "ctrl+x")
	if s.draft() || s.focus != payeeField || !s.typing() || len(s.known.limits) != 1 {
		t.Errorf("ctrl-x leaves %q, field %d", s.fields[amountField].text(), s.focus)
	}
}

// TestGlobalKeysWhileTyping: those that are no text work, and the draft stays.
func TestGlobalKeysWhileTyping(t *testing.T) {
	for name, page := range map[string]int{"alt+1": 0, "alt+2": 1, "alt+4": 3, "alt+5": 4} {
		m := operatorDashboard(t, 80, 24)
		pressKeys(m, "3", "enter", "@", "b")
		m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(strings.TrimPrefix(name, "alt+")), Alt: true})
		if m.shown != page || form(m).fields[payeeField].text() != "@b" {
			t.Errorf("%s shows page %d, the payee is %q", name, m.shown, form(m).fields[payeeField].text())
		}
	}
	for name, title := range map[string]string{"f1": "Keys", "ctrl+k": "Command palette"} {
		m := operatorDashboard(t, 80, 24)
		pressKeys(m, "3", "enter", "@", "b", name)
		if opened, ok := m.overlay.(*searchScreen); !ok || opened.title != title || form(m).fields[payeeField].text() != "@b" {
			t.Errorf("%s opens %T, the payee is %q", name, m.overlay, form(m).fields[payeeField].text())
		}
	}
}

// TestQuittingAsksIfSomethingWouldBeLost: a draft, a review or a command without an answer.
func TestQuittingAsksIfSomethingWouldBeLost(t *testing.T) {
	review := []string{"3", "enter", "@", "b", "o", "b", "enter", "1", "enter", "enter"}
	for name, way := range map[string][]string{
		"a draft": {"3", "enter", "@", "b", "esc"}, "on another page": {"3", "enter", "@", "b", "esc", "1"}, "a review": review,
		"an unknown outcome": append(append([]string{}, review...), "y"),
	} {
		m := operatorDashboard(t, 80, 24)
		form(m).known.at = noon
		m.server = &sendRecord{}
		m.move = func(client.Command, string) (client.Receipt, error) {
			return client.Receipt{}, &client.UnknownOutcomeError{Key: someKey, Err: context.DeadlineExceeded}
		}
		typed(m, way...)
		if _, command := m.Update(keyMsg("q")); command != nil {
			t.Errorf("%s: q quits", name)
		}
		if _, asks := m.overlay.(*reviewDialog); !asks {
			t.Fatalf("%s: q opens %T", name, m.overlay)
		}
		for _, key := range []string{"q", "enter", "esc"} { // Cancel has the focus
			if _, command := m.Update(keyMsg(key)); command != nil || m.overlay != nil {
				t.Errorf("%s: %s does not cancel", name, key)
			}
			m.Update(keyMsg("q"))
		}
		_, command := m.Update(keyMsg("y"))
		if _, quits := command().(tea.QuitMsg); !quits {
			t.Errorf("%s: y does not quit", name)
		}
	}
	m := operatorDashboard(t, 80, 24)
	if _, command := m.Update(keyMsg("q")); command == nil || m.overlay != nil {
		t.Error("q asks although nothing would be lost")
	}
}
