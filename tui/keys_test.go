package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"pgregory.net/rapid"

	"github.com/JDevAman/kizo/client"
)

// keyStates are keys that lead to the states of the dashboard, after its data has arrived.
func keyStates() map[string][]string {
	return map[string][]string{
		"wallet": {"1"}, "second wallet": {"1", "j"}, "help": {"?"}, "palette": {":"}, "device": {"A"}, "device code": {"A", "X"},
		"transfers": {"2"}, "paused": {"2", "j", "j"}, "reading": {"2", "j", "enter"}, "typing a filter": {"2", "/", "s", "t"},
		"filtered": {"2", "/", "l", "enter"}, "only like": {"2", "f"}, "saved filter": {"2", "]"}, "capture": {"2", "C"}, "capture review": {"2", "C", "enter"}, "void": {"2", "V"},
		"send": {"3"}, "draft": {"3", "enter", "@", "b", "o", "b", "esc"}, "payee": {"3", "enter", "b"}, "amount": {"3", "enter", "@", "b", "o", "b", "enter", "1"},
		"memo": {"3", "enter", "@", "b", "o", "b", "enter", "1", "enter", "x"}, "review": {"3", "enter", "@", "b", "o", "b", "enter", "1", "enter", "enter"},
		"quit?": {"3", "enter", "@", "b", "esc", "q"}, "deposit": {"1", "D", "1"}, "deposit review": {"1", "D", "1", "enter"}, "withdraw": {"1", "W", "1"},
		"open a wallet": {"1", "N", "k"}, "open review": {"1", "N", "k", "w", "d", "enter"}, "payees": {"1", "P"}, "name": {"1", "P", "n", "x"}, "help of a dialog": {"1", "D", "1", "f1"},
		"queues": {"4"}, "archived": {"4", "h", "h"}, "marked": {"4", "h", "h", " ", " "}, "the list alone": {"4", "h", "h", "enter"}, "a task": {"4", "h", "h", "enter", "j", "enter"},
		"payments in review": {"4", "h"}, "retry": {"4", "h", "h", "t", "x"}, "retry review": {"4", "h", "h", "t", "x", "enter"}, "retry all": {"4", "h", "h", "ctrl+a", "t", "x", "enter"},
		"health": {"5"}, "audit": {"5", "a"},
	}
}

// roles change who looks at the dashboard, and how.
func roles() map[string]func(m *model) {
	return map[string]func(m *model){
		"operator": func(*model) {},
		"user":     func(m *model) { m.me.Role, m.ops.denied = client.UserRoleUser, true },
		"readonly": func(m *model) { m.readonly = "it was started with --readonly" },
	}
}

// inState returns a dashboard in which a role has pressed the keys of a state.
func inState(t *testing.T, role func(*model), pressed []string, width, height int) *model {
	t.Helper()
	m, r, s := listing(t, 40)
	r.people = []client.Person{{Handle: "bob", Name: "Bob"}, {Handle: "bobby", Name: "Bobby"}}
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	form(m).known.at = noon
	m.saved = []SavedFilter{{"lunch", "lunch"}}
	m.payeeNames = keptNames{"rent": "@bob", "tea": "@carol", "fun": "@dora"}
	m.pages[0].screen.(*walletScreen).asked = "USD"
	m.Update(adasWallet("bob"))
	list := adasTransfers(40)
	list.Items = slices.Insert(list.Items, 0, heldFor("ada", "Bob"))
	m.Update(pageMsg{found: list})
	m.move = func(client.Command, string) (client.Receipt, error) { return client.Receipt{}, nil }
	role(m)
	for _, msg := range keys(pressed...) {
		_, command := m.Update(msg)
		for _, answer := range messagesOf(command) {
			if _, quits := answer.(tea.QuitMsg); !quits {
				m.Update(answer)
			}
		}
		if review := (listKey{"bank", review}); s.key(&m.shared) == review {
			s.update(&m.shared, taskListMsg{key: review, list: taskList{key: review, payments: []client.Payment{*taskNumber(1).Payment, *taskNumber(2).Payment, *taskNumber(3).Payment}}})
		}
	}
	m.toast = ""
	return m
}

// fingerprint is all that a key can change.
func (m *model) fingerprint() string {
	return fmt.Sprint(m.View(), m.mouse, m.shown, m.toast)
}

// TestEveryKeyInAFooterWorks in every state and for every role: it does something, at once or after
// another key that moves, and every binding that works is in the help of that state.
func TestEveryKeyInAFooterWorks(t *testing.T) {
	before := [][]string{nil, {"j"}, {"G"}, {"down"}, {"left"}, {"n"}, {"x"}, {"x", "left"}}
	for name, pressed := range keyStates() {
		works := map[string]bool{} // what one role can do in a state, the others can where it is offered
		for role, become := range roles() {
			m := inState(t, become, pressed, 200, 50)
			for _, fault := range keymapFaults(m.focused().keys(&m.shared)) {
				t.Errorf("%s, %s: %s", role, name, fault)
			}
			inHelp := map[string]bool{}
			for _, b := range helpOf(m) {
				inHelp[b.help] = true
			}
			for _, b := range m.footerKeys() {
				if !inHelp[b.help] {
					t.Errorf("%s, %s: %s (%s) is not in the help", role, name, b.shown, b.help)
				}
				for _, key := range b.keys {
					if m.focused().typing() && b.typed != "" && len([]rune(key)) == 1 {
						continue // text here: the footer shows the other key
					}
					what := key + " " + b.help
					if works[what] {
						continue
					}
					works[what] = true
					if !slices.ContainsFunc(before, func(way []string) bool { return does(t, become, slices.Concat(pressed, way), key) }) {
						t.Errorf("%s, %s: %s (%s) does nothing\n%s", role, name, key, b.help, m.View())
					}
				}
			}
		}
	}
}

