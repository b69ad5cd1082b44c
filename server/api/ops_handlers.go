package api

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// checkRole rejects callers without the role that an operation requires.
func checkRole(c *fiber.Ctx) error {
	if operationOf(c).access == forOperators && from(c.UserContext()).principal.Role != auth.RoleOperator {
		return faultf(openapi.Forbidden, "", "this is for operators: kizod user grant HANDLE operator makes one")
	}
	return c.Next()
}

// note writes an action down before it is carried out: one that fails afterwards
// was still tried, one that is not written down is not done.
func (a *API) note(ctx context.Context, action, subject, reason string) error {
	reason = strings.TrimSpace(reason)
	if n := utf8.RuneCountInString(reason); n < 1 || n > 500 || !printable(reason) {
		return faultf(openapi.ReasonMalformed, "reason", "say why, in 1 to 500 printable characters")
	}
	return a.auth.RecordAction(ctx, user(ctx), action, subject, reason)
}

func printable(s string) bool {
	_, unprintable := text.Unprintable(s)
	_, misplaced := text.MisplacedJoiner(s)
	return !unprintable && !misplaced
}

const defaultPage = 20

func pageSize(limit *int32) (int, error) {
	if limit == nil {
		return defaultPage, nil
	}
	if *limit < 1 || *limit > ledger.MaxPage {
		return 0, faultf(openapi.ParameterMalformed, "limit", "limit is 1 to 100")
	}
	return int(*limit), nil
}

// OpsListQueues shows the queues.
func (a *API) OpsListQueues(context.Context, routes.OpsListQueuesRequestObject) (routes.OpsListQueuesResponseObject, error) {
	queues, err := a.ops.Queues()
	if err != nil {
		return nil, err
	}
	return routes.OpsListQueues200JSONResponse{Items: queues}, nil
}

// OpsPauseQueue lets no task start.
func (a *API) OpsPauseQueue(ctx context.Context, r routes.OpsPauseQueueRequestObject) (routes.OpsPauseQueueResponseObject, error) {
	if err := a.note(ctx, "queue.pause", r.Queue, r.Body.Reason); err != nil {
		return nil, err
	}
	if err := a.ops.PauseQueue(r.Queue, true); err != nil {
		return nil, err
	}
	return routes.OpsPauseQueue204Response{}, nil
}

// OpsResumeQueue lets tasks start again.
func (a *API) OpsResumeQueue(ctx context.Context, r routes.OpsResumeQueueRequestObject) (routes.OpsResumeQueueResponseObject, error) {
	if err := a.note(ctx, "queue.resume", r.Queue, r.Body.Reason); err != nil {
		return nil, err
	}
	if err := a.ops.PauseQueue(r.Queue, false); err != nil {
		return nil, err
	}
	return routes.OpsResumeQueue204Response{}, nil
}

// OpsListTasks shows tasks.
func (a *API) OpsListTasks(_ context.Context, r routes.OpsListTasksRequestObject) (routes.OpsListTasksResponseObject, error) {
	limit, err := pageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	tasks, err := a.ops.Tasks(r.Queue, orEmpty(r.Params.State), limit)
	if err != nil {
		return nil, err
	}
	return routes.OpsListTasks200JSONResponse{Items: tasks}, nil
}

// OpsActOnTask retries, archives or deletes a task.
func (a *API) OpsActOnTask(ctx context.Context, r routes.OpsActOnTaskRequestObject) (routes.OpsActOnTaskResponseObject, error) {
	switch r.Action {
	case "retry", "archive", "delete":
	default:
		return nil, faultf(openapi.ParameterMalformed, "action", "a task can be retried, archived or deleted: retry, archive, delete")
	}
	// A task is named after the transfer that it is about, and its attempt.
	transfer, _, _ := strings.Cut(r.Task, ":")
	if id, err := uuid.Parse(transfer); err == nil {
		if err := a.notOwn(ctx, id); err != nil {
			return nil, err
		}
	}
	if err := a.note(ctx, "task."+r.Action, r.Task, r.Body.Reason); err != nil {
		return nil, err
	}
	if err := a.ops.ActOnTask(r.Queue, r.Task, r.Action); err != nil {
		return nil, err
	}
	return routes.OpsActOnTask204Response{}, nil
}

