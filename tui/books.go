package tui

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// healthScreen shows healthView. It audits the books and reconciles them with the bank, and shows
// the results.
type healthScreen struct {
	report     *client.AuditReport // nil before the first audit from here
	reconciled *client.Reconciliation
	running    string // "audit" or "reconciliation" while one runs; otherwise empty
}

// booksTimeout limits an audit or a reconciliation: a full audit reads the whole ledger.
const booksTimeout = 10 * time.Minute

type auditMsg struct {
	report client.AuditReport
	err    error
}

type reconciledMsg struct {
	result client.Reconciliation
	err    error
}

func (*healthScreen) typing() bool { return false }

func (s *healthScreen) keys(m *shared) []binding {
	off := ""
	switch {
	case m.ops.denied:
		off = "only operators can do this"
	case m.readonly != "":
		off = m.errReadonly().Error()
	case s.running != "":
		off = "the " + s.running + " is still running"
	}
	audit := binding{keys: []string{"a"}, shown: "a", help: "audit now", command: "kizo ops audit", off: off, run: func(m *shared) tea.Cmd { m.act(s.auditAction(m)); return nil }}
	reconcile := binding{keys: []string{"b"}, shown: "b", help: "reconcile with the bank now", command: "kizo ops reconcile", off: off, run: func(m *shared) tea.Cmd { m.act(s.reconcileAction(m)); return nil }}
	checks := binding{keys: []string{"c"}, shown: "c", help: "checks of the last audit", run: func(m *shared) tea.Cmd { m.open(s.checks()); return nil }}
	if s.report == nil {
		checks.off = "no audit was made from here: a makes one"
	}
	found := binding{keys: []string{"d"}, shown: "d", help: "discrepancies", command: "kizo ops reconcile", run: func(m *shared) tea.Cmd { m.open(s.discrepancies(m)); return nil }}
	if s.reconciled == nil {
		found.off = "they are listed by a reconciliation: b makes one"
	}
	return []binding{m.spanKey(), audit.greyed(), reconcile.greyed(), checks.greyed(), found.greyed()}
}

// run makes an action do a long request, whose answer is a message.
func (s *healthScreen) run(name string, do func(ctx context.Context) tea.Msg) func(*shared, string) tea.Cmd {
	return func(m *shared, _ string) tea.Cmd {
		s.running = name
		m.showToast("The " + name + " runs. Its result is shown when it ends.")
		return func() tea.Msg {
			ctx, cancel := context.WithTimeout(context.Background(), booksTimeout)
			defer cancel()
			return do(ctx)
		}
	}
}

func (s *healthScreen) auditAction(m *shared) action {
	server := m.server
	return action{
		title: "Audit the books now?", verb: "Audit", subject: []draw.Pair{{Name: "books", Value: "all rows, all invariants"}},
		effect:      always("Every invariant of the ledger is recomputed from all rows, in a snapshot. Payments go on meanwhile; on a large ledger it takes minutes."),
		commandLine: func(string) string { return "kizo ops audit" },
		run: s.run("audit", func(ctx context.Context) tea.Msg {
			report, err := server.Audit(ctx, false)
			return auditMsg{report, err}
		}),
	}
}

func (s *healthScreen) reconcileAction(m *shared) action {
	server := m.server
	return action{
		title: "Reconcile now?", verb: "Reconcile", subject: []draw.Pair{{Name: "with", Value: "the statement of the bank"}},
		effect:      always("The bank's statement is compared with the books. What does not match becomes a discrepancy; one that matches now is closed."),
		commandLine: func(string) string { return "kizo ops reconcile" },
		run: s.run("reconciliation", func(ctx context.Context) tea.Msg {
			result, err := server.Reconcile(ctx)
			return reconciledMsg{result, err}
		}),
	}
}

func (s *healthScreen) update(m *shared, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case auditMsg:
		s.running = ""
		if msg.err != nil {
			m.showError(msg.err)
			return nil
		}
		s.report = &msg.report
		m.showFinding(msg.report.Ok, fmt.Sprintf("The audit ended: %s.", auditResult(msg.report)), "5 and c show the checks")
	case reconciledMsg:
		s.running = ""
		if msg.err != nil {
			m.showError(msg.err)
			return nil
		}
		s.reconciled = &msg.result
		open := 0
		for _, d := range msg.result.Discrepancies {
			if d.ClosedAt == nil {
				open++
			}
		}
		m.showFinding(open == 0, fmt.Sprintf("Reconciled: %d of %d lines match, %d new, %d closed.", msg.result.Matched, msg.result.Read, msg.result.Found, msg.result.Closed), "5 and d show the discrepancies")
	case userChangedMsg:
		*s = healthScreen{}
	}
	return nil
}

// showFinding shows a result in the footer: green only if all is right. An answer that comes later
// must not cover what the user does now, so that no screen opens by itself.
func (m *shared) showFinding(right bool, text, where string) {
	m.showToast(text + " " + titleCase(where) + ".")
	m.bad = !right
}

func auditResult(r client.AuditReport) string {
	broken := 0
	for _, c := range r.Checks {
		if len(c.Broken) > 0 {
			broken++
		}
	}
	if r.Ok && broken == 0 {
		return "all " + count(len(r.Checks), "check holds", "checks hold")
	}
	return fmt.Sprintf("%d of %s", broken, count(len(r.Checks), "check fails", "checks fail"))
}

