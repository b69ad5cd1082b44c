package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	openapi_types "github.com/oapi-codegen/runtime/types"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

func (r *manyTasks) Payment(_ context.Context, transfer openapi_types.UUID) (client.Payment, error) {
	for _, t := range r.tasks {
		if *t.TransferId == transfer {
			p := *t.Payment
			p.BankRef = ptr("bank-77\x1b[2J")
			return p, nil
		}
	}
	return client.Payment{}, errors.New("no payment")
}

func (r *manyTasks) Explain(_ context.Context, transfer client.ID) (client.Timeline, error) {
	return client.Timeline{Entries: []client.TimelineEntry{{At: noon, Text: "the bank answered: \x1b[2Jno"}}, WaitsFor: "the bank", Next: "the janitor asks"}, nil
}

// TestATaskIsOpened: enter shows the list alone, then the task with its payment and timeline; esc
// goes back; actions there work on this task alone.
func TestATaskIsOpened(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {120, 40}, {200, 50}} {
		m, r, s := listing(t, 20)
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		do(m, "4", "h", "h", "enter")
		view := m.View()
		testkit.Contains(t, view, "Queues › bank › archived", "USER", "@user1", "30.15 USD", "TRIES")
		if strings.Contains(view, "p99") {
			t.Errorf("the charts are still there:\n%s", view)
		}
		golden(t, fmt.Sprintf("tasks-%dx%d", size[0], size[1]), view)
		do(m, " ", " ", "enter")
		view = m.View()
		testkit.Contains(t, view, "Withdrawal of 30.15 USD", taskNumber(2).Id, "@user2", `bank-77\u{1b}[2J`, `the bank answered: \u{1b}[2Jno`, "the janitor asks")
		golden(t, fmt.Sprintf("task-%dx%d", size[0], size[1]), view)
		do(m, "n")
		testkit.Contains(t, m.View(), "Withdrawal of 40.20 USD", "@user3")
		do(m, "t", "x", "enter", "y")
		if len(r.acted) != 1 || !strings.Contains(r.acted[0], taskNumber(3).Id) {
			t.Errorf("did %v", r.acted)
		}
		do(m, "esc")
		testkit.Equal(t, "depth", s.depth, wholeList)
		do(m, "esc") // the marks first
		do(m, "esc")
		testkit.Equal(t, "depth", s.depth, allQueues)
		if do(m, "esc"); s.depth != allQueues || m.shown != 3 {
			t.Errorf("esc leaves the screen")
		}
	}
}

// TestActionsSayWhyTheyAreOff by the state of the task, its owner and the mode of the dashboard.
func TestActionsSayWhyTheyAreOff(t *testing.T) {
	for _, test := range []struct {
		tab, key, reason string
		own, readonly    bool
	}{
		{tab: "pending", key: "t", reason: "runs as soon as a worker is free"},
		{tab: "active", key: "t", reason: "a worker runs it now"}, {tab: "active", key: "a", reason: "a worker runs it now"}, {tab: "active", key: "d", reason: "a worker runs it now"},
		{tab: "archived", key: "a", reason: "it is archived already"},
		{tab: "archived", key: "t"}, {tab: "archived", key: "d"}, {tab: "retry", key: "t"}, {tab: "pending", key: "a"}, {tab: "scheduled", key: "t"},
		{tab: "archived", key: "t", own: true, reason: "it is your own"},
		{tab: "archived", key: "t", readonly: true, reason: "read-only"}, {tab: "archived", key: "p", readonly: true, reason: "read-only"},
		{tab: review, key: "e"}, {tab: review, key: "e", own: true, reason: "it is your own"}, {tab: review, key: "x", own: true, reason: "it is your own"},
	} {
		m := operatorDashboard(t, 120, 40)
		s := m.pages[3].screen.(*queuesScreen)
		m.shown, s.tab = 3, test.tab
		task := taskNumber(1)
		if test.own {
			task.Payment.User = ptr("ada")
		}
		if test.readonly {
			m.readonly = "it was started with --readonly"
		}
		list := taskList{key: s.key(&m.shared), tasks: []client.Task{task}}
		if test.tab == review {
			list = taskList{key: list.key, payments: []client.Payment{*task.Payment}}
		}
		s.update(&m.shared, taskListMsg{key: list.key, list: list})
		for range 3 { // at every depth
			b, found := find(s.keys(&m.shared), test.key)
			if s.depth == oneRow && test.key == "p" {
				continue // the previous row
			}
			if !found || !strings.Contains(b.off, test.reason) || (test.reason == "") != (b.off == "") {
				t.Errorf("%+v at depth %d: off %q", test, s.depth, b.off)
			}
			s.depth++
		}
		s.depth = allQueues
		m.Update(keyMsg(test.key))
		if opened := m.overlay != nil; opened != (test.reason == "") || m.bad == opened {
			t.Errorf("%+v opens %T, says %q", test, m.overlay, m.toast)
		}
	}
}

