package tui

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// PayeeNames are the user's own names for payees, such as rent for @bob.
type PayeeNames interface {
	// List returns the handles by their names, each with its @.
	List(ctx context.Context) (map[string]string, error)
	Add(ctx context.Context, name, handle string) error
	Remove(ctx context.Context, name string) error
}

type namesMsg struct {
	names map[string]string
	err   error
}

// renamedMsg is the answer to a change of a name.
type renamedMsg struct {
	actedMsg
	namesMsg
}

func (m *shared) askNames() tea.Cmd {
	if m.payeeNames == nil {
		return nil
	}
	source := m.payeeNames
	return m.ask(func(ctx context.Context) tea.Msg {
		names, err := source.List(ctx)
		return namesMsg{names, err}
	})
}

// takeNames keeps the names. Without them, handles work all the same.
func (m *shared) takeNames(msg namesMsg) {
	if msg.err == nil {
		m.names = msg.names
	}
}

// nameOf returns the user's names for a handle, separated by commas.
func (m *shared) nameOf(handle string) string {
	var found []string
	for name, of := range m.names {
		if of == "@"+handle {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return strings.Join(found, ", ")
}

// known is a payee: a user whom this one paid or named.
type known struct {
	person client.Person
	paid   time.Time // zero if only named
	times  int       // among the known transfers
}

// payeesScreen lists the payees, the last paid first, over the page.
type payeesScreen struct {
	selected, offset int
}

func (s *payeesScreen) typing() bool { return false }

// payees returns those of the transfers and of the names.
func (s *payeesScreen) payees(m *shared) (all []known) {
	at := func(handle string) *known {
		i := slices.IndexFunc(all, func(k known) bool { return k.person.Handle == handle })
		if i < 0 {
			i, all = len(all), append(all, known{person: client.Person{Handle: handle}})
		}
		return &all[i]
	}
	seen := map[client.ID]bool{}
	for _, t := range slices.Concat(m.paid, m.recent) {
		if !paysAPerson(t) || seen[t.Id] || *t.To.Handle == m.me.Handle {
			continue
		}
		seen[t.Id] = true
		k := at(*t.To.Handle)
		k.person.Name, k.person.Staff, k.times = value(t.To.Name), t.To.Staff, k.times+1
		if t.CreatedAt.After(k.paid) {
			k.paid = t.CreatedAt
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		at(strings.TrimPrefix(m.names[name], "@"))
	}
	slices.SortStableFunc(all, func(a, b known) int { return b.paid.Compare(a.paid) })
	return all
}

// paysAPerson reports whether the user paid another user by a transfer.
func paysAPerson(t client.Transfer) bool {
	return t.Direction == client.Out && t.To.Handle != nil && t.Reverses == nil && t.State != client.Refused
}

func (s *payeesScreen) current(m *shared) (known, bool) {
	all := s.payees(m)
	if len(all) == 0 {
		return known{}, false
	}
	s.selected = min(s.selected, len(all)-1)
	return all[s.selected], true
}

func (s *payeesScreen) keys(m *shared) []binding {
	moves := func(by int) func(*shared) tea.Cmd {
		return func(m *shared) tea.Cmd {
			s.selected = max(0, min(s.selected+by, len(s.payees(m))-1))
			return nil
		}
	}
	k, some := s.current(m)
	none := ""
	if !some {
		none = "there is no payee yet"
	}
	handle := "@" + k.person.Handle
	send := binding{keys: []string{"enter", "s"}, shown: "enter", help: "send", command: "kizo transfer " + handle + " AMOUNT", off: none,
		run: func(m *shared) tea.Cmd {
			m.close()
			draft := draftMsg{to: handle}
			return func() tea.Msg { return draft }
		}}
	name := binding{keys: []string{"n"}, shown: "n", help: "name", command: "kizo payees add NAME " + handle, off: none,
		run: func(m *shared) tea.Cmd { m.act(m.nameAction(handle)); return nil }}
	unname := binding{keys: []string{"x"}, shown: "x", help: "remove the name", command: "kizo payees remove NAME", off: none}
	names := m.nameOf(k.person.Handle)
	first, _, _ := strings.Cut(names, ", ")
	unname.run = func(m *shared) tea.Cmd { m.act(m.unnameAction(first, handle)); return nil }
	switch {
	case m.payeeNames == nil && name.off == "":
		name.off, unname.off = "names are not kept here", "names are not kept here"
	case names == "" && unname.off == "":
		unname.off = "this payee has no name of yours"
	}
	return []binding{send.greyed(), name.greyed(), unname.greyed(),
		{keys: []string{"esc", "q", "P"}, shown: "esc", help: "close", run: func(m *shared) tea.Cmd { m.close(); return nil }},
		{keys: []string{"j", "down"}, shown: "j/↓", help: "next payee", run: moves(1)},
		{keys: []string{"k", "up"}, shown: "k/↑", help: "previous payee", run: moves(-1)},
		{keys: []string{"g", "home"}, shown: "g", help: "the last paid", run: moves(-1 << 16)},
		{keys: []string{"G", "end"}, shown: "G", help: "the end of the list", run: moves(1 << 16)},
	}
}

// payeesKey is the binding that lists the payees.
func payeesKey() binding {
	return binding{keys: []string{"P"}, shown: "P", help: "payees", command: "kizo payees list", run: func(m *shared) tea.Cmd {
		m.open(&payeesScreen{})
		return m.askNames()
	}}
}

// maxName is the limit of a name for a payee, in characters.
const maxName = 30

// nameAction asks for a name. It reopens the list when it is done.
func (m *shared) nameAction(handle string) action {
	source := m.payeeNames
	return action{
		title: "Name this payee?", verb: "Name", subject: []draw.Pair{{Name: "payee", Value: handle, Paint: m.Title.Render}},
		label: "Name", maxLen: maxName, missing: "type a name: lower-case letters, digits, dashes and underscores", hint: "yours alone, kept on this computer",
		effect: func(name string) string {
			if name == "" {
				return "You can then type the name in place of the handle."
			}
			return name + " then stands for " + handle + ", also in kizo transfer " + name + " AMOUNT."
		},
		commandLine: func(name string) string { return strings.TrimSpace("kizo payees add " + name + " " + handle) },
		run: func(m *shared, name string) tea.Cmd {
			return m.changeNames(name+" is "+handle+".", func(ctx context.Context) error { return source.Add(ctx, name, handle) })
		},
	}
}

func (m *shared) unnameAction(name, handle string) action {
	source := m.payeeNames
	return action{
		title: "Remove this name?", verb: "Remove", subject: []draw.Pair{{Name: "name", Value: name}, {Name: "payee", Value: handle, Paint: m.Title.Render}},
		effect:      always("The name is forgotten on this computer. Transfers stay as they are."),
		commandLine: func(string) string { return "kizo payees remove " + name },
		run: func(m *shared, _ string) tea.Cmd {
			return m.changeNames(name+" is no name of "+handle+" any more.", func(ctx context.Context) error { return source.Remove(ctx, name) })
		},
	}
}

// changeNames does a change and reads the names again.
func (m *shared) changeNames(done string, do func(ctx context.Context) error) tea.Cmd {
	m.open(&payeesScreen{})
	source := m.payeeNames
	return m.ask(func(ctx context.Context) tea.Msg {
		err := do(ctx)
		names, failed := source.List(ctx)
		return renamedMsg{actedMsg{done, err}, namesMsg{names, failed}}
	})
}

func (s *payeesScreen) update(*shared, tea.Msg) tea.Cmd { return nil }

func (s *payeesScreen) view(m *shared, width, height int) string {
	return centered(s.dialog(m, width, height), width, height)
}

// dialog draws the list over the page.
func (s *payeesScreen) dialog(m *shared, width, height int) string {
	all := s.payees(m)
	wide, tall := min(width, 90), min(height, max(4, len(all)+3))
	inner, rows := draw.Inner(wide, tall)
	t := draw.Table{
		Columns:  []draw.Column{{Title: "HANDLE", Cut: 10}, {Title: "NAME", Cut: 8, Drop: 1}, {Title: "YOUR NAME", Cut: 8, Drop: 2}, {Title: "TIMES", Right: true, Drop: 4}, {Title: "LAST PAID", Drop: 3}},
		Selected: s.selected, Width: inner, Height: rows, Detail: m.detail, Titles: m.Dim.Render, Chosen: m.Selected.Render, Bar: m.Border.Render,
	}
	for _, k := range all {
		last, who := "", "@"+k.person.Handle
		if !k.paid.IsZero() {
			last = when(k.paid, m.now)
		}
		if k.person.Staff != nil && *k.person.Staff {
			who += " [staff]"
		}
		t.Rows = append(t.Rows, []draw.Cell{{Text: who}, {Text: k.person.Name}, {Text: m.nameOf(k.person.Handle), Paint: m.Accent.Render},
			{Text: count(k.times, "transfer", "transfers")}, {Text: last, Paint: m.Dim.Render}})
	}
	body := m.Dim.Render("You have paid no user yet. The Send screen finds users by handle.")
	if len(all) > 0 {
		s.selected = min(s.selected, len(all)-1)
		s.offset = draw.ScrollTo(s.selected, s.offset, len(t.Rows), t.Height)
		t.Offset = s.offset
		body = t.Draw()
	}
	return m.box("Payees", count(len(all), "payee", "payees"), body, wide, tall)
}