// does reports whether a key does something in a state.
func does(t *testing.T, become func(*model), pressed []string, key string) bool {
	t.Helper()
	m := inState(t, become, pressed, 100, 30)
	was := m.fingerprint()
	_, command := m.Update(keyMsg(key))
	return command != nil || m.fingerprint() != was
}

// helpOf returns the bindings that the help of a state lists.
func helpOf(m *model) (all []binding) {
	if m.helps() { // it lists keys, and has its own in its footer
		return m.footerKeys()
	}
	groups := m.keymap()
	if m.overlay != nil {
		groups = []keyGroup{{"Here", append(m.keysOf(m.overlay), m.overlayHelp())}}
	}
	for _, group := range groups {
		all = append(all, group.keys...)
	}
	return all
}

// TestTheHelpOfADialogGoesBackToIt, with what was typed.
func TestTheHelpOfADialogGoesBackToIt(t *testing.T) {
	m := inState(t, func(*model) {}, []string{"1", "D", "1", "2", "f1"}, 100, 30)
	if view := m.View(); !m.helps() || !strings.Contains(view, "review") {
		t.Fatalf("%s", view)
	}
	pressKeys(m, "esc")
	if d, back := m.overlay.(*reviewDialog); !back || d.field.text() != "12" {
		t.Errorf("shows %T", m.overlay)
	}
}

// TestAnySizeAndAnyClick: the dashboard fits while it is resized, and clicked anywhere, in every
// state and role.
func TestAnySizeAndAnyClick(t *testing.T) {
	names := make([]string, 0, len(keyStates()))
	for name := range keyStates() {
		names = append(names, name)
	}
	slices.Sort(names)
	rapid.Check(t, func(r *rapid.T) {
		role := rapid.SampledFrom([]string{"operator", "user", "readonly"}).Draw(r, "role")
		m := inState(t, roles()[role], keyStates()[rapid.SampledFrom(names).Draw(r, "state")], 120, 40)
		evil := rapid.SampledFrom([]string{"\x1b[2J", "\x1b]52;c;eA==\x07", "\u202eevil", "☰🇩🇪👍🏽", strings.Repeat("山", 40), "e\u0301\u0301\u0301"})
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			switch rapid.IntRange(0, 3).Draw(r, "step") {
			case 0:
				m.Update(tea.WindowSizeMsg{Width: rapid.IntRange(20, 300).Draw(r, "width"), Height: rapid.IntRange(5, 100).Draw(r, "height")})
			case 1:
				button := rapid.SampledFrom([]tea.MouseButton{tea.MouseButtonLeft, tea.MouseButtonWheelDown, tea.MouseButtonWheelUp, tea.MouseButtonRight}).Draw(r, "button")
				m.Update(tea.MouseMsg{X: rapid.IntRange(0, 300).Draw(r, "x"), Y: rapid.IntRange(0, 100).Draw(r, "y"), Button: button, Action: tea.MouseActionPress})
			case 2:
				m.Update(keyMsg(rapid.SampledFrom([]string{"enter", "esc", "j", "tab", " ", "ctrl+a", "v", "G", "y", "f1", "2", "4", "up", "]", "f", "o"}).Draw(r, "key")))
			default:
				text := evil.Draw(r, "text")
				task := taskNumber(1)
				task.Id, task.Payment.User, task.Payment.LastError, task.LastError, task.Payment.BankRef = text, &text, &text, &text, &text
				s := m.pages[3].screen.(*queuesScreen)
				m.Update(taskListMsg{key: s.key(&m.shared), list: taskList{key: s.key(&m.shared), tasks: []client.Task{task, taskNumber(2)}}})
				m.Update(taskDetailMsg{id: text, payment: *task.Payment, timeline: client.Timeline{WaitsFor: text, Next: text}})
				m.Update(auditMsg{report: client.AuditReport{Checks: []client.AuditCheck{{Name: text, Sentence: text, Broken: []string{text}}}}})
				m.Update(reconciledMsg{result: client.Reconciliation{Discrepancies: []client.Discrepancy{{Kind: text, Detail: text, ExternalRef: text}}}})
				m.Update(namesMsg{names: map[string]string{text: "@" + text}})
				m.Update(unfinishedMsg{list: []Unfinished{{What: text}}})
				m.Update(actedMsg{done: text})
			}
			fits(r, m)
		}
	})
}

// The requests whose answers the tests of keys do not need.

func (r *manyTasks) Summary(context.Context, time.Time) (client.Summary, error) {
	return adasSummary("lunch"), nil
}

func (r *manyTasks) Transfers(context.Context, client.ListTransfersParams) (client.TransferList, error) {
	return adasTransfers(40), nil
}

func (r *manyTasks) History(context.Context, string) (client.OpsHistory, error) {
	return client.OpsHistory{}, nil
}

func (r *manyTasks) Balance(context.Context, string, time.Time) (client.Balance, error) {
	return client.Balance{}, nil
}

func (r *manyTasks) FindDeviceLogin(context.Context, string) (client.DeviceRequest, error) {
	return client.DeviceRequest{}, errors.New("no such code")
}