func (s *healthScreen) view(m *shared, width, height int) string {
	seen := m.ops
	if _, fresh := m.badge(); !fresh {
		seen.old = age(m.now.Sub(m.connection.receivedAt)) + " ago"
	}
	return m.healthView(&seen, m.now, width, height)
}

// checks lists the checks of the audit.
func (s *healthScreen) checks() screen {
	r := s.report
	return &resultScreen{title: "Audit: " + auditResult(*r), columns: []draw.Column{{Title: "CHECK", Cut: 12}, {Title: "ROWS", Right: true, Drop: 1}, {Title: "RESULT", Cut: 8}, {Title: "WHAT HOLDS", Cut: 10, Drop: 2}},
		rows: func(m *shared) (rows [][]draw.Cell) {
			for _, c := range r.Checks {
				result := draw.Cell{Text: m.glyph("✓ ", "") + "ok", Paint: m.Good.Render}
				if len(c.Broken) > 0 {
					result = draw.Cell{Text: m.glyph("✗ ", "! ") + "BROKEN: " + strings.Join(c.Broken, ", "), Paint: m.Bad.Render}
				}
				rows = append(rows, []draw.Cell{{Text: c.Name}, {Text: strconv.FormatInt(c.Rows, 10)}, result, {Text: c.Sentence, Paint: m.Dim.Render}})
			}
			return rows
		}}
}

// discrepancies lists those of the reconciliation, as the server returns them.
func (s *healthScreen) discrepancies(*shared) screen {
	r := s.reconciled
	return &resultScreen{title: "Discrepancies", none: "None is known: the books and the bank agree.", columns: []draw.Column{{Title: "FOUND", Drop: 3}, {Title: "KIND", Cut: 10}, {Title: "STATE"}, {Title: "DETAIL", Cut: 10}, {Title: "REFERENCE", Cut: 10, Drop: 2}, {Title: "TRANSFER", Drop: 4}},
		rows: func(m *shared) (rows [][]draw.Cell) {
			for _, d := range r.Discrepancies {
				state, transfer := draw.Cell{Text: m.glyph("▲", "!") + " open", Paint: m.Warn.Render}, "–"
				if d.ClosedAt != nil {
					state = draw.Cell{Text: "closed", Paint: m.Dim.Render}
				}
				if d.TransferId != nil {
					transfer = d.TransferId.String()
				}
				rows = append(rows, []draw.Cell{{Text: when(d.FoundAt, m.now), Paint: m.Dim.Render}, {Text: strings.ReplaceAll(d.Kind, "_", " ")}, state, {Text: d.Detail}, {Text: d.ExternalRef, Paint: m.Dim.Render}, {Text: transfer, Paint: m.Dim.Render}})
			}
			return rows
		}}
}

// resultScreen is a table over the page.
type resultScreen struct {
	title, none      string
	columns          []draw.Column
	rows             func(m *shared) [][]draw.Cell
	selected, offset int
}

func (*resultScreen) typing() bool { return false }

func (s *resultScreen) keys(m *shared) []binding {
	moves := func(by int) func(*shared) tea.Cmd {
		return func(m *shared) tea.Cmd {
			s.selected = max(0, min(s.selected+by, len(s.rows(m))-1))
			return nil
		}
	}
	return []binding{
		{keys: []string{"esc", "enter", "q"}, shown: "esc", help: "close", run: func(m *shared) tea.Cmd { m.close(); return nil }},
		{keys: []string{"j", "down"}, shown: "j/↓", help: "next row", run: moves(1)},
		{keys: []string{"k", "up"}, shown: "k/↑", help: "previous row", run: moves(-1)},
		{keys: []string{"g", "home"}, shown: "g", help: "first row", run: moves(-1 << 16)},
		{keys: []string{"G", "end"}, shown: "G", help: "last row", run: moves(1 << 16)},
	}
}

func (*resultScreen) update(*shared, tea.Msg) tea.Cmd { return nil }

func (s *resultScreen) view(m *shared, width, height int) string {
	return centered(s.dialog(m, width, height), width, height)
}

// dialog draws the table, and the last column of the selected row in full below it.
func (s *resultScreen) dialog(m *shared, width, height int) string {
	rows := s.rows(m)
	wide, tall := min(width, 130), min(height, max(5, len(rows)+6))
	inner, free := draw.Inner(wide, tall)
	if len(rows) == 0 {
		return m.box(s.title, "", m.Good.Render(draw.Cut(m.glyph("✓ ", "")+s.none, inner)), wide, 3)
	}
	s.selected = min(s.selected, len(rows)-1)
	whole := draw.Wrap(rows[s.selected][3].Text, inner)
	whole = whole[:min(len(whole), 2)]
	t := draw.Table{Columns: s.columns, Rows: rows, Selected: s.selected, Width: inner, Height: max(2, free-len(whole)-1), Detail: m.detail,
		Titles: m.Dim.Render, Chosen: m.Selected.Render, Bar: m.Border.Render}
	s.offset = draw.ScrollTo(s.selected, s.offset, len(rows), t.Height)
	t.Offset = s.offset
	body := []string{t.Draw(), ""}
	for _, line := range whole {
		body = append(body, m.Plain.Render(draw.Fit(line, inner)))
	}
	return m.box(s.title, count(len(rows), "row", "rows"), strings.Join(body, "\n"), wide, tall)
}
