package client

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/openapi"
)

// The methods in this file are for operators; the server answers other users with Forbidden. A
// method that changes something takes a reason of 1 to 500 characters, which is stored with the
// action.

// Queues returns the settlement queues as they are now.
func (c *Client) Queues(ctx context.Context) ([]Queue, error) {
	request, err := c.get("/v1/ops/queues", nil)
	list, err := read[openapi.QueueList](ctx, c, request, err)
	return list.Items, err
}

// PauseQueue keeps the tasks of a queue from starting until ResumeQueue.
func (c *Client) PauseQueue(ctx context.Context, queue, reason string) error {
	return c.actWithReason(ctx, pathOf("/v1/ops/queues/%s/pause", queue), reason)
}

// ResumeQueue lets the tasks of a queue start again.
func (c *Client) ResumeQueue(ctx context.Context, queue, reason string) error {
	return c.actWithReason(ctx, pathOf("/v1/ops/queues/%s/resume", queue), reason)
}

// Tasks returns tasks of a queue in one state.
func (c *Client) Tasks(ctx context.Context, queue string, params OpsListTasksParams) ([]Task, error) {
	request, err := c.get(pathOf("/v1/ops/queues/%s/tasks", queue), &params)
	list, err := read[openapi.TaskList](ctx, c, request, err)
	return list.Items, err
}

// ActOnTask retries, archives or deletes a task: action is retry, archive or delete.
func (c *Client) ActOnTask(ctx context.Context, queue, task, action, reason string) error {
	return c.actWithReason(ctx, pathOf("/v1/ops/queues/%s/tasks/%s/%s", queue, task, action), reason)
}

// Payments returns one page of the payments of all users, newest first.
func (c *Client) Payments(ctx context.Context, params OpsListPaymentsParams) (PaymentList, error) {
	request, err := c.get("/v1/ops/payments", &params)
	return read[PaymentList](ctx, c, request, err)
}

// Payment returns the payment of a transfer.
func (c *Client) Payment(ctx context.Context, transfer uuid.UUID) (Payment, error) {
	request, err := c.get(pathOf("/v1/ops/payments/%s", transfer.String()), nil)
	return read[Payment](ctx, c, request, err)
}

// ResolvePayment decides a payment that needs review: outcome is executed, rejected or ask.
func (c *Client) ResolvePayment(ctx context.Context, transfer uuid.UUID, outcome, reason string) (Payment, error) {
	body := openapi.PaymentResolve{Outcome: outcome, Reason: reason}
	request, err := c.send(http.MethodPost, pathOf("/v1/ops/payments/%s/resolve", transfer.String()), body)
	return read[Payment](ctx, c, request, err)
}

// Freeze keeps all wallets of a user from moving money until Unfreeze, including those opened
// later.
func (c *Client) Freeze(ctx context.Context, login, reason string) error {
	return c.actWithReason(ctx, pathOf("/v1/ops/users/%s/freeze", login), reason)
}

// Unfreeze lets a user's wallets move money again.
func (c *Client) Unfreeze(ctx context.Context, login, reason string) error {
	return c.actWithReason(ctx, pathOf("/v1/ops/users/%s/unfreeze", login), reason)
}

// Suspend ends all sessions of a user and refuses new ones until Reinstate.
func (c *Client) Suspend(ctx context.Context, login, reason string) error {
	return c.actWithReason(ctx, pathOf("/v1/ops/users/%s/suspend", login), reason)
}

// Reinstate lets a suspended user log in again.
func (c *Client) Reinstate(ctx context.Context, login, reason string) error {
	return c.actWithReason(ctx, pathOf("/v1/ops/users/%s/reinstate", login), reason)
}

// EndSessions ends all sessions of a user, who may log in again.
func (c *Client) EndSessions(ctx context.Context, login, reason string) error {
	return c.actWithReason(ctx, pathOf("/v1/ops/users/%s/end-sessions", login), reason)
}

// Reconcile compares the bank's statement with the books.
func (c *Client) Reconcile(ctx context.Context) (Reconciliation, error) {
	request, err := c.send(http.MethodPost, "/v1/ops/reconcile", nil)
	return read[Reconciliation](ctx, c, request, err)
}

// Audit recomputes every invariant of the books or, if it is incremental, checks what is new since
// the last signed audit. It fails with NoSignedAudit if there is none that it can continue.
func (c *Client) Audit(ctx context.Context, incremental bool) (AuditReport, error) {
	path := "/v1/ops/audit"
	if incremental {
		path += "?mode=incremental"
	}
	request, err := c.send(http.MethodPost, path, nil)
	return read[AuditReport](ctx, c, request, err)
}

// History returns the recent figures of the answering kizod. resolution is second, for the last 15
// minutes, or minute, for the last 24 hours.
func (c *Client) History(ctx context.Context, resolution string) (OpsHistory, error) {
	request, err := c.get("/v1/ops/history", &openapi.OpsHistoryParams{Resolution: &resolution})
	return read[OpsHistory](ctx, c, request, err)
}

// Actions returns what operators did, newest first. limit is 1 to 100.
func (c *Client) Actions(ctx context.Context, limit int32) ([]Action, error) {
	request, err := c.get("/v1/ops/actions", &openapi.OpsListActionsParams{Limit: &limit})
	list, err := read[openapi.ActionList](ctx, c, request, err)
	return list.Items, err
}

// Approvals returns the actions for which operators asked the approval of others, newest first.
func (c *Client) Approvals(ctx context.Context, limit int32) ([]Approval, error) {
	request, err := c.get("/v1/ops/approvals", &openapi.OpsListApprovalsParams{Limit: &limit})
	list, err := read[openapi.ApprovalList](ctx, c, request, err)
	return list.Items, err
}

// Approve approves an action of another operator, which is carried out at once.
func (c *Client) Approve(ctx context.Context, id uuid.UUID, reason string) (Approval, error) {
	request, err := c.send(http.MethodPost, pathOf("/v1/ops/approvals/%s/approve", id.String()), openapi.Reason{Reason: reason})
	return read[Approval](ctx, c, request, err)
}

// RejectApproval rejects an action of another operator.
func (c *Client) RejectApproval(ctx context.Context, id uuid.UUID, reason string) (Approval, error) {
	request, err := c.send(http.MethodPost, pathOf("/v1/ops/approvals/%s/reject", id.String()), openapi.Reason{Reason: reason})
	return read[Approval](ctx, c, request, err)
}

// actWithReason sends an operator's action. Repeating it changes nothing.
func (c *Client) actWithReason(ctx context.Context, path, reason string) error {
	request, err := c.send(http.MethodPost, path, openapi.Reason{Reason: reason})
	return c.act(ctx, request, err)
}
