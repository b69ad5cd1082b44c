package tui

import (
	"strings"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/tui/draw"
)

// textField is one line of editable text.
type textField struct {
	letters []rune
	at      int // the cursor is before this character
	maxLen  int // maximum number of characters
	secret  bool

	// selected says that the whole text is selected: typing replaces it.
	selected bool
}

func newTextField(maxLen int) *textField { return &textField{maxLen: maxLen} }

func (f *textField) text() string { return string(f.letters) }

func (f *textField) set(text string) {
	f.letters = []rune(text)
	f.letters = f.letters[:min(len(f.letters), f.maxLen)]
	f.at, f.selected = len(f.letters), false
}

// choose selects the text, if there is any.
func (f *textField) choose() { f.selected = len(f.letters) > 0 }

// take types what a key or a paste brings: visible characters, and spaces for spaces and line
// breaks. It reports whether the text changed.
func (f *textField) take(msg tea.Msg) bool {
	key, typed := msg.(tea.KeyMsg)
	if !typed || key.Type != tea.KeyRunes && key.Type != tea.KeySpace || key.Alt {
		return false
	}
	changed := false
	for _, r := range key.Runes {
		if r == '\n' || r == '\t' || r == '\r' {
			r = ' '
		}
		if r == unicode.ReplacementChar || !unicode.IsGraphic(r) && !text.IsJoiner(r) && !f.secret {
			continue
		}
		if f.selected {
			f.set("")
		}
		if len(f.letters) >= f.maxLen {
			continue
		}
		f.letters = append(f.letters, 0)
		copy(f.letters[f.at+1:], f.letters[f.at:])
		f.letters[f.at] = r
		f.at++
		changed = true
	}
	return changed
}

// keys returns the editing keys. They call then after each change, unless it is nil.
func (f *textField) keys(then func(m *shared) tea.Cmd) []binding {
	edit := func(change func()) func(*shared) tea.Cmd {
		return func(m *shared) tea.Cmd {
			before := len(f.letters)
			change()
			f.selected = false
			if len(f.letters) == before || then == nil {
				return nil
			}
			return then(m)
		}
	}
	remove := func(from, to int) {
		if f.selected {
			from, to = 0, len(f.letters)
		}
		f.letters = append(f.letters[:from:from], f.letters[to:]...)
		f.at = from
	}
	return []binding{
		{keys: []string{"backspace", "ctrl+h"}, shown: "⌫", help: "delete a character", run: edit(func() { remove(max(0, f.at-1), f.at) })},
		{keys: []string{"delete"}, shown: "del", help: "delete the character under the cursor", run: edit(func() { remove(f.at, min(len(f.letters), f.at+1)) })},
		{keys: []string{"ctrl+w"}, shown: "ctrl-w", help: "delete a word", run: edit(func() { remove(f.wordBefore(), f.at) })},
		{keys: []string{"ctrl+u"}, shown: "ctrl-u", help: "delete everything before the cursor", run: edit(func() { remove(0, f.at) })},
		{keys: []string{"left"}, shown: "←", help: "one character left", run: edit(func() { f.at = f.left() })},
		{keys: []string{"right"}, shown: "→", help: "one character right", run: edit(func() { f.at = min(len(f.letters), f.at+1) })},
		{keys: []string{"home", "ctrl+a"}, shown: "ctrl-a", help: "to the beginning", run: edit(func() { f.at = 0 })},
		{keys: []string{"end", "ctrl+e"}, shown: "ctrl-e", help: "to the end", run: edit(func() { f.at = len(f.letters) })},
	}
}

// left moves the cursor one character left, or to the start of a selection.
func (f *textField) left() int {
	if f.selected {
		return 0
	}
	return max(0, f.at-1)
}

func (f *textField) wordBefore() int {
	i := f.at
	for i > 0 && f.letters[i-1] == ' ' {
		i--
	}
	for i > 0 && f.letters[i-1] != ' ' {
		i--
	}
	return i
}

// draw returns the field in exactly width columns, with a cursor if it has the focus. Of a longer
// text, the part around the cursor is visible.
func (f *textField) draw(m *shared, width int, focused bool) string {
	letters := f.letters
	if f.secret {
		letters = []rune(strings.Repeat("*", len(letters)))
	}
	before, after := letters[:f.at], letters[f.at:]
	cursor := ""
	if focused {
		cursor = m.glyph("▏", "_")
	}
	for len(before) > 0 && draw.TextWidth(string(before))+1 > width {
		before = before[1:]
	}
	text := draw.Fit(draw.Text(string(before))+cursor+draw.Text(string(after)), width)
	switch {
	case focused && f.selected:
		return m.Selected.Render(text)
	case focused:
		return m.Field.Render(text)
	}
	return m.Plain.Render(text)
}
