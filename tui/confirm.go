package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/tui/draw"
)

// confirmation is an operator's action that waits for confirmation.
type confirmation struct {
	title, effect, verb string
	subject             []draw.Pair
	command             string // the equivalent command, without --reason
	do                  func(ctx context.Context, reason string) (done string, err error)
}

// maxReason is the limit of the contract, in characters.
const maxReason = 500

// confirmScreen asks for a reason, then for confirmation. The key that opened it never confirms:
// while the reason is typed, keys are letters; then Cancel has the focus, and only y or the other
// button confirms.
//
//	reason ──enter──► Cancel ◄──tab──► Do it ──enter──► done
//	   ▲                │ └──────y──────────────────────► done
//	   └──────tab───────┘
type confirmScreen struct {
	confirmation
	reason  []rune
	asking  bool // the reason was given; the buttons have the focus
	chosen  bool // the focus is on the button that confirms
	problem string
}

func newConfirmScreen(c confirmation) *confirmScreen { return &confirmScreen{confirmation: c} }

func (s *confirmScreen) typing() bool { return !s.asking }

func (s *confirmScreen) keys(*shared) []binding {
	cancel := binding{keys: []string{"esc"}, shown: "esc", help: "cancel", run: func(m *shared) tea.Cmd { m.close(); return nil }}
	if !s.asking {
		return []binding{cancel,
			{keys: []string{"enter"}, shown: "enter", help: "continue to confirm", run: func(*shared) tea.Cmd { s.reasonGiven(); return nil }},
			{keys: []string{"backspace", "ctrl+h"}, shown: "⌫", help: "delete a letter", run: func(*shared) tea.Cmd {
				s.reason = s.reason[:max(0, len(s.reason)-1)]
				return nil
			}},
			{keys: []string{"ctrl+u"}, shown: "ctrl-u", help: "delete the reason", run: func(*shared) tea.Cmd { s.reason = nil; return nil }},
		}
	}
	return []binding{cancel,
		{keys: []string{"y", "Y"}, shown: "y", help: strings.ToLower(s.verb), run: s.confirm},
		{keys: []string{"n", "N", "q"}, shown: "n", help: "cancel", run: cancel.run},
		{keys: []string{"left", "right", "h", "l", "tab"}, shown: "←/→", help: "choose", run: func(*shared) tea.Cmd { s.chosen = !s.chosen; return nil }},
		{keys: []string{"shift+tab", "up"}, shown: "↑", help: "back to the reason", run: func(*shared) tea.Cmd { s.asking, s.chosen = false, false; return nil }},
		{keys: []string{"enter"}, shown: "enter", help: "press the chosen button", run: func(m *shared) tea.Cmd {
			if s.chosen {
				return s.confirm(m)
			}
			m.close()
			return nil
		}},
	}
}

func (s *confirmScreen) reasonGiven() {
	if strings.TrimSpace(string(s.reason)) == "" {
		s.problem = "A reason is required. It is stored with your name."
		return
	}
	s.problem, s.asking = "", true
}

func (s *confirmScreen) confirm(m *shared) tea.Cmd {
	m.close()
	reason := strings.TrimSpace(string(s.reason))
	return m.ask(func(ctx context.Context) tea.Msg {
		done, err := s.do(ctx, reason)
		return actedMsg{done: done, err: err}
	})
}

// update types letters into the reason.
func (s *confirmScreen) update(_ *shared, msg tea.Msg) tea.Cmd {
	key, typed := msg.(tea.KeyMsg)
	if !typed || s.asking || key.Type != tea.KeyRunes && key.Type != tea.KeySpace || key.Alt {
		return nil
	}
	for _, r := range key.Runes {
		if len(s.reason) < maxReason && r != utf8.RuneError && r >= ' ' {
			s.reason = append(s.reason, r)
		}
	}
	return nil
}

// view implements screen; the frame draws dialog over the page instead.
func (s *confirmScreen) view(m *shared, width, height int) string {
	return centered(s.dialog(m, width, height), width, height)
}

func (s *confirmScreen) dialog(m *shared, width, height int) string {
	wide := min(width, 76)
	inner, _ := draw.Inner(wide, 2)
	var body []string
	for _, line := range draw.Wrap(s.effect, inner) {
		body = append(body, m.Warn.Render(line))
	}
	body = append(body, "")
	body = append(body, strings.Split(draw.Panel(s.subject, inner, m.Dim.Render), "\n")...)
	body = append(body, "", m.Dim.Render(draw.Cut(fmt.Sprintf("Reason (stored with your name; %d characters left)", maxReason-len(s.reason)), inner)))
	// The end of the text is always visible.
	tail := s.reason
	for len(tail) > 0 && draw.TextWidth(string(tail)) > inner-2 {
		tail = tail[1:]
	}
	cursor := ""
	if !s.asking {
		cursor = m.glyph("▏", "_")
	}
	body = append(body, m.Field.Render(draw.Fit(string(tail)+cursor, inner)))
	if s.problem != "" {
		body = append(body, m.Bad.Render(draw.Cut(m.glyph("✗ ", "! ")+s.problem, inner)))
	}
	if s.asking {
		body = append(body, "", s.buttons(m))
	}
	body = append(append(body, ""), m.command(s.command+" --reason …", inner)...)
	return m.box(s.title, "", strings.Join(body, "\n"), wide, min(height, len(body)+2))
}

func (s *confirmScreen) buttons(m *shared) string {
	button := func(label string, focused bool) string {
		if focused {
			return m.Selected.Render(m.glyph("▸", ">") + " " + label + " ")
		}
		return m.Plain.Render("  " + label + " ")
	}
	return button("Cancel", !s.chosen) + "  " + button(s.verb+" (y)", s.chosen)
}

// centered places a block in the middle of a blank screen.
func centered(block string, width, height int) string {
	lines := strings.Split(block, "\n")
	left := strings.Repeat(" ", max(0, (width-draw.Width(lines[0]))/2))
	out := slices.Repeat([]string{""}, max(0, (height-len(lines))/2))
	for _, line := range lines {
		out = append(out, left+line)
	}
	return draw.Block(out, width, height)
}
