package tui

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/tui/draw"
)

// keyGroup is the bindings of one place: a screen, or everywhere.
type keyGroup struct {
	title string
	keys  []binding
}

// searchScreen is the palette and the help: both list the same bindings, filtered by what is typed.
// The palette runs the chosen binding; the help only shows it.
type searchScreen struct {
	title    string
	groups   []keyGroup
	runs     bool
	columns  [2]string // the titles if the bindings are choices, not keys; otherwise empty
	under    screen    // the overlay that is shown again when this one is closed; usually nil
	query    string
	selected int
	offset   int
}

// maxQuery limits the length of a search, in characters.
const maxQuery = 60

// newPaletteScreen returns the command palette for these bindings.
func newPaletteScreen(groups []keyGroup) *searchScreen {
	return &searchScreen{title: "Command palette", groups: groups, runs: true}
}

// newHelpScreen returns the searchable help for these bindings.
func newHelpScreen(groups []keyGroup) *searchScreen {
	return &searchScreen{title: "Keys", groups: groups}
}

// match is a binding that matches the search.
type match struct {
	group string
	binding
	score int
}

func (s *searchScreen) typing() bool { return true }

func (s *searchScreen) keys(*shared) []binding {
	moves := func(by int) func(*shared) tea.Cmd {
		return func(*shared) tea.Cmd {
			s.selected = max(0, min(s.selected+by, len(s.matches())-1))
			return nil
		}
	}
	keys := []binding{
		{keys: []string{"esc", "ctrl+k"}, shown: "esc", help: "close", run: s.shut},
		{keys: []string{"down", "ctrl+n"}, shown: "↓", help: "next row", run: moves(1)},
		{keys: []string{"up", "ctrl+p"}, shown: "↑", help: "previous row", run: moves(-1)},
		{keys: []string{"pgdown", "ctrl+d"}, shown: "ctrl-d", help: "ten rows down", run: moves(10)},
		{keys: []string{"pgup", "ctrl+u"}, shown: "ctrl-u", help: "ten rows up", run: moves(-10)},
		{keys: []string{"backspace", "ctrl+h"}, shown: "⌫", help: "delete a character", run: func(*shared) tea.Cmd {
			letters := []rune(s.query)
			s.query, s.selected, s.offset = string(letters[:max(0, len(letters)-1)]), 0, 0
			return nil
		}},
	}
	if s.runs {
		return append(keys, binding{keys: []string{"enter"}, shown: "enter", help: "run it", run: s.run})
	}
	return append(keys, binding{keys: []string{"enter"}, shown: "enter", help: "close", run: s.shut})
}

func (s *searchScreen) shut(m *shared) tea.Cmd {
	m.overlay = s.under
	return nil
}

// update types letters into the search, and passes answers on to the overlay below.
func (s *searchScreen) update(m *shared, msg tea.Msg) tea.Cmd {
	key, typed := msg.(tea.KeyMsg)
	if _, clicked := msg.(tea.MouseMsg); !typed && !clicked && s.under != nil && s.under != screen(m.dialog) {
		return s.under.update(m, msg) // an answer that it waits for
	}
	if !typed || key.Type != tea.KeyRunes && key.Type != tea.KeySpace || key.Alt {
		return nil
	}
	for _, r := range key.Runes {
		if len(s.query) < maxQuery && unicode.IsGraphic(r) {
			s.query += string(r)
		}
	}
	s.selected, s.offset = 0, 0
	return nil
}

func (s *searchScreen) run(m *shared) tea.Cmd {
	matches := s.matches()
	m.close()
	if s.selected >= len(matches) || matches[s.selected].binding.run == nil {
		return nil
	}
	return matches[s.selected].binding.run(m)
}

// matches returns the bindings that match the search, the best first; all of them in their order
// for an empty search.
func (s *searchScreen) matches() []match {
	var found []match
	for _, group := range s.groups {
		for _, b := range group.keys {
			if score, ok := fuzzy(s.query, b.help+" "+b.shown+" "+b.command+" "+group.title); ok {
				found = append(found, match{group: group.title, binding: b, score: score})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b match) int { return cmp.Compare(b.score, a.score) })
	return found
}

func (s *searchScreen) view(m *shared, width, height int) string {
	matches := s.matches()
	wide, tall := min(width, 100), min(height, 24)
	if s.columns[0] != "" {
		tall = min(tall, max(len(matches), 3)+5)
	}
	inner, rows := draw.Inner(wide, tall)
	t := draw.Table{
		Columns: []draw.Column{{Title: "KEY"}, {Title: "WHAT IT DOES", Cut: 12}, {Title: "WHERE", Drop: 2}, {Title: "ON THE COMMAND LINE", Cut: 10, Drop: 1}},
		Width:   inner, Height: max(1, rows-2), Selected: s.selected, Detail: m.detail,
		Titles: m.Dim.Render, Chosen: m.Selected.Render, Bar: m.Border.Render,
	}
	for _, found := range matches {
		key, help := draw.Cell{Text: found.shown, Paint: m.Key.Render}, draw.Cell{Text: found.help}
		if found.typed != "" && found.typed != found.shown {
			key.Text += ", " + found.typed
		}
		if found.off != "" {
			key.Paint, help.Paint = m.Dim.Render, m.Dim.Render
			help.Text += " (" + found.off + ")"
		}
		t.Rows = append(t.Rows, []draw.Cell{key, help, {Text: found.group, Paint: m.Dim.Render},
			{Text: found.command, Paint: m.Dim.Render}})
	}
	unit := "key"
	if s.columns[0] != "" {
		t.Columns = []draw.Column{{Title: s.columns[0]}, {Title: s.columns[1], Cut: 12}}
		unit = "choice"
	}
	s.offset = draw.ScrollTo(s.selected, s.offset, len(t.Rows), t.Height)
	t.Offset = s.offset
	field := m.Field.Render(draw.Fit(": "+s.query+m.glyph("▏", "_"), inner))
	hint := m.Dim.Render(draw.Fit(s.hint(matches), inner))
	return centered(m.box(s.title, count(len(matches), unit, unit+"s"), draw.Stack(field, t.Draw(), hint), wide, tall), width, height)
}

// hint returns the equivalent command of the chosen binding.
func (s *searchScreen) hint(matches []match) string {
	switch {
	case s.selected < len(matches) && matches[s.selected].off != "":
		return "Not now: " + matches[s.selected].off + "."
	case len(matches) == 0:
		return "No match. Delete a character, or press esc."
	case s.selected < len(matches) && matches[s.selected].command != "":
		return "$ " + matches[s.selected].command
	}
	return "Type to search."
}

// fuzzy reports whether the text contains the characters of the query in order, and how well:
// adjacent characters and the beginnings of words score higher. It ignores case and spaces in the
// query.
func fuzzy(query, text string) (score int, found bool) {
	letters := []rune(strings.ToLower(strings.ReplaceAll(query, " ", "")))
	if len(letters) == 0 {
		return 0, true
	}
	next, last, before := 0, -2, ' '
	for i, r := range []rune(strings.ToLower(text)) {
		if next < len(letters) && r == letters[next] {
			score++
			if last == i-1 {
				score += 4
			}
			if before == ' ' {
				score += 3
			}
			next, last = next+1, i
		}
		before = r
	}
	return score, next == len(letters)
}
