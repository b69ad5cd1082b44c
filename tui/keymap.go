package tui

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// Custom is what a user has changed in the dashboard.
type Custom struct {
	Start         string // the title of the first screen; empty: the Wallet screen
	ReducedMotion bool   // no row is highlighted, and nothing is drawn only to move

	// Keys replaces keys: by the name of a screen in lower case, or "everywhere", and a default
	// key.
	// The keys of text fields, dialogs, palette and log-in stay, so that no letter is lost and the
	// key that opens a dialog never confirms it.
	Keys map[string]map[string][]string

	Commands []Command
}

// everywhere is the name of the keys of all screens.
const everywhere = "everywhere"

// keyForm matches the names of keys: x, ctrl+x, alt+x, f1, enter …
var keyForm = regexp.MustCompile(`^([^\x00-\x20\x7f]|ctrl\+[a-gj-ln-z]|alt\+[!-~]|f([1-9]|1[0-2])|(shift\+)?(tab|up|down|left|right)|enter|esc|space|home|end|pgup|pgdown|backspace|delete|insert)$`)

// Check returns an error for what cannot be: a screen, a default key or a key that does not exist,
// and a key with two meanings on one screen.
func (c Custom) Check() error {
	m := newModel(shared{custom: c}, time.Now, func() {})
	m.me.Role = "operator"
	names := []string{everywhere}
	for _, p := range m.pages {
		names = append(names, strings.ToLower(p.title))
	}
	if c.Start != "" && !slices.ContainsFunc(m.pages, func(p page) bool { return strings.EqualFold(p.title, c.Start) }) {
		return fmt.Errorf("start: there is no screen %q; there are: %s", c.Start, strings.Join(names[1:], ", "))
	}
	for _, screen := range slices.Sorted(maps.Keys(c.Keys)) {
		if !slices.Contains(names, screen) {
			return fmt.Errorf("keys: there is no screen %q; there are: %s", screen, strings.Join(names, ", "))
		}
		for _, from := range slices.Sorted(maps.Keys(c.Keys[screen])) {
			if err := m.checkReplaced(screen, from); err != nil {
				return err
			}
		}
	}
	for _, command := range c.Commands {
		if err := command.check(names); err != nil {
			return err
		}
	}
	return m.checkConflicts()
}

// checkReplaced checks one replaced key.
func (m *model) checkReplaced(screen, from string) error {
	known := false
	for _, variant := range m.variants(screen) {
		_, found := find(variant, inTea(from))
		known = known || found
	}
	if !known {
		return fmt.Errorf("keys.%s: there is no key %q on this screen; ? in the dashboard lists them", screen, from)
	}
	to := m.custom.Keys[screen][from]
	if len(to) == 0 {
		return fmt.Errorf("keys.%s: %q has no key", screen, from)
	}
	for _, key := range to {
		if err := checkKey(key); err != nil {
			return fmt.Errorf("keys.%s: %w", screen, err)
		}
	}
	return nil
}

// checkKey refuses a key that terminals do not send, or that must keep its meaning.
func checkKey(key string) error {
	switch {
	case !keyForm.MatchString(key):
		return fmt.Errorf("%q is not the name of a key, such as x, ctrl+x, alt+x, f5, enter or space", key)
	case key == "ctrl+c" || key == "y":
		return fmt.Errorf("%q keeps its meaning: ctrl+c ends the dashboard, and y confirms in dialogs", key)
	}
	return nil
}

// checkConflicts refuses a key with two meanings on one screen. A key of a screen that was not
// changed may hide one of all screens, as it does by default.
func (m *model) checkConflicts() error {
	for _, p := range m.pages {
		name := strings.ToLower(p.title)
		for _, variant := range m.variants(name) {
			own := m.custom.apply(name, variant)
			own = append(own, m.custom.commandKeys(name)...)
			for _, b := range own {
				for _, key := range b.keys {
					if first, _ := find(own, key); first.help != b.help {
						return fmt.Errorf("keys.%s: %s would be %q and %q", name, key, first.help, b.help)
					}
					other, hides := find(m.globalKeys(), key)
					if _, before := find(variant, key); hides && !before {
						return fmt.Errorf("keys.%s: %s would be %q, and is %q everywhere", name, key, b.help, other.help)
					}
				}
			}
		}
	}
	all := m.globalKeys()
	for _, b := range all {
		for _, key := range b.keys {
			if first, _ := find(all, key); first.help != b.help {
				return fmt.Errorf("keys.%s: %s would be %q and %q", everywhere, key, first.help, b.help)
			}
		}
	}
	return nil
}

// variants returns the default bindings of a screen in each state in which it has others.
func (m *model) variants(name string) [][]binding {
	if name == everywhere {
		return [][]binding{m.globalBindings()}
	}
	var all [][]binding
	for _, p := range m.pages {
		if strings.ToLower(p.title) != name {
			continue
		}
		all = append(all, p.keys(&m.shared))
		switch s := p.screen.(type) {
		case *transfersScreen:
			reading := *s
			reading.reading = true
			all = append(all, reading.keys(&m.shared))
		case *queuesScreen:
			for _, tab := range taskTabs() {
				other := newQueuesScreen()
				other.tab = tab
				all = append(all, other.keys(&m.shared))
			}
		}
	}
	return all
}

// apply replaces keys of the bindings of a screen.
func (c Custom) apply(screen string, bindings []binding) []binding {
	replaced := c.Keys[screen]
	if len(replaced) == 0 {
		return bindings
	}
	out := slices.Clone(bindings)
	for i := range out {
		for from, to := range replaced {
			if !slices.Contains(bindings[i].keys, inTea(from)) {
				continue
			}
			out[i].keys, out[i].typed = nil, ""
			for _, key := range to {
				out[i].keys = append(out[i].keys, inTea(key))
				if out[i].typed == "" && strings.Contains(key, "+") {
					out[i].typed = shownKey(key)
				}
			}
			out[i].shown = shownKey(to[0])
		}
	}
	return out
}

// keysOf returns the bindings of a screen with the user's keys and commands.
func (m *model) keysOf(s screen) []binding {
	keys := s.keys(&m.shared)
	if s.typing() {
		return keys
	}
	for _, p := range m.pages {
		if p.screen == s {
			name := strings.ToLower(p.title)
			return append(m.custom.apply(name, keys), m.custom.commandKeys(name)...)
		}
	}
	return keys
}

// globalKeys returns the keys that work on every page, with those of the user.
func (m *model) globalKeys() []binding {
	return append(m.custom.apply(everywhere, m.globalBindings()), m.custom.commandKeys(everywhere)...)
}

// inTea returns the name of a key in Bubble Tea.
func inTea(key string) string {
	if key == "space" {
		return " "
	}
	return key
}

// shownKey returns the name of a key as the dashboard shows it.
func shownKey(key string) string {
	if len(key) > 1 {
		return strings.ReplaceAll(key, "+", "-")
	}
	return key
}

// startAt shows the first screen that the user has chosen.
func (m *model) startAt(title string) {
	for i, p := range m.pages {
		if strings.EqualFold(p.title, title) {
			m.shown = i
		}
	}
}

// back shows the page that was shown before.
func (m *model) back(*shared) tea.Cmd {
	n := len(m.trail)
	if n == 0 {
		return nil
	}
	to := m.trail[n-1]
	m.trail = m.trail[:n-1]
	command := m.turn(to)
	m.trail = m.trail[:n-1] // without the page that was left
	return command
}