// booksServer answers audits and reconciliations.
type booksServer struct {
	operatorRecord
	report client.AuditReport
	found  client.Reconciliation
}

func (b *booksServer) Audit(context.Context, bool) (client.AuditReport, error) {
	return b.report, b.err
}

func (b *booksServer) Reconcile(context.Context) (client.Reconciliation, error) {
	return b.found, b.err
}

func (b *booksServer) Summary(context.Context, time.Time) (client.Summary, error) {
	return adasSummary("x"), nil
}

// TestTheBooksAreAuditedAndReconciled from the Health screen, after a review.
func TestTheBooksAreAuditedAndReconciled(t *testing.T) {
	m := operatorDashboard(t, 120, 40)
	b := &booksServer{report: client.AuditReport{Ok: true, Checks: []client.AuditCheck{{Name: "balanced", Sentence: "every transfer balances", Rows: 12}}}}
	m.server = b
	do(m, "5", "c")
	if !m.bad || m.overlay != nil {
		t.Errorf("checks before an audit: %q", m.toast)
	}
	do(m, "a")
	testkit.Contains(t, m.View(), "Audit the books now?", "▸ Cancel", "$ kizo ops audit")
	do(m, "enter")
	if m.overlay != nil || m.pages[4].screen.(*healthScreen).running != "" {
		t.Fatal("enter audits")
	}
	do(m, "a", "y")
	if m.bad || !strings.Contains(m.toast, "all 1 check holds") {
		t.Errorf("%q", m.toast)
	}
	do(m, "c")
	testkit.Contains(t, m.View(), "Audit: all 1 check holds", "balanced", "✓ ok", "every transfer balances")
	b.report.Ok, b.report.Checks[0].Broken = false, []string{"tr\x1b[2J1"}
	do(m, "esc", "a", "y")
	if !m.bad || !strings.Contains(m.toast, "1 of 1 check fails") {
		t.Errorf("%q", m.toast)
	}
	do(m, "c")
	testkit.Contains(t, m.View(), `✗ BROKEN: tr\u{1b}[2J1`)

	transfer := *taskNumber(1).TransferId
	b.found = client.Reconciliation{Read: 9, Matched: 8, Found: 1, Discrepancies: []client.Discrepancy{
		{Kind: "missing_at_bank", Detail: "12.50 USD\x1b[2J is not in the statement", ExternalRef: "kizo-1", FoundAt: noon, TransferId: &transfer},
		{Kind: "amount", Detail: "closed one", FoundAt: noon.Add(-time.Hour), ClosedAt: ptr(noon)},
	}}
	do(m, "esc", "b", "y")
	if !m.bad || !strings.Contains(m.toast, "8 of 9 lines match, 1 new") {
		t.Errorf("%q", m.toast)
	}
	do(m, "d")
	testkit.Contains(t, m.View(), "missing at bank", `12.50 USD\u{1b}[2J is not in the statement`, "▲ open", "closed")
	b.found = client.Reconciliation{Read: 9, Matched: 9}
	do(m, "esc", "b", "y", "d")
	testkit.Contains(t, m.View(), "the books and the bank agree")
	b.err = errors.New("the bank does not answer")
	if do(m, "esc", "b", "y"); !m.bad || !strings.Contains(m.toast, "the bank does not answer") {
		t.Errorf("%q", m.toast)
	}
	m.ops.denied = true
	if do(m, "a"); m.overlay != nil || !strings.Contains(m.toast, "Only operators") {
		t.Errorf("%q", m.toast)
	}
}
