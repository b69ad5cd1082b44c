package tui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/tui/draw"
)

// footerKeys returns the bindings that the footer offers: those that work, as far as they fit.
func (m *model) footerKeys() []binding {
	keys := m.keysOf(m.focused())
	switch {
	case m.pageHasFocus() && m.focused().typing():
		for _, b := range m.globalKeys() {
			if b.shown = b.typed; b.typed != "" {
				keys = slices.Insert(keys, min(2, len(keys)), b)
				break
			}
		}
	case m.pageHasFocus():
		// Global keys come first, so that a user finds ? first.
		keys = append(m.globalKeys()[:3:3], keys...)
	case m.login == nil && !m.helps():
		keys = append(keys, m.overlayHelp())
	}
	var offered []binding
	free := m.width
	for _, b := range keys {
		if b.off != "" {
			continue
		}
		if free -= draw.TextWidth(" " + b.shown + " " + b.help + " "); free < 0 {
			break
		}
		offered = append(offered, b)
	}
	return offered
}

// helps reports whether the overlay is the help or the palette, which list keys themselves.
func (m *model) helps() bool {
	_, helps := m.overlay.(*searchScreen)
	return helps
}

// overlayHelp is the binding that lists the keys of an overlay. The overlay is there again when the
// list is closed.
func (m *model) overlayHelp() binding {
	return binding{keys: []string{"f1"}, shown: "F1", help: "keys", run: func(s *shared) tea.Cmd {
		help := newHelpScreen([]keyGroup{{"Here", m.keysOf(s.overlay)}})
		help.under = s.overlay
		s.open(help)
		return nil
	}}
}

// footer shows a toast, the state of a lost connection, or the keys.
func (m *model) footer() string {
	if m.toast != "" && m.now.Sub(m.toastAt) < toastTime {
		paint, sign := m.Good.Render, m.glyph("✓ ", "")
		if m.bad {
			paint, sign = m.Bad.Render, m.glyph("✗ ", "! ")
		}
		return paint(draw.Fit(" "+sign+m.toast, m.width))
	}
	if connectionHelp := m.connectionHelp(); connectionHelp != "" {
		return m.Bad.Render(draw.Fit(" "+connectionHelp, m.width))
	}
	line := ""
	for _, b := range m.footerKeys() {
		line += " " + m.Key.Render(b.shown) + " " + m.Dim.Render(b.help) + " "
	}
	return draw.Clip(line, m.width)
}