// OpsListPayments shows payments.
func (a *API) OpsListPayments(ctx context.Context, r routes.OpsListPaymentsRequestObject) (routes.OpsListPaymentsResponseObject, error) {
	limit, err := pageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	state := orEmpty(r.Params.State)
	if state != "" && !openapi.PaymentState(state).Valid() {
		return nil, faultf(openapi.ParameterMalformed, "state", "state is pending, unknown, executed, rejected or needs_review")
	}
	list, err := a.ops.Payments(ctx, state, orEmpty(r.Params.Cursor), limit)
	if err != nil {
		return nil, err
	}
	return routes.OpsListPayments200JSONResponse(list), nil
}

// OpsGetPayment shows the payment of a transfer.
func (a *API) OpsGetPayment(ctx context.Context, r routes.OpsGetPaymentRequestObject) (routes.OpsGetPaymentResponseObject, error) {
	p, err := a.ops.Payment(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return routes.OpsGetPayment200JSONResponse(p), nil
}

// OpsResolvePayment carries out an operator's decision.
func (a *API) OpsResolvePayment(ctx context.Context, r routes.OpsResolvePaymentRequestObject) (routes.OpsResolvePaymentResponseObject, error) {
	switch r.Body.Outcome {
	case "executed", "rejected", "ask":
	default:
		return nil, faultf(openapi.BodyMalformed, "outcome", "outcome is executed, rejected or ask")
	}
	if err := a.notOwn(ctx, r.Id); err != nil {
		return nil, err
	}
	if err := a.note(ctx, "payment.resolve."+r.Body.Outcome, r.Id.String(), r.Body.Reason); err != nil {
		return nil, err
	}
	p, err := a.ops.Resolve(ctx, r.Id, r.Body.Outcome)
	if err != nil {
		return nil, err
	}
	return routes.OpsResolvePayment200JSONResponse(p), nil
}

// OpsReconcile compares the bank's statement with the books.
func (a *API) OpsReconcile(ctx context.Context, _ routes.OpsReconcileRequestObject) (routes.OpsReconcileResponseObject, error) {
	r, err := a.ops.Reconcile(ctx)
	if err != nil {
		return nil, err
	}
	return routes.OpsReconcile200JSONResponse(r), nil
}

// OpsAudit recomputes the invariants of the books.
func (a *API) OpsAudit(ctx context.Context, _ routes.OpsAuditRequestObject) (routes.OpsAuditResponseObject, error) {
	report, err := a.ops.Audit(ctx)
	if err != nil {
		return nil, err
	}
	return routes.OpsAudit200JSONResponse(report), nil
}

// OpsListActions shows what operators did.
func (a *API) OpsListActions(ctx context.Context, r routes.OpsListActionsRequestObject) (routes.OpsListActionsResponseObject, error) {
	limit, err := pageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	actions, err := a.auth.Actions(ctx, limit)
	if err != nil {
		return nil, err
	}
	list := openapi.ActionList{Items: make([]openapi.Action, len(actions))}
	for i, x := range actions {
		list.Items[i] = openapi.Action{
			Id: x.ID, Operator: x.Operator, Action: x.Action, Subject: x.Subject, Reason: x.Reason, At: x.At.UTC(),
		}
	}
	return routes.OpsListActions200JSONResponse(list), nil
}

// ExplainTransfer tells the story of a transfer.
func (a *API) ExplainTransfer(ctx context.Context, r routes.ExplainTransferRequestObject) (routes.ExplainTransferResponseObject, error) {
	find := func() (ledger.Transfer, error) { return a.ledger.Find(ctx, user(ctx), r.Id) }
	if from(ctx).principal.Role == auth.RoleOperator {
		find = func() (ledger.Transfer, error) { return a.ledger.Get(ctx, r.Id) }
	}
	t, err := find()
	if err != nil {
		return nil, err
	}
	if t.Kind == ledger.KindSuspense { // the house's own, shown by reconciliation alone
		return nil, faultf(openapi.TransferNotFound, "id", "there is no such transfer")
	}
	timeline, err := a.ops.Explain(ctx, t, a.auth.UsersByID)
	if err != nil {
		return nil, err
	}
	views, err := a.view(ctx, t)
	if err != nil {
		return nil, err
	}
	timeline.Transfer = views[0]
	return routes.ExplainTransfer200JSONResponse(timeline), nil
}

// BankCallback takes in what the bank sends.
func (a *API) BankCallback(ctx context.Context, _ routes.BankCallbackRequestObject) (routes.BankCallbackResponseObject, error) {
	r := from(ctx)
	if err := a.ops.Callback(ctx, r.signature, r.body); err != nil {
		return nil, err
	}
	return routes.BankCallback204Response{}, nil
}
