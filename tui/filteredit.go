package tui

import (
	"errors"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/tui/draw"
)

// SavedFilter is a filter of the user's configuration, shown as a tab above the list of transfers.
type SavedFilter struct{ Name, Filter string }

// filterEditor is the filter while it is typed, with completions of the word before the cursor and
// the filters that were applied before.
type filterEditor struct {
	field   *textField // nil while no filter is typed
	problem string     // what is wrong with it
	choice  int        // the marked completion
	past    []string   // the oldest first
	back    int        // how many filters the user went back in past; 0 is the one that is typed
	typed   string     // that one, while an older one is shown
}

// maxPast limits the filters that are remembered.
const maxPast = 50

// remember adds a filter to the past ones.
func (e *filterEditor) remember(text string) {
	if text == "" {
		return
	}
	e.past = append(slices.DeleteFunc(e.past, func(other string) bool { return other == text }), text)
	e.past = e.past[max(0, len(e.past)-maxPast):]
}

// open begins to edit a filter. A space is added, so that the next word can be typed.
func (e *filterEditor) open(text string) {
	*e = filterEditor{field: newTextField(maxFilter), past: e.past}
	if text != "" {
		text += " "
	}
	e.field.set(text)
}

func (e *filterEditor) close() { *e = filterEditor{past: e.past} }

// turn shows an older or newer filter.
func (e *filterEditor) turn(by int) {
	if e.back == 0 {
		e.typed = e.field.text()
	}
	e.back = max(0, min(e.back+by, len(e.past)))
	e.choice = 0
	if e.back == 0 {
		e.field.set(e.typed)
		return
	}
	e.field.set(e.past[len(e.past)-e.back])
}

// word returns the word before the cursor; ok is false inside of a quoted text.
func (e *filterEditor) word() (word string, ok bool) {
	before := string(e.field.letters[:e.field.at])
	return before[strings.LastIndexByte(before, ' ')+1:], strings.Count(before, `"`)%2 == 0
}

// completions returns what the word before the cursor can become.
func (e *filterEditor) completions(m *shared) []string {
	word, ok := e.word()
	if !ok {
		return nil
	}
	key, begun, isKey := strings.Cut(strings.ToLower(word), ":")
	if !isKey {
		var found []string
		for _, name := range filterKeys() {
			if strings.HasPrefix(name, key) {
				found = append(found, name+":")
			}
		}
		return found
	}
	values := filterChoices()[key]
	switch key {
	case "currency":
		values = m.currencies()
	case "to", "from", "with":
		values = m.metHandles()
	case "since", "until":
		values = []string{"1h", "24h", "7d", "30d", m.now.Format(time.DateOnly)}
	case "amt", "amount":
		values = []string{">", ">=", "<", "<="}
	}
	var found []string
	for _, value := range values {
		lower := strings.ToLower(value)
		if lower != begun && (strings.HasPrefix(lower, begun) || strings.HasPrefix(lower, "@"+begun)) {
			found = append(found, key+":"+value)
		}
	}
	return found
}

// metHandles returns the handles of the newest transfers, the last one first.
func (m *shared) metHandles() (handles []string) {
	for _, t := range m.recent {
		if other := otherSide(t); other.Handle != nil && !slices.Contains(handles, "@"+*other.Handle) {
			handles = append(handles, "@"+*other.Handle)
		}
	}
	return handles
}

// complete replaces the word before the cursor by the marked completion. A space follows a whole
// word.
func (e *filterEditor) complete(m *shared) {
	found := e.completions(m)
	if len(found) == 0 {
		return
	}
	word, _ := e.word()
	whole := found[min(e.choice, len(found)-1)]
	if last := whole[len(whole)-1]; !strings.ContainsRune(":<>=", rune(last)) {
		whole += " "
	}
	for range []rune(word) {
		e.field.letters = slices.Delete(e.field.letters, e.field.at-1, e.field.at)
		e.field.at--
	}
	e.field.take(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(whole)})
	e.choice = 0
}

