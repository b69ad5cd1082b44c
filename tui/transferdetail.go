package tui

import (
	"context"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// transferDetail is one transfer with its timeline. It requests the timeline once the transfer has
// been selected for lookPause.
type transferDetail struct {
	id       client.ID
	timeline *client.Timeline // nil before it is loaded
	failed   error
	asked    bool
	ended    bool // the transfer waits for nothing
	old      bool // the transfer changed since then
	offset   int  // number of lines scrolled off the top

	lines, rows int // how many there are, and how many fit, when it was last drawn
}

// scrollKeys are the bindings that scroll it. They are off if all of it is visible.
func (d *transferDetail) scrollKeys() []binding {
	off := ""
	if d.lines > 0 && d.lines <= d.rows {
		off = "all of it is visible"
	}
	scroll := func(by int) func(*shared) tea.Cmd {
		return func(*shared) tea.Cmd { d.offset += by; return nil } // the view knows the end
	}
	keys := []binding{
		{keys: []string{"j", "down"}, shown: "j/↓", help: "scroll down", run: scroll(1)},
		{keys: []string{"k", "up"}, shown: "k/↑", help: "scroll up", run: scroll(-1)},
		{keys: []string{"ctrl+d", "pgdown"}, shown: "ctrl-d", help: "ten lines down", run: scroll(10)},
		{keys: []string{"ctrl+u", "pgup"}, shown: "ctrl-u", help: "ten lines up", run: scroll(-10)},
		{keys: []string{"g", "home"}, shown: "g", help: "to the beginning", run: scroll(-1 << 20)},
		{keys: []string{"G", "end"}, shown: "G", help: "to the end", run: scroll(1 << 20)},
	}
	for i := range keys {
		keys[i].off = off
		keys[i] = keys[i].greyed()
	}
	return keys
}

// scrolled returns the lines that are visible, and how many follow.
func (d *transferDetail) scrolled(lines []string, rows int) (visible []string, note string) {
	d.lines, d.rows = len(lines), rows
	d.offset = max(0, min(d.offset, len(lines)-rows))
	if more := len(lines) - rows - d.offset; more > 0 {
		note = count(more, "more line", "more lines")
	}
	return lines[d.offset:], note
}

// lookMsg says that a transfer has been selected for lookPause.
type lookMsg struct{ id client.ID }

type timelineMsg struct {
	id       client.ID
	timeline client.Timeline
	err      error
}

// lookPause delays the request, so that scrolling through the list does not request every timeline.
const lookPause = 120 * time.Millisecond

// look follows the selection. visible says whether the detail is on the screen.
func (d *transferDetail) look(m *shared, chosen *client.Transfer, seen bool) tea.Cmd {
	if chosen == nil || !seen {
		return nil
	}
	if chosen.Id != d.id {
		*d = transferDetail{id: chosen.Id}
		id := chosen.Id
		return tea.Tick(lookPause, func(time.Time) tea.Msg { return lookMsg{id} })
	}
	if d.old && !d.asked {
		return d.ask(m)
	}
	return nil
}

func (d *transferDetail) update(m *shared, chosen *client.Transfer, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case lookMsg:
		if chosen != nil && chosen.Id == msg.id && d.id == msg.id && !d.asked && d.timeline == nil {
			return d.ask(m)
		}
	case timelineMsg:
		if msg.id != d.id {
			return nil
		}
		d.asked, d.failed = false, msg.err
		if msg.err == nil {
			d.timeline = &msg.timeline
		}
	}
	return nil
}

func (d *transferDetail) ask(m *shared) tea.Cmd {
	d.asked, d.old = true, false
	server, id := m.server, d.id
	return m.ask(func(ctx context.Context) tea.Msg {
		timeline, err := server.Explain(ctx, id)
		return timelineMsg{id, timeline, err}
	})
}

// view draws a box of this size and returns the number of its lines, for scrolling.
func (d *transferDetail) view(m *shared, chosen *client.Transfer, width, height int) string {
	inner, rows := draw.Inner(width, height)
	lines := []string{m.Dim.Render(draw.Fit("No transfer is selected.", inner))}
	title := "Transfer"
	if chosen != nil {
		d.ended = chosen.State != client.Pending
		title = titleCase(string(chosen.Kind)) + " of " + amountOf(chosen.Amount, chosen.Currency)
		lines = strings.Split(draw.Panel(m.transferPairs(*chosen), inner, m.Dim.Render), "\n")
		lines = append(lines, "")
		if d.timeline != nil && d.id == chosen.Id {
			lines = append(append(lines, m.flow(*chosen, d.timeline.Entries, inner)...), "")
		}
		lines = append(lines, m.Title.Render(draw.Fit("Timeline", inner)))
		lines = append(lines, d.timelineLines(m, inner)...)
	}
	visible, note := d.scrolled(lines, rows)
	return m.box(title, note, strings.Join(visible, "\n"), width, height)
}

