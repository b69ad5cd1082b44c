package tui

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"github.com/JDevAman/kizo/internal/testkit"
)

func keysOn(screen string, pairs ...string) Custom {
	c := Custom{Keys: map[string]map[string][]string{screen: {}}}
	for i := 0; i < len(pairs); i += 2 {
		c.Keys[screen][pairs[i]] = strings.Fields(pairs[i+1])
	}
	return c
}

func TestCustomIsChecked(t *testing.T) {
	run := func(key, screen string, words ...string) Custom {
		return Custom{Commands: []Command{{Key: key, Screen: screen, Name: "order", Run: words}}}
	}
	for _, test := range []struct {
		custom Custom
		want   string // in the error; empty: none
	}{
		{Custom{}, ""},
		{Custom{Start: "transfers"}, ""},
		{Custom{Start: "shop"}, `no screen "shop"`},
		{keysOn("transfers", "y", "Y", "C", "ctrl+t"), ""},
		{keysOn("transfers", "j", "down n"), `down`},
		{keysOn("transfers", "j", "Z"), ""},
		{keysOn("transfers", "C", "V"), `V would be`},
		{keysOn("transfers", "C", "?"), `is "keys" everywhere`},
		{keysOn("transfers", "C", "y"), "y confirms in dialogs"},
		{keysOn("transfers", "C", "ctrl+c"), "ctrl+c ends"},
		{keysOn("transfers", "C", "ctrl+m"), "is not the name of a key"},
		{keysOn("transfers", "C", ""), "has no key"},
		{keysOn("transfers", "ctrl+q", "Z"), `no key "ctrl+q"`},
		{keysOn("queues", "e", "E"), ""},
		{keysOn("queues", "e", "p"), "p would be"},
		{keysOn("everywhere", "q", "ctrl+q"), ""},
		{keysOn("everywhere", "q", "tab"), "tab would be"},
		{keysOn("everywhere", "q", "C"), ""},
		{keysOn("review", "y", "C"), `no screen "review"`},
		{run("O", "transfers", "orders", "--id", "{transfer}"), ""},
		{run("C", "transfers", "orders"), "C would be"},
		{run("y", "transfers", "orders"), "y confirms"},
		{run("O", "shop", "orders"), "no screen"},
		{run("O", "transfers"), "needs key, name and run"},
		{run("O", "transfers", "{memo}"), "cannot be a placeholder"},
		{run("O", "transfers", "orders", "{password}"), "unknown placeholder"},
	} {
		err := test.custom.Check()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.custom, err, test.want)
		}
	}
}

// TestReplacedKeys work, are shown, and free the default ones.
func TestReplacedKeys(t *testing.T) {
	m := operatorDashboard(t, 160, 40)
	m.custom = keysOn("everywhere", "?", "f5", "2", "ctrl+t")
	m.Update(keyMsg("?"))
	if m.overlay != nil {
		t.Error("? still opens the help")
	}
	m.Update(tea.KeyMsg{Type: tea.KeyCtrlT})
	testkit.Equal(t, "the page", m.pages[m.shown].title, "Transfers")
	testkit.Contains(t, ansi.Strip(m.View()), "f5 keys")
	m.Update(tea.KeyMsg{Type: tea.KeyF5})
	if _, opened := m.overlay.(*searchScreen); !opened {
		t.Errorf("F5 opens %T", m.overlay)
	}
}

func TestBackGoesThroughTheScreens(t *testing.T) {
	m := operatorDashboard(t, 120, 40)
	for _, key := range []string{"2", "5", "4"} {
		m.Update(keyMsg(key))
	}
	var seen []string
	for range 4 {
		m.Update(keyMsg("-"))
		seen = append(seen, m.pages[m.shown].title)
	}
	testkit.Equal(t, "screens", strings.Join(seen, " "), "Health Transfers Wallet Wallet")
}

// TestCommandsGetTexts of others as single arguments, never as options and never through a shell.
func TestCommandsGetTexts(t *testing.T) {
	c := Command{Name: "order", Run: []string{"orders", "--memo={memo}", "x{transfer}", "--", "{memo}"}}
	evil := `-rf $(touch /tmp/x) "; {transfer} 'a`
	got, err := c.arguments(map[string]string{"memo": evil, "transfer": "t1"})
	testkit.Must(t, err)
	want := []string{"orders", "--memo=" + evil, "xt1", "--", evil}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for words, want := range map[string]string{"{memo}": "could be an option", "{handle}": "needs the handle"} {
		c.Run = []string{"orders", words}
		if _, err := c.arguments(map[string]string{"memo": evil}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", words, err)
		}
	}
}

// TestCommandRuns the program with the facts of the selected transfer.
func TestCommandRuns(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	m := dashboard(t)
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 40})
	for _, msg := range afterOpening() {
		m.Update(msg)
	}
	m.custom = Custom{Commands: []Command{{Key: "O", Screen: "transfers", Name: "order", Run: []string{"sh", "-c", `echo "$1 $KIZO_SELECTED_CURRENCY" >` + out, "-", "{memo}"}}}}
	m.Update(keyMsg("2"))
	if _, command := m.Update(keyMsg("O")); command == nil {
		t.Fatal("its key does nothing")
	}
	program, err := m.program(m.custom.Commands[0])
	testkit.Must(t, err)
	testkit.Must(t, program.Run())
	written, err := os.ReadFile(out)
	testkit.Must(t, err)
	testkit.Equal(t, "what the program got", string(written), "invoice 0 USD\n")
}
