package server

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/settle"
)

// operations lends settlement to the API, which knows nothing of it: models and
// codes on one side, queue, payments and bank on the other.
type operations struct {
	settler *settle.Settler
	queues  *settle.Queues
	audit   func(context.Context) (ledger.Report, error)
	gauges  *gauges
}

var _ api.Ops = (*operations)(nil)

func (o *operations) Queues() ([]openapi.Queue, error) {
	stats, err := o.queues.Stats()
	if err != nil {
		return nil, err
	}
	queues := make([]openapi.Queue, len(stats))
	for i, q := range stats {
		queues[i] = openapi.Queue{
			Name: q.Name, Paused: q.Paused, Pending: q.Pending, Active: q.Active, Scheduled: q.Scheduled,
			Retry: q.Retry, Archived: q.Archived, ProcessedToday: q.ProcessedToday, FailedToday: q.FailedToday,
			LatencyMs: q.Latency.Milliseconds(),
		}
	}
	return queues, nil
}

func (o *operations) PauseQueue(queue string, pause bool) error {
	if pause {
		return o.queues.Pause(queue)
	}
	return o.queues.Resume(queue)
}

func (o *operations) Tasks(queue, state string, limit int) ([]openapi.Task, error) {
	found, err := o.queues.Tasks(queue, state, limit)
	if err != nil {
		return nil, err
	}
	tasks := make([]openapi.Task, len(found))
	for i, t := range found {
		tasks[i] = openapi.Task{Id: t.ID, Queue: queue, State: t.State, NextProcessAt: orAbsent(t.NextProcessAt)}
		if t.Transfer != uuid.Nil {
			tasks[i].TransferId = &found[i].Transfer
		}
		if t.LastError != "" {
			clean := text.CleanProse(t.LastError, maxShown)
			tasks[i].LastError = &clean
		}
	}
	return tasks, nil
}

func (o *operations) ActOnTask(queue, task, action string) error {
	return o.queues.Act(queue, task, action)
}

func (o *operations) Payments(ctx context.Context, state, cursor string, limit int) (openapi.PaymentList, error) {
	page, next, err := o.settler.Payments(ctx, ledger.PaymentState(state), cursor, limit)
	if err != nil {
		return openapi.PaymentList{}, err
	}
	list := openapi.PaymentList{Items: make([]openapi.Payment, len(page))}
	for i, p := range page {
		list.Items[i] = viewPayment(p)
	}
	if next != "" {
		list.NextCursor = &next
	}
	return list, nil
}

func (o *operations) Payment(ctx context.Context, transfer uuid.UUID) (openapi.Payment, error) {
	p, err := o.settler.Payment(ctx, transfer)
	return viewPayment(p), err
}

func (o *operations) Resolve(ctx context.Context, transfer uuid.UUID, outcome string) (openapi.Payment, error) {
	p, err := o.settler.Resolve(ctx, transfer, settle.Resolution(outcome))
	return viewPayment(p), err
}

func viewPayment(p settle.Payment) openapi.Payment {
	return openapi.Payment{
		TransferId: p.Transfer, Direction: openapi.PaymentDirection(p.Instruction.Direction), ExternalRef: p.Instruction.Ref,
		Amount: p.Instruction.Amount, Currency: p.Instruction.Currency, State: openapi.PaymentState(p.State),
		Attempts: p.Attempts, Fence: p.Fence, NextAt: orAbsent(p.NextAt), LeaseUntil: orAbsent(p.LeaseUntil),
		BankRef: cleaned(p.BankRef), LastError: cleaned(p.LastError), CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(), TraceId: cleaned(p.TraceID),
	}
}

// maxShown bounds each text of the bank, the queue and a payment that operators are shown, in characters.
const maxShown = 200

func cleaned(s string) *string {
	if s == "" {
		return nil
	}
	s = text.CleanProse(s, maxShown)
	return &s
}

