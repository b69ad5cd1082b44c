package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/draw"
)

// manyTimeout limits an action on all marked rows, which takes a request for each.
const manyTimeout = 2 * time.Minute

// actOnTasks reviews an action on the marked tasks, or on the selected one.
func (s *queuesScreen) actOnTasks(m *shared, verb, effect string) tea.Cmd {
	tasks := s.chosenTasks(m)
	if len(tasks) == 0 {
		m.showToast("There is no task to " + verb + ".")
		return nil
	}
	one := tasks[0]
	a := action{title: titleCase(verb) + " this task?", effect: always(effect), verb: titleCase(verb)}
	a.subject = []draw.Pair{{Name: "queue", Value: one.Queue}, {Name: "task", Value: one.Id, Whole: true}, {Name: "state", Value: one.State, Whole: true}}
	if one.TransferId != nil {
		a.subject = append(a.subject, draw.Pair{Name: "transfer", Value: one.TransferId.String(), Whole: true})
	}
	command, server := "kizo ops tasks "+verb+" "+one.Id, m.server
	if len(tasks) > 1 {
		a.title = titleCase(verb) + " " + count(len(tasks), "task", "tasks") + "?"
		a.verb += " all " + fmt.Sprint(len(tasks))
		a.subject = []draw.Pair{{Name: "queue", Value: one.Queue}, {Name: "state", Value: one.State, Whole: true}, {Name: "tasks", Value: fmt.Sprint(len(tasks)), Whole: true}}
		command = "kizo ops tasks " + verb + " TASK"
		a.hint = "one reason for all"
	}
	m.act(onEach(a, command, verb, tasks, func(t client.Task) string { return t.Id }, func(ctx context.Context, t client.Task, reason string) error {
		return server.ActOnTask(ctx, t.Queue, t.Id, verb, reason)
	}))
	return nil
}

// onEach makes an action ask for one reason and do it to each row. One that is refused does not
// stop the others: the answer counts them, and shows the first refusal.
func onEach[T any](a action, command, verb string, rows []T, name func(T) string, do func(ctx context.Context, row T, reason string) error) action {
	hint := a.hint
	a = a.withReason(command, func(ctx context.Context, reason string) (string, error) {
		return "Done: " + verb + " " + name(rows[0]), do(ctx, rows[0], reason)
	})
	if len(rows) == 1 {
		return a
	}
	a.hint = hint + ", " + a.hint
	a.run = func(_ *shared, reason string) tea.Cmd {
		return func() tea.Msg {
			ctx, cancel := context.WithTimeout(context.Background(), manyTimeout)
			defer cancel()
			var first error
			failed := 0
			for _, row := range rows {
				if err := do(ctx, row, reason); err != nil {
					if needsStepUp(err) {
						return actedMsg{err: err} // after the code, all are done again: repeating changes nothing
					}
					failed++
					if first == nil {
						first = err
					}
				}
			}
			if first != nil {
				return actedMsg{err: fmt.Errorf("%s: %d of %d done; %d not: %w", verb, len(rows)-failed, len(rows), failed, first)}
			}
			return actedMsg{done: fmt.Sprintf("Done: %s all %d.", verb, len(rows))}
		}
	}
	return a
}

// chosenTasks returns the marked tasks, or the selected one; none while another list is loaded.
func (s *queuesScreen) chosenTasks(m *shared) (tasks []client.Task) {
	if s.list.key != s.key(m) || len(s.list.tasks) == 0 {
		return nil
	}
	for _, row := range s.chosen() {
		tasks = append(tasks, s.list.tasks[row])
	}
	return tasks
}

// chosenPayments is chosenTasks for payments.
func (s *queuesScreen) chosenPayments(m *shared) (payments []client.Payment) {
	if s.list.key != s.key(m) || len(s.list.payments) == 0 {
		return nil
	}
	for _, row := range s.chosen() {
		payments = append(payments, s.list.payments[row])
	}
	return payments
}

func (s *queuesScreen) resolve(m *shared, outcome, verb, effect string) tea.Cmd {
	payments := s.chosenPayments(m)
	if len(payments) == 0 {
		m.showToast("There is no payment to resolve.")
		return nil
	}
	p, server := payments[0], m.server
	id := p.TransferId.String()
	a := action{
		title: "Resolve this payment: " + outcome + "?", effect: always(effect), verb: verb,
		subject: []draw.Pair{{Name: "transfer", Value: id, Whole: true}, {Name: "kind", Value: string(p.Direction)},
			{Name: "amount", Value: amountOf(p.Amount, p.Currency), Whole: true}, {Name: "bank's error", Value: value(p.LastError)}},
	}
	command := "kizo ops payments resolve " + id + " " + outcome
	if len(payments) > 1 {
		a.title = "Resolve " + count(len(payments), "payment", "payments") + ": " + outcome + "?"
		a.verb += ", all " + fmt.Sprint(len(payments))
		a.subject = append([]draw.Pair{{Name: "payments", Value: fmt.Sprint(len(payments)), Whole: true}}, sums(payments)...)
		command = "kizo ops payments resolve TRANSFER " + outcome
		a.hint = "one reason for all"
	}
	m.act(onEach(a, command, "resolve "+outcome, payments, func(p client.Payment) string { return p.TransferId.String() },
		func(ctx context.Context, p client.Payment, reason string) error {
			_, err := server.ResolvePayment(ctx, p.TransferId, outcome, reason)
			return err
		}))
	return nil
}

// sums adds the amounts of payments, by kind and currency.
func sums(payments []client.Payment) (pairs []draw.Pair) {
	type kind struct {
		direction client.PaymentDirection
		currency  string
	}
	totals := map[kind]int64{}
	for _, p := range payments {
		totals[kind{p.Direction, p.Currency}] += p.Amount
	}
	for k, total := range totals {
		pairs = append(pairs, draw.Pair{Name: string(k.direction) + "s", Value: amountOf(total, k.currency), Whole: true})
	}
	slices.SortFunc(pairs, func(a, b draw.Pair) int { return strings.Compare(a.Name+a.Value, b.Name+b.Value) })
	return pairs
}

// always is the effect of an action that does not depend on what is typed.
func always(effect string) func(string) string { return func(string) string { return effect } }
