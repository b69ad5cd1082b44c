package api

import (
	"context"
	"slices"
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

// checkRole rejects callers without the role that an operation requires, and operators without a
// second factor.
func (a *API) checkRole(c *fiber.Ctx) error {
	if operationOf(c).access != forOperators {
		return c.Next()
	}
	switch p := requestOf(c.UserContext()).principal; {
	case p.Role != auth.RoleOperator:
		return reject(openapi.Forbidden, "", "only operators may do this: kizod user grant HANDLE operator makes a user an operator")
	case !a.hasFactor(p):
		return errOperatorNeedsFactor()
	}
	return c.Next()
}

func errOperatorNeedsFactor() error {
	return reject(openapi.SecondFactorRequired, "", "an operator needs a second factor: kizo second-factor add")
}

// hasFactor reports whether an operator has the second factor that operators need.
func (a *API) hasFactor(p auth.Principal) bool { return p.SecondFactor || a.noFactor }

// recordAction stores an operator's action before it is carried out, so that an action that fails
// afterwards is recorded too. An action that cannot be recorded is not carried out.
func (a *API) recordAction(ctx context.Context, action, subject, reason string) error {
	reason, err := checkReason(reason)
	if err != nil {
		return err
	}
	return a.auth.RecordAction(ctx, userID(ctx), action, subject, reason)
}

func checkReason(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	if n := utf8.RuneCountInString(reason); n < 1 || n > 500 || !printable(reason) {
		return "", reject(openapi.ReasonMalformed, "reason", "give the reason in 1 to 500 printable characters")
	}
	return reason, nil
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
		return 0, reject(openapi.ParameterMalformed, "limit", "limit is 1 to 100")
	}
	return int(*limit), nil
}

// OpsListQueues returns the queues of tasks.
func (a *API) OpsListQueues(context.Context, routes.OpsListQueuesRequestObject) (routes.OpsListQueuesResponseObject, error) {
	queues, err := a.ops.Queues()
	if err != nil {
		return nil, err
	}
	return routes.OpsListQueues200JSONResponse{Items: queues}, nil
}

// OpsPauseQueue pauses a queue: no further task starts.
func (a *API) OpsPauseQueue(ctx context.Context, r routes.OpsPauseQueueRequestObject) (routes.OpsPauseQueueResponseObject, error) {
	if err := a.recordAction(ctx, "queue.pause", r.Queue, r.Body.Reason); err != nil {
		return nil, err
	}
	if err := a.ops.PauseQueue(r.Queue, true); err != nil {
		return nil, err
	}
	return routes.OpsPauseQueue204Response{}, nil
}

// OpsResumeQueue lets the tasks of a paused queue start again.
func (a *API) OpsResumeQueue(ctx context.Context, r routes.OpsResumeQueueRequestObject) (routes.OpsResumeQueueResponseObject, error) {
	if err := a.recordAction(ctx, "queue.resume", r.Queue, r.Body.Reason); err != nil {
		return nil, err
	}
	if err := a.ops.PauseQueue(r.Queue, false); err != nil {
		return nil, err
	}
	return routes.OpsResumeQueue204Response{}, nil
}

// OpsListTasks returns tasks of a queue.
func (a *API) OpsListTasks(ctx context.Context, r routes.OpsListTasksRequestObject) (routes.OpsListTasksResponseObject, error) {
	limit, err := pageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	tasks, err := a.ops.Tasks(ctx, r.Queue, orEmpty(r.Params.State), limit, a.auth.UsersByID)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(tasks, func(t openapi.Task) bool { return t.Payment != nil }) {
		if err := a.auth.RecordListView(ctx, userID(ctx), viewPayments); err != nil {
			return nil, err
		}
	}
	return routes.OpsListTasks200JSONResponse{Items: tasks}, nil
}

// OpsActOnTask retries, archives or deletes a task.
func (a *API) OpsActOnTask(ctx context.Context, r routes.OpsActOnTaskRequestObject) (routes.OpsActOnTaskResponseObject, error) {
	switch r.Action {
	case "retry", "archive", "delete":
	default:
		return nil, reject(openapi.ParameterMalformed, "action", "a task can be retried, archived or deleted: retry, archive, delete")
	}
	// The id of a task begins with the id of its transfer.
	transfer, _, _ := strings.Cut(r.Task, ":")
	if id, err := uuid.Parse(transfer); err == nil {
		if err := a.notOwn(ctx, id); err != nil {
			return nil, err
		}
	}
	if err := a.recordAction(ctx, "task."+r.Action, r.Task, r.Body.Reason); err != nil {
		return nil, err
	}
	if err := a.ops.ActOnTask(r.Queue, r.Task, r.Action); err != nil {
		return nil, err
	}
	return routes.OpsActOnTask204Response{}, nil
}

