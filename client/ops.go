package client

import (
	"context"
	"net/http"

	openapi_types "github.com/oapi-codegen/runtime/types"
)

// What operators can do. Everybody else is told Forbidden. What changes something
// takes a reason of 1 to 500 characters, which is kept with the action.

// Queues are the settlement queues, live.
func (k *Kizo) Queues(ctx context.Context) ([]Queue, error) {
	request, err := NewOpsListQueuesRequest(k.server)
	list, err := get[QueueList](ctx, k, request, err)
	return list.Items, err
}

// PauseQueue lets no task of a queue start; ResumeQueue lets them again.
func (k *Kizo) PauseQueue(ctx context.Context, queue, reason string) error {
	request, err := NewOpsPauseQueueRequest(k.server, queue, Reason{Reason: reason})
	return k.act(ctx, request, err)
}

// ResumeQueue lets the tasks of a queue start again.
func (k *Kizo) ResumeQueue(ctx context.Context, queue, reason string) error {
	request, err := NewOpsResumeQueueRequest(k.server, queue, Reason{Reason: reason})
	return k.act(ctx, request, err)
}

// Tasks are tasks of a queue in one state.
func (k *Kizo) Tasks(ctx context.Context, queue string, params OpsListTasksParams) ([]Task, error) {
	request, err := NewOpsListTasksRequest(k.server, queue, &params)
	list, err := get[TaskList](ctx, k, request, err)
	return list.Items, err
}

// ActOnTask does one of retry, archive and delete with a task.
func (k *Kizo) ActOnTask(ctx context.Context, queue, task, action, reason string) error {
	request, err := NewOpsActOnTaskRequest(k.server, queue, task, action, Reason{Reason: reason})
	return k.act(ctx, request, err)
}

// Payments is one page of everybody's payments, newest first.
func (k *Kizo) Payments(ctx context.Context, params OpsListPaymentsParams) (PaymentList, error) {
	request, err := NewOpsListPaymentsRequest(k.server, &params)
	return get[PaymentList](ctx, k, request, err)
}

// Payment is the payment of a transfer.
func (k *Kizo) Payment(ctx context.Context, transfer openapi_types.UUID) (Payment, error) {
	request, err := NewOpsGetPaymentRequest(k.server, transfer)
	return get[Payment](ctx, k, request, err)
}

// ResolvePayment decides a payment that needs review: executed, rejected, or ask.
func (k *Kizo) ResolvePayment(ctx context.Context, transfer openapi_types.UUID, outcome, reason string) (Payment, error) {
	request, err := NewOpsResolvePaymentRequest(k.server, transfer, PaymentResolve{Outcome: outcome, Reason: reason})
	return get[Payment](ctx, k, request, err)
}

// Freeze keeps all wallets of a user from moving, also those opened later; Unfreeze lets
// them again.
func (k *Kizo) Freeze(ctx context.Context, login, reason string) error {
	request, err := NewOpsFreezeUserRequest(k.server, login, Reason{Reason: reason})
	return k.act(ctx, request, err)
}

// Unfreeze lets a user's wallets move again.
func (k *Kizo) Unfreeze(ctx context.Context, login, reason string) error {
	request, err := NewOpsUnfreezeUserRequest(k.server, login, Reason{Reason: reason})
	return k.act(ctx, request, err)
}

// Suspend ends all sessions of a user and lets no new one begin.
func (k *Kizo) Suspend(ctx context.Context, login, reason string) error {
	request, err := NewOpsSuspendUserRequest(k.server, login, Reason{Reason: reason})
	return k.act(ctx, request, err)
}

// Reinstate lets a suspended user log in again.
func (k *Kizo) Reinstate(ctx context.Context, login, reason string) error {
	request, err := NewOpsReinstateUserRequest(k.server, login, Reason{Reason: reason})
	return k.act(ctx, request, err)
}

// EndSessions ends all sessions of a user, who may log in again.
func (k *Kizo) EndSessions(ctx context.Context, login, reason string) error {
	request, err := NewOpsEndSessionsRequest(k.server, login, Reason{Reason: reason})
	return k.act(ctx, request, err)
}

// Reconcile has the bank's statement compared with the books.
func (k *Kizo) Reconcile(ctx context.Context) (Reconciliation, error) {
	request, err := NewOpsReconcileRequest(k.server)
	return get[Reconciliation](ctx, k, request, err)
}

// Audit has every invariant of the books recomputed.
func (k *Kizo) Audit(ctx context.Context) (AuditReport, error) {
	request, err := NewOpsAuditRequest(k.server)
	return get[AuditReport](ctx, k, request, err)
}

// Actions are what operators did, newest first.
func (k *Kizo) Actions(ctx context.Context, limit int32) ([]Action, error) {
	request, err := NewOpsListActionsRequest(k.server, &OpsListActionsParams{Limit: &limit})
	list, err := get[ActionList](ctx, k, request, err)
	return list.Items, err
}

// Explain is all that happened to a transfer, what it waits for and who acts next;
// an operator may ask about anybody's.
func (k *Kizo) Explain(ctx context.Context, transfer openapi_types.UUID) (Timeline, error) {
	request, err := NewExplainTransferRequest(k.server, transfer)
	return get[Timeline](ctx, k, request, err)
}

// act sends a request that is answered with nothing. Doing it twice is doing it once.
func (k *Kizo) act(ctx context.Context, request *http.Request, err error) error {
	if err != nil {
		return err
	}
	got, err := k.do(ctx, call{request: request})
	if err != nil {
		return err
	}
	return k.wantNothing(got)
}