func orAbsent(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (o *operations) Reconcile(ctx context.Context) (openapi.Reconciliation, error) {
	r, err := o.settler.Reconcile(ctx)
	if err != nil {
		return openapi.Reconciliation{}, err
	}
	known, err := o.settler.Discrepancies(ctx, 100)
	if err != nil {
		return openapi.Reconciliation{}, err
	}
	result := openapi.Reconciliation{
		Read: r.Read, Matched: r.Matched, Open: r.Open, Found: len(r.Found), Closed: r.Closed, Known: make([]openapi.Discrepancy, len(known)),
	}
	for i, d := range known {
		result.Known[i] = openapi.Discrepancy{
			Kind: d.Kind, ExternalRef: d.Ref, Detail: d.Detail, FoundAt: d.FoundAt.UTC(),
			TransferId: orNoID(d.Transfer), SuspenseId: orNoID(d.Suspense), ClosedAt: orNoTime(d.ClosedAt),
		}
	}
	return result, nil
}

func orNoTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func orNoID(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func (o *operations) Explain(ctx context.Context, t ledger.Transfer,
	people func(context.Context, []uuid.UUID) (map[uuid.UUID]auth.UserRef, error),
) (openapi.Timeline, error) {
	var known map[uuid.UUID]auth.UserRef
	timeline, err := o.settler.Explain(ctx, t, func(ctx context.Context, users []uuid.UUID) (names map[uuid.UUID]string, err error) {
		if known, err = people(ctx, users); err != nil {
			return nil, err
		}
		names = make(map[uuid.UUID]string, len(known))
		for id, user := range known {
			names[id] = "@" + user.Handle
		}
		return names, nil
	})
	if err != nil {
		return openapi.Timeline{}, err
	}
	view := openapi.Timeline{
		WaitsFor: timeline.WaitsFor, Next: timeline.Next, NextActor: viewActor(timeline.NextActor, known),
		TraceId: cleaned(timeline.TraceID), Entries: make([]openapi.TimelineEntry, len(timeline.Entries)),
	}
	for i, l := range timeline.Entries {
		view.Entries[i] = viewTimelineEntry(l, known)
	}
	return view, nil
}

func viewTimelineEntry(l settle.TimelineEntry, known map[uuid.UUID]auth.UserRef) openapi.TimelineEntry {
	entry := openapi.TimelineEntry{
		At: l.At.UTC(), Type: openapi.TimelineEntryType(l.Type), Actor: viewActor(l.Actor, known),
		TransferId: orNoID(l.Transfer), Outcome: cleaned(l.Outcome), What: text.CleanProse(l.What, maxShown),
	}
	if l.Amount != 0 {
		entry.Amount = &l.Amount
	}
	if l.Attempt != 0 {
		entry.Attempt = &l.Attempt
	}
	switch l.Account.Role {
	case "":
	case settle.RoleUser:
		user := known[l.Account.User]
		entry.Party = &openapi.Party{Handle: &user.Handle, Name: &user.Name}
	default:
		isBank := l.Account.Role == settle.RoleBank
		entry.Party = &openapi.Party{Bank: &isBank}
	}
	return entry
}

func viewActor(actor settle.Actor, known map[uuid.UUID]auth.UserRef) openapi.Actor {
	view := openapi.Actor{Role: openapi.ActorRole(actor.Role)}
	if user, ok := known[actor.User]; ok {
		view.Handle = &user.Handle
	}
	return view
}

func (o *operations) Audit(ctx context.Context) (openapi.AuditReport, error) {
	report, err := o.audit(ctx)
	if err != nil {
		return openapi.AuditReport{}, err
	}
	o.gauges.outside.audited(report)
	view := openapi.AuditReport{Ok: report.OK(), Checks: make([]openapi.AuditCheck, len(report.Checks))}
	for i, c := range report.Checks {
		view.Checks[i] = openapi.AuditCheck{Name: c.Name, Sentence: c.Sentence, Rows: c.Rows, Broken: c.Broken}
	}
	return view, nil
}

func (o *operations) Callback(ctx context.Context, signature string, body []byte) error {
	return o.settler.Callback(ctx, signature, body)
}
