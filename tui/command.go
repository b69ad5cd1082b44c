package tui

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

// Command is a program of the user that a key runs. It gets the selected row as arguments, one for
// each word of Run, and as variables; no shell reads them.
type Command struct {
	Key    string
	Screen string // in lower case, or "everywhere"
	Name   string
	Run    []string // the program and its arguments, with placeholders such as {transfer}
}

// placeholders are the facts of a selected row that arguments may contain.
func placeholders() []string {
	return []string{"transfer", "state", "amount", "currency", "handle", "memo"}
}

// variable begins the names of the variables with the facts: KIZO_SELECTED_TRANSFER.
const variable = "KIZO_SELECTED_"

func (c Command) check(screens []string) error {
	switch {
	case c.Name == "" || len(c.Run) == 0 || c.Run[0] == "":
		return fmt.Errorf("commands: %q needs key, name and run = [\"PROGRAM\", \"ARGUMENT\"]", c.Name)
	case !slices.Contains(screens, c.Screen):
		return fmt.Errorf("commands: %s: there is no screen %q; there are: %s", c.Name, c.Screen, strings.Join(screens, ", "))
	case strings.Contains(c.Run[0], "{"):
		return fmt.Errorf("commands: %s: the program itself cannot be a placeholder", c.Name)
	}
	if err := checkKey(c.Key); err != nil {
		return fmt.Errorf("commands: %s: %w", c.Name, err)
	}
	for _, argument := range c.Run[1:] {
		for _, name := range placeholders() {
			argument = strings.ReplaceAll(argument, "{"+name+"}", "")
		}
		if strings.ContainsAny(argument, "{}") {
			return fmt.Errorf("commands: %s: %q has an unknown placeholder; there are: {%s}", c.Name, argument, strings.Join(placeholders(), "}, {"))
		}
	}
	return nil
}

// commandKeys returns the bindings of the user's commands on a screen.
func (c Custom) commandKeys(screen string) []binding {
	var keys []binding
	for _, command := range c.Commands {
		if command.Screen != screen {
			continue
		}
		keys = append(keys, binding{keys: []string{inTea(command.Key)}, shown: shownKey(command.Key), help: printable.Text(command.Name),
			command: printable.Text(strings.Join(command.Run, " ")), run: func(m *shared) tea.Cmd { return m.runCommand(command) }})
	}
	return keys
}

// commandDoneMsg says that a command of the user has ended.
type commandDoneMsg struct {
	name string
	err  error
}

// runCommand runs a program on the terminal, in place of the dashboard until it ends.
func (m *shared) runCommand(c Command) tea.Cmd {
	command, err := m.program(c)
	if err != nil {
		m.showError(err)
		return nil
	}
	return tea.ExecProcess(command, func(err error) tea.Msg { return commandDoneMsg{c.Name, err} })
}

// program returns the process of a command, with the facts of the selected row.
func (m *shared) program(c Command) (*exec.Cmd, error) {
	facts := map[string]string{}
	if m.selection != nil {
		facts = m.selection()
	}
	arguments, err := c.arguments(facts)
	if err != nil {
		return nil, err
	}
	command := exec.Command(arguments[0], arguments[1:]...) //nolint:noctx // the user ends it
	if m.environment != nil {
		command.Env = m.environment()
	} else {
		command.Env = os.Environ()
	}
	for name, value := range facts {
		command.Env = append(command.Env, variable+strings.ToUpper(name)+"="+value)
	}
	return command, nil
}

// arguments replaces the placeholders. A text of another user never becomes an option: a value with
// a leading "-" may begin an argument only after "--".
func (c Command) arguments(facts map[string]string) ([]string, error) {
	var pairs []string
	for name, value := range facts {
		pairs = append(pairs, "{"+name+"}", value)
	}
	replacer, options := strings.NewReplacer(pairs...), true
	out := []string{c.Run[0]}
	for _, argument := range c.Run[1:] {
		options = options && argument != "--"
		for _, name := range placeholders() {
			value, known := facts[name]
			holder := "{" + name + "}"
			switch {
			case !strings.Contains(argument, holder):
			case !known:
				return nil, fmt.Errorf("%s needs the %s of a selected row", c.Name, name)
			case options && strings.HasPrefix(argument, holder) && strings.HasPrefix(value, "-"):
				return nil, fmt.Errorf("%s: the %s begins with -, so it could be an option: put \"--\" before it in run", c.Name, name)
			}
		}
		out = append(out, replacer.Replace(argument))
	}
	return out, nil
}

// selected returns the facts of the selected row of the page; a value has no control characters.
func (m *model) selected() map[string]string {
	switch s := m.pages[m.shown].screen.(type) {
	case *transfersScreen:
		if t := s.current(); t != nil {
			return transferFacts(*t)
		}
	case *walletScreen:
		if len(m.wallets()) > 0 {
			return map[string]string{"currency": s.currency(&m.shared)}
		}
	}
	return map[string]string{}
}

func transferFacts(t client.Transfer) map[string]string {
	other := t.To
	if t.Direction == client.In {
		other = t.From
	}
	number, _, _ := strings.Cut(money.Format(t.Amount, money.Currency(t.Currency)), " ")
	return map[string]string{"transfer": t.Id.String(), "state": string(t.State), "amount": number, "currency": t.Currency,
		"handle": printable.Text(value(other.Handle)), "memo": printable.Text(value(t.Memo))}
}

// commandDone says how a command of the user has ended.
func (m *model) commandDone(msg commandDoneMsg) {
	if msg.err == nil {
		m.showToast(printable.Text(msg.name) + " has ended.")
		return
	}
	exit, ended := errors.AsType[*exec.ExitError](msg.err)
	if ended {
		m.showError(fmt.Errorf("%s has ended with %d", printable.Text(msg.name), exit.ExitCode()))
		return
	}
	m.showError(fmt.Errorf("%s: %w", printable.Text(msg.name), msg.err))
}
