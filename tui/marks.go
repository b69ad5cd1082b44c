package tui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"
)

// marks are the rows of a list on which an action works together, by their ids: rows move while the
// list changes, and the marks stay with them.
type marks struct {
	ids    []string
	anchor string   // where the range begins that follows the selection; empty without a range
	before []string // the marks outside of that range
}

func (k *marks) has(id string) bool { return slices.Contains(k.ids, id) }

func (k *marks) clear() { *k = marks{} }

// toggle marks a row, or removes its mark.
func (k *marks) toggle(id string) {
	k.anchor = ""
	if i := slices.Index(k.ids, id); i >= 0 {
		k.ids = slices.Delete(k.ids, i, i+1)
		return
	}
	k.ids = append(k.ids, id)
}

// begin begins a range at a row, or ends the present one, whose rows stay marked.
func (k *marks) begin(id string) {
	if k.anchor != "" {
		k.anchor = ""
		return
	}
	k.anchor, k.before = id, slices.Clone(k.ids)
}

// follow extends the range to a row. all are the rows in their order.
func (k *marks) follow(id string, all []string) {
	from, to := slices.Index(all, k.anchor), slices.Index(all, id)
	if k.anchor == "" || from < 0 || to < 0 {
		return
	}
	k.ids = slices.Clone(k.before)
	for _, between := range all[min(from, to) : max(from, to)+1] {
		if !k.has(between) {
			k.ids = append(k.ids, between)
		}
	}
}

// all marks all rows, or none if all are marked.
func (k *marks) all(all []string) {
	marked := slices.ContainsFunc(all, func(id string) bool { return !k.has(id) })
	if k.clear(); marked {
		k.ids = slices.Clone(all)
	}
}

// keep forgets the marks of rows that are gone.
func (k *marks) keep(all []string) {
	gone := func(id string) bool { return !slices.Contains(all, id) }
	k.ids, k.before = slices.DeleteFunc(k.ids, gone), slices.DeleteFunc(k.before, gone)
	if k.anchor != "" && gone(k.anchor) {
		k.anchor = ""
	}
}

// markKeys returns the bindings that mark rows of the list.
func (s *queuesScreen) markKeys() []binding {
	here := func() string { return s.list.id(s.selected) }
	extend := func(by int) func(*shared) tea.Cmd {
		return func(*shared) tea.Cmd {
			if s.marks.anchor == "" {
				s.marks.begin(here())
			}
			s.move(by)
			return nil
		}
	}
	none := ""
	if s.list.length() == 0 {
		none = "the list is empty"
	}
	keys := []binding{
		{keys: []string{" "}, shown: "space", help: "mark", off: none, run: func(*shared) tea.Cmd {
			s.marks.toggle(here())
			s.move(1)
			return nil
		}},
		{keys: []string{"ctrl+a"}, shown: "ctrl-a", help: "mark all", off: none, run: func(*shared) tea.Cmd { s.marks.all(s.list.ids()); return nil }},
		{keys: []string{"v"}, shown: "v", help: "begin or end a range of marks", off: none, run: func(*shared) tea.Cmd {
			s.marks.begin(here())
			s.marks.follow(here(), s.list.ids())
			return nil
		}},
		{keys: []string{"shift+down"}, shown: "shift-↓", help: "mark down", off: none, run: extend(1)},
		{keys: []string{"shift+up"}, shown: "shift-↑", help: "mark up", off: none, run: extend(-1)},
	}
	for i := range keys {
		keys[i] = keys[i].greyed()
	}
	if len(s.marks.ids) > 0 {
		keys = append(keys, binding{keys: []string{"esc"}, shown: "esc", help: "remove the marks", run: func(*shared) tea.Cmd { s.marks.clear(); return nil }})
	}
	return keys
}

// ids returns the ids of all rows, in their order.
func (l taskList) ids() []string {
	all := make([]string, l.length())
	for i := range all {
		all[i] = l.id(i)
	}
	return all
}

// chosen returns the marked rows in their order, or the selected one if none is marked or it is
// shown alone.
func (s *queuesScreen) chosen() (rows []int) {
	if s.depth == oneRow && s.selected < s.list.length() {
		return []int{s.selected}
	}
	for i := range s.list.length() {
		if s.marks.has(s.list.id(i)) {
			rows = append(rows, i)
		}
	}
	if len(rows) == 0 && s.selected < s.list.length() {
		rows = []int{s.selected}
	}
	return rows
}