// hint is the line under the filter: what is wrong, the completions, or an example.
func (e *filterEditor) hint(m *shared, width int) string {
	found := e.completions(m)
	word, _ := e.word()
	switch {
	case e.problem != "" && (len(found) == 0 || !strings.HasSuffix(word, ":")):
		return m.Bad.Render(draw.Fit(" "+m.glyph("✗ ", "! ")+e.problem, width))
	case len(found) == 0:
		return m.Dim.Render(draw.Fit(` state:refused kind:deposit to:@bob amt:>100 since:7d, or text of the memo`, width))
	}
	chosen := min(e.choice, len(found)-1)
	line, free := m.Key.Render(" tab"), width-4
	for i := chosen; i < len(found); i++ {
		text := "  " + draw.Text(found[i])
		if i == chosen {
			text = " " + m.glyph("▸", ">") + draw.Text(found[i])
		}
		if draw.TextWidth(text) > free {
			break
		}
		free -= draw.TextWidth(text)
		if i == chosen {
			line += m.Accent.Render(text)
		} else {
			line += m.Dim.Render(text)
		}
	}
	return draw.Clip(line+strings.Repeat(" ", free), width)
}

func (s *transfersScreen) filterKeys() []binding {
	edit := &s.filterEditor
	changed := func(m *shared) tea.Cmd { edit.choice, edit.back = 0, 0; s.checkFilter(m); return nil }
	turn := func(by int) func(*shared) tea.Cmd {
		return func(m *shared) tea.Cmd { edit.turn(by); s.checkFilter(m); return nil }
	}
	keys := []binding{
		{keys: []string{"enter"}, shown: "enter", help: "apply the filter", run: func(m *shared) tea.Cmd { return s.narrow(m, edit.field.text()) }},
		{keys: []string{"esc"}, shown: "esc", help: "cancel", run: func(*shared) tea.Cmd { edit.close(); return nil }},
		{keys: []string{"tab"}, shown: "tab", help: "complete the word", run: func(m *shared) tea.Cmd { edit.complete(m); s.checkFilter(m); return nil }},
		{keys: []string{"shift+tab"}, shown: "shift-tab", help: "another completion", run: func(m *shared) tea.Cmd {
			edit.choice = (edit.choice + 1) % max(1, len(edit.completions(m)))
			return nil
		}},
		{keys: []string{"up", "ctrl+p"}, shown: "↑", help: "an older filter", run: turn(1)},
		{keys: []string{"down", "ctrl+n"}, shown: "↓", help: "a newer filter", run: turn(-1)},
	}
	return append(keys, edit.field.keys(changed)...)
}

func (s *transfersScreen) openFilter(m *shared) tea.Cmd {
	s.open(s.filter.text)
	s.checkFilter(m)
	return nil
}

// checkFilter parses the filter as it is typed, and stores what is wrong with it.
func (s *transfersScreen) checkFilter(m *shared) {
	_, err := m.parseFilter(s.field.text())
	if s.problem = ""; err != nil {
		s.problem = err.Error()
	}
}

// parseFilter parses a filter. With several wallets, amounts are in the currency of the selected
// one, which becomes part of the filter.
func (m *shared) parseFilter(text string) (filter, error) {
	currencies := m.currencies()
	if len(currencies) > 1 {
		currencies = []string{m.selectedCurrency()}
	}
	f, err := parseFilter(text, currencies, m.now)
	if err == nil && f.params.Currency != nil && len(m.currencies()) > 1 && !strings.Contains(strings.ToLower(f.text), "currency:") {
		f.text += " currency:" + *f.params.Currency
	}
	return f, err
}

// selectedCurrency returns that of the wallet that is selected on the Wallet screen; else that of
// the default wallet, else of the first.
func (m *shared) selectedCurrency() string {
	all := m.currencies()
	for _, currency := range []string{m.wallet, m.currency} {
		if slices.Contains(all, currency) {
			return currency
		}
	}
	return strings.Join(all[:min(1, len(all))], "")
}

