package ops

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/monitoring"
	"github.com/JDevAman/kizo/server/settle"
)

// Config of Ops.
type Config struct {
	Settler   *settle.Settler
	Queues    *settle.Queues
	Auditor   *ledger.Auditor
	Audited   *monitoring.AuditStatus // gets the result of each audit
	Snapshots *monitoring.Snapshots
	History   *monitoring.History
}

// Ops implements [api.Ops].
type Ops struct{ config Config }

var _ api.Ops = (*Ops)(nil)

// New makes an Ops.
func New(config Config) *Ops { return &Ops{config} }

// Queues returns the state of every queue in Redis.
func (o *Ops) Queues() ([]openapi.Queue, error) {
	stats, err := o.config.Queues.Stats()
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

// PauseQueue stops the start of tasks of a queue, or allows it again.
func (o *Ops) PauseQueue(queue string, pause bool) error {
	if pause {
		return o.config.Queues.Pause(queue)
	}
	return o.config.Queues.Resume(queue)
}

// Tasks returns at most limit tasks of a queue that are in a state, with their payments. Without
// the database, the tasks are shown all the same: an operator needs them then most.
func (o *Ops) Tasks(ctx context.Context, queue, state string, limit int, people api.People) ([]openapi.Task, error) {
	found, err := o.config.Queues.Tasks(queue, state, limit)
	if err != nil {
		return nil, err
	}
	payments, err := o.paymentsOf(ctx, found, people)
	if err != nil {
		payments = nil
	}
	tasks := make([]openapi.Task, len(found))
	for i, t := range found {
		tasks[i] = openapi.Task{
			Id: t.ID, Queue: queue, State: t.State, NextProcessAt: timeOrAbsent(t.NextProcessAt),
			TransferId: idOrAbsent(t.Transfer), LastError: cleaned(t.LastError),
		}
		if p, known := payments[t.Transfer]; known {
			tasks[i].Payment = &p
		}
	}
	return tasks, nil
}

// paymentsOf returns the payments of tasks, by their transfers.
func (o *Ops) paymentsOf(ctx context.Context, tasks []settle.Task, people api.People) (map[uuid.UUID]openapi.Payment, error) {
	var transfers []uuid.UUID
	for _, t := range tasks {
		if t.Transfer != uuid.Nil {
			transfers = append(transfers, t.Transfer)
		}
	}
	if len(transfers) == 0 {
		return nil, nil
	}
	found, err := o.config.Settler.PaymentsOf(ctx, transfers)
	if err != nil {
		return nil, err
	}
	views, err := viewPayments(ctx, slices.Collect(maps.Values(found)), people)
	payments := make(map[uuid.UUID]openapi.Payment, len(views))
	for _, view := range views {
		payments[view.TransferId] = view
	}
	return payments, err
}

// viewPayments shows payments with the handles of their users.
func viewPayments(ctx context.Context, found []settle.Payment, people api.People) ([]openapi.Payment, error) {
	owners := make([]auth.UserID, 0, len(found))
	for _, p := range found {
		owners = append(owners, p.Owner)
	}
	users, err := people(ctx, owners)
	if err != nil {
		return nil, err
	}
	views := make([]openapi.Payment, len(found))
	for i, p := range found {
		views[i] = viewPayment(p)
		if u, known := users[p.Owner]; known {
			views[i].User = &u.Handle
		}
	}
	return views, nil
}

// ActOnTask retries, archives or deletes a task.
func (o *Ops) ActOnTask(queue, task, action string) error {
	return o.config.Queues.Act(queue, task, action)
}

// Payments returns a page of payments in a state, or in every state if it is "".
func (o *Ops) Payments(ctx context.Context, state, cursor string, limit int, people api.People) (openapi.PaymentList, error) {
	page, next, err := o.config.Settler.Payments(ctx, ledger.PaymentState(state), cursor, limit)
	if err != nil {
		return openapi.PaymentList{}, err
	}
	items, err := viewPayments(ctx, page, people)
	list := openapi.PaymentList{Items: items}
	if next != "" {
		list.NextCursor = &next
	}
	return list, err
}

// Payment returns the payment of a transfer.
func (o *Ops) Payment(ctx context.Context, transfer uuid.UUID, people api.People) (openapi.Payment, error) {
	p, err := o.config.Settler.Payment(ctx, transfer)
	if err != nil {
		return openapi.Payment{}, err
	}
	views, err := viewPayments(ctx, []settle.Payment{p}, people)
	if err != nil {
		return openapi.Payment{}, err
	}
	return views[0], nil
}

// Resolve decides a payment that needs review.
func (o *Ops) Resolve(ctx context.Context, transfer uuid.UUID, outcome string) (openapi.Payment, error) {
	p, err := o.config.Settler.Resolve(ctx, transfer, settle.Resolution(outcome))
	return viewPayment(p), err
}

func viewPayment(p settle.Payment) openapi.Payment {
	return openapi.Payment{
		TransferId: p.Transfer, Direction: openapi.PaymentDirection(p.Instruction.Direction), ExternalRef: p.Instruction.Ref,
		Amount: p.Instruction.Amount, Currency: p.Instruction.Currency, State: openapi.PaymentState(p.State),
		Attempts: p.Attempts, Fence: p.Fence, NextAt: timeOrAbsent(p.NextAt), LeaseUntil: timeOrAbsent(p.LeaseUntil),
		BankRef: cleaned(p.BankRef), LastError: cleaned(p.LastError), CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(), TraceId: cleaned(p.TraceID),
	}
}

// maxShown bounds each text from the bank, a queue or a payment that operators see, in characters.
const maxShown = 200

func cleaned(s string) *string {
	if s == "" {
		return nil
	}
	s = text.CleanProse(s, maxShown)
	return &s
}

func timeOrAbsent(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Reconcile compares the bank's statement with the books, and returns the latest 100 discrepancies.
func (o *Ops) Reconcile(ctx context.Context) (openapi.Reconciliation, error) {
	r, err := o.config.Settler.Reconcile(ctx)
	if err != nil {
		return openapi.Reconciliation{}, err
	}
	known, err := o.config.Settler.Discrepancies(ctx, 100)
	if err != nil {
		return openapi.Reconciliation{}, err
	}
	result := openapi.Reconciliation{
		Read: r.Read, Matched: r.Matched, Open: r.Open, Found: len(r.Found), Closed: r.Closed, Discrepancies: make([]openapi.Discrepancy, len(known)),
	}
	for i, d := range known {
		result.Discrepancies[i] = openapi.Discrepancy{
			Kind: d.Kind, ExternalRef: d.Ref, Detail: d.Detail, FoundAt: d.FoundAt.UTC(),
			TransferId: idOrAbsent(d.Transfer), SuspenseId: idOrAbsent(d.Suspense), ClosedAt: timeOrAbsent(d.ClosedAt),
		}
	}
	return result, nil
}

func idOrAbsent(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// Audit checks every invariant of the ledger, of all rows or of what is new since the last signed
// audit. Its result is also a metric.
func (o *Ops) Audit(ctx context.Context, mode ledger.AuditMode) (openapi.AuditReport, error) {
	audit := o.config.Auditor.Full
	if mode == ledger.IncrementalAudit {
		audit = o.config.Auditor.Incremental
	}
	report, err := audit(ctx)
	if err != nil {
		return openapi.AuditReport{}, err
	}
	o.config.Audited.Record(report)
	name := string(report.Mode)
	view := openapi.AuditReport{Ok: report.OK(), Mode: &name, Signed: &report.Signed, Checks: make([]openapi.AuditCheck, len(report.Checks))}
	if mode == ledger.IncrementalAudit {
		view.Since, view.FullAt = &report.Since, &report.FullAt
	}
	for i, c := range report.Checks {
		view.Checks[i] = openapi.AuditCheck{Name: c.Name, Sentence: c.Sentence, Rows: c.Rows, Broken: c.Broken}
	}
	return view, nil
}

// Callback handles a callback of the bank, after it has checked the signature.
func (o *Ops) Callback(ctx context.Context, signature string, body []byte) error {
	return o.config.Settler.Callback(ctx, signature, body)
}