// OpsListPayments returns a page of payments.
func (a *API) OpsListPayments(ctx context.Context, r routes.OpsListPaymentsRequestObject) (routes.OpsListPaymentsResponseObject, error) {
	limit, err := pageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	state := orEmpty(r.Params.State)
	if state != "" && !openapi.PaymentState(state).Valid() {
		return nil, reject(openapi.ParameterMalformed, "state", "state is pending, unknown, executed, rejected or needs_review")
	}
	if err := a.auth.RecordListView(ctx, userID(ctx), viewPayments); err != nil {
		return nil, err
	}
	list, err := a.ops.Payments(ctx, state, orEmpty(r.Params.Cursor), limit, a.auth.UsersByID)
	if err != nil {
		return nil, err
	}
	return routes.OpsListPayments200JSONResponse(list), nil
}

// OpsGetPayment returns the payment of a transfer.
func (a *API) OpsGetPayment(ctx context.Context, r routes.OpsGetPaymentRequestObject) (routes.OpsGetPaymentResponseObject, error) {
	if err := a.lookAtPayment(ctx, r.Id); err != nil {
		return nil, err
	}
	p, err := a.ops.Payment(ctx, r.Id, a.auth.UsersByID)
	if err != nil {
		return nil, err
	}
	return routes.OpsGetPayment200JSONResponse(p), nil
}

// OpsResolvePayment carries out an operator's decision about a payment in review.
func (a *API) OpsResolvePayment(ctx context.Context, r routes.OpsResolvePaymentRequestObject) (routes.OpsResolvePaymentResponseObject, error) {
	switch r.Body.Outcome {
	case "executed", "rejected", "ask":
	default:
		return nil, reject(openapi.BodyMalformed, "outcome", "outcome is executed, rejected or ask")
	}
	if err := a.notOwn(ctx, r.Id); err != nil {
		return nil, err
	}
	if err := a.resolutionNeedsApproval(ctx, r.Id, r.Body.Outcome, r.Body.Reason); err != nil {
		return nil, err
	}
	if err := a.recordAction(ctx, actionResolve+r.Body.Outcome, r.Id.String(), r.Body.Reason); err != nil {
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

// OpsAudit recomputes the invariants of the books, all or what is new.
func (a *API) OpsAudit(ctx context.Context, r routes.OpsAuditRequestObject) (routes.OpsAuditResponseObject, error) {
	mode := ledger.FullAudit
	if asked := r.Params.Mode; asked != nil {
		mode = ledger.AuditMode(*asked)
	}
	if mode != ledger.FullAudit && mode != ledger.IncrementalAudit {
		return nil, reject(openapi.ParameterMalformed, "mode", "mode is full or incremental")
	}
	report, err := a.ops.Audit(ctx, mode)
	if err != nil {
		return nil, err
	}
	return routes.OpsAudit200JSONResponse(report), nil
}

// OpsHistory returns the recent figures of queues and latencies.
func (a *API) OpsHistory(_ context.Context, r routes.OpsHistoryRequestObject) (routes.OpsHistoryResponseObject, error) {
	switch resolution := orEmpty(r.Params.Resolution); resolution {
	case "", "second", "minute":
		return routes.OpsHistory200JSONResponse(a.ops.History(resolution == "minute")), nil
	}
	return nil, reject(openapi.ParameterMalformed, "resolution", "resolution is second or minute")
}

// OpsListActions returns the recorded actions of operators, newest first.
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

// ExplainTransfer returns the timeline of a transfer.
func (a *API) ExplainTransfer(ctx context.Context, r routes.ExplainTransferRequestObject) (routes.ExplainTransferResponseObject, error) {
	find := func() (ledger.Transfer, error) { return a.ledger.Find(ctx, userID(ctx), r.Id) }
	if a.readsAsOperator(requestOf(ctx).principal) {
		find = func() (ledger.Transfer, error) { return a.ledger.Get(ctx, r.Id) }
	}
	t, err := find()
	if err != nil {
		return nil, err
	}
	if t.Kind == ledger.KindSuspense { // only reconciliation shows transfers between system accounts
		return nil, reject(openapi.TransferNotFound, "id", "there is no such transfer")
	}
	if a.readsAsOperator(requestOf(ctx).principal) {
		if err := a.lookAtTransfer(ctx, viewOneTransfer, t); err != nil {
			return nil, err
		}
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

// BankCallback handles a callback of the bank.
func (a *API) BankCallback(ctx context.Context, _ routes.BankCallbackRequestObject) (routes.BankCallbackResponseObject, error) {
	r := requestOf(ctx)
	if err := a.ops.Callback(ctx, r.signature, r.body); err != nil {
		return nil, err
	}
	return routes.BankCallback204Response{}, nil
}