// narrow applies a filter.
func (s *transfersScreen) narrow(m *shared, text string) tea.Cmd {
	f, err := m.parseFilter(text)
	if err != nil {
		s.problem = err.Error()
		return nil
	}
	list, edit := s.list+1, s.filterEditor
	edit.remember(f.text)
	edit.close()
	*s = transfersScreen{filterEditor: edit, filter: f, list: list, visible: s.visible, exporting: s.exporting}
	return s.fetch(m)
}

// onlyLike offers to narrow the list to transfers that are like the selected one in some respect.
func (s *transfersScreen) onlyLike(m *shared) tea.Cmd {
	t := s.current()
	if t == nil {
		return nil
	}
	group := keyGroup{title: "Filter"}
	add := func(name, key, word string) {
		text := s.filter.with(key, word)
		if _, err := m.parseFilter(text); err != nil || len([]rune(text)) > maxFilter {
			return
		}
		group.keys = append(group.keys, binding{shown: name, help: word, run: func(m *shared) tea.Cmd { return s.narrow(m, text) }})
	}
	add("state", "state", "state:"+string(t.State))
	if other := otherSide(*t); other.Handle != nil {
		add("with", "with", "with:@"+*other.Handle)
		way := "to"
		if t.Direction == client.In {
			way = "from"
		}
		add(way, way, way+":@"+*other.Handle)
	}
	add("kind", "kind", "kind:"+string(t.Kind))
	add("currency", "currency", "currency:"+t.Currency)
	decimal := money.Amount{Minor: t.Amount, Currency: money.Currency(t.Currency)}.Decimal()
	add("amount", "amount", "amount:"+decimal+" currency:"+t.Currency)
	day := t.CreatedAt.In(m.now.Location())
	add("day", "day", "since:"+day.Format(time.DateOnly)+" until:"+day.AddDate(0, 0, 1).Format(time.DateOnly))
	if memo := value(t.Memo); memo != "" && !strings.Contains(memo, `"`) {
		add("memo", "text", `"`+memo+`"`)
	}
	m.open(&searchScreen{title: "Only like this one", groups: []keyGroup{group}, runs: true, columns: [2]string{"LIKE ITS", "FILTER"}})
	return nil
}

// turnSaved shows the saved filter after or before the present one. The first tab has no filter.
func (s *transfersScreen) turnSaved(by int) func(*shared) tea.Cmd {
	return func(m *shared) tea.Cmd {
		all := len(m.saved) + 1
		at := (s.savedTab(m) + by + all) % all
		if at == 0 {
			return s.narrow(m, "")
		}
		cmd := s.narrow(m, m.saved[at-1].Filter)
		if s.problem != "" {
			m.showError(errors.New(m.saved[at-1].Name + ": " + s.problem))
			s.problem = ""
		}
		return cmd
	}
}

// savedTab returns the number of the tab that is shown: 0 for all transfers, -1 for a filter that
// is not saved.
func (s *transfersScreen) savedTab(m *shared) int {
	if s.filter.text == "" {
		return 0
	}
	for i, saved := range m.saved {
		if f, err := m.parseFilter(saved.Filter); err == nil && f.text == s.filter.text {
			return i + 1
		}
	}
	return -1
}

// savedTabs draws the tabs in one line. The chosen one also has brackets.
func (s *transfersScreen) savedTabs(m *shared, width int) string {
	chosen := s.savedTab(m)
	line, free := "", width
	s.tabs = s.tabs[:0]
	for i := range len(m.saved) + 1 {
		name := "All"
		if i > 0 {
			name = draw.Cut(m.saved[i-1].Name, 20)
		}
		wide := draw.TextWidth(name) + 2
		if wide > free {
			break
		}
		s.tabs = append(s.tabs, tabSpan{0, width - free, width - free + wide})
		free -= wide
		if i == chosen {
			line += m.Selected.Render("[" + name + "]")
		} else {
			line += m.Dim.Render(" " + name + " ")
		}
	}
	return draw.Clip(line+strings.Repeat(" ", free), width)
}