// timelineLines draws the timeline: each entry with its time, what the transfer waits for, who acts
// next.
func (d *transferDetail) timelineLines(m *shared, width int) []string {
	switch {
	case d.timeline == nil && d.failed != nil:
		return []string{m.Bad.Render(draw.Fit(m.glyph("✗ ", "! ")+d.failed.Error(), width))}
	case d.timeline == nil:
		return []string{m.Dim.Render(draw.Fit("Loading…", width))}
	}
	var lines []string
	const clock = 9 // "15:04:05 "
	day := ""
	for _, entry := range d.timeline.Entries {
		at := entry.At.In(m.now.Location())
		if today := at.Format(time.DateOnly); today != day {
			day = today
			lines = append(lines, m.Dim.Render(draw.Fit(day, width)))
		}
		for i, part := range draw.Wrap(entry.Text, max(8, width-clock)) {
			stamp := strings.Repeat(" ", clock)
			if i == 0 {
				stamp = at.Format(time.TimeOnly) + " "
			}
			lines = append(lines, m.Dim.Render(stamp)+part)
		}
	}
	if d.ended {
		return lines
	}
	lines = append(lines, "")
	for _, pair := range []draw.Pair{{Name: "Waiting for ", Value: d.timeline.WaitsFor}, {Name: "Next: ", Value: d.timeline.Next}} {
		for _, part := range draw.Wrap(pair.Name+pair.Value, width) {
			lines = append(lines, m.Dim.Render(part))
		}
	}
	return lines
}

// transferPairs returns all that is known of a transfer.
func (m *shared) transferPairs(t client.Transfer) []draw.Pair {
	state := m.state(t.State)
	pairs := []draw.Pair{
		{Name: "id", Value: t.Id.String(), Whole: true},
		{Name: "state", Value: state.Text, Paint: state.Paint, Whole: true},
		{Name: "amount", Value: signed(t), Paint: m.Accent.Render, Whole: true},
		{Name: "from", Value: partyName(t.From)},
		{Name: "to", Value: partyName(t.To)},
		{Name: "when", Value: m.moment(t.CreatedAt)},
	}
	add := func(name, value string) {
		if value != "" {
			pairs = append(pairs, draw.Pair{Name: name, Value: value})
		}
	}
	part := func(name string, minor *int64) {
		if minor != nil && *minor != 0 {
			pairs = append(pairs, draw.Pair{Name: name, Value: amountOf(*minor, t.Currency), Whole: true})
		}
	}
	add("memo", value(t.Memo))
	add("reason", strings.ReplaceAll(value(t.Reason), "_", " "))
	part("authorized", t.AuthorizedAmount)
	part("reversed", t.ReversedAmount)
	if t.Reverses != nil {
		pairs = append(pairs, draw.Pair{Name: "reverses", Value: t.Reverses.String(), Whole: true})
	}
	if t.ResolvedAt != nil {
		add("ended", m.moment(*t.ResolvedAt))
	}
	if t.ExpiresAt != nil && t.State == client.Pending {
		add("expires", m.moment(*t.ExpiresAt))
	}
	return pairs
}

// moment formats a local time, to the second, and its age.
func (m *shared) moment(at time.Time) string {
	text := at.In(m.now.Location()).Format("2006-01-02 15:04:05 MST")
	if distance := m.now.Sub(at).Abs(); distance < 2*time.Second {
		return text + ", now"
	}
	if at.After(m.now) {
		return text + ", in " + age(at.Sub(m.now))
	}
	return text + ", " + age(m.now.Sub(at)) + " ago"
}

// signed formats the amount with the sign of its direction, seen from the user.
func signed(t client.Transfer) string {
	if t.Direction == client.Out {
		return "-" + amountOf(t.Amount, t.Currency)
	}
	return "+" + amountOf(t.Amount, t.Currency)
}

// partyName begins with the handle, which is unique; a name is whatever its owner chooses. The mark
// of staff follows the handle, so that no name can imitate it.
func partyName(p client.Party) string {
	if p.Bank != nil && *p.Bank {
		return "the bank"
	}
	if p.Handle == nil {
		return value(p.Name)
	}
	shown := "@" + *p.Handle
	if p.Staff != nil && *p.Staff {
		shown += " [staff]"
	}
	if name := value(p.Name); name != "" {
		shown += " (" + name + ")"
	}
	return shown
}
