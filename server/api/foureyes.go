package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// FourEyes says above which amount an action of an operator needs the approval of another operator,
// in minor units of each currency. A currency that is not named needs one for any amount. Nil needs
// none at all.
type FourEyes map[money.Currency]int64

// ParseFourEyes reads a list of amounts such as "10000USD,8000EUR". The empty text is nil.
func ParseFourEyes(text string) (FourEyes, error) {
	if text == "" {
		return nil, nil
	}
	limits := FourEyes{}
	for _, item := range strings.Split(text, ",") {
		item = strings.TrimSpace(item)
		if len(item) < 4 {
			return nil, fmt.Errorf("%q is not an amount such as 10000USD", item)
		}
		currency, err := money.ParseCurrency(item[len(item)-3:])
		if err != nil {
			return nil, err
		}
		amount, err := money.Parse(strings.TrimSpace(item[:len(item)-3]), currency)
		if err != nil {
			return nil, err
		}
		if _, twice := limits[currency]; twice {
			return nil, fmt.Errorf("%s is named twice", currency)
		}
		limits[currency] = amount.Minor
	}
	return limits, nil
}

// above reports whether an amount needs a second operator.
func (f FourEyes) above(amount money.Amount) bool {
	limit, named := f[amount.Currency]
	return f != nil && amount.Minor > 0 && (!named || amount.Minor > limit)
}

// Actions that move or release money, as they are recorded.
const (
	actionResolve   = "payment.resolve."
	actionUnfreeze  = "account.unfreeze"
	actionReinstate = "user.reinstate"
)

// needsApproval returns the error approval_required if one of the amounts needs a second operator,
// after it has stored the request.
func (a *API) needsApproval(ctx context.Context, request auth.NewApproval, amounts ...money.Amount) error {
	var most money.Amount
	for _, amount := range amounts {
		if a.fourEyes.above(amount) {
			most = amount
		}
	}
	if most == (money.Amount{}) {
		return nil
	}
	reason, err := checkReason(request.Reason)
	if err != nil {
		return err
	}
	request.Reason, request.About = reason, request.About+", "+most.String()
	id, err := a.auth.RequestApproval(ctx, userID(ctx), request)
	if err != nil {
		return err
	}
	return reject(openapi.ApprovalRequired, "", fmt.Sprintf("this is about %s, so another operator has to approve it within %d hours: kizo ops approvals approve %s",
		most, int(auth.ApprovalLife.Hours()), id))
}

// resolutionNeedsApproval is needsApproval for a decision about a payment. To ask the bank again
// decides nothing.
func (a *API) resolutionNeedsApproval(ctx context.Context, id uuid.UUID, outcome, reason string) error {
	if a.fourEyes == nil || outcome == "ask" {
		return nil
	}
	t, err := a.ledger.Get(ctx, id)
	if errors.Is(err, ledger.TransferNotFound) {
		return nil // Resolve rejects it
	}
	if err != nil {
		return err
	}
	request := auth.NewApproval{Action: actionResolve + outcome, Subject: id.String(), About: string(t.Kind) + " " + outcome, Reason: reason}
	return a.needsApproval(ctx, request, t.Amount)
}

// releaseNeedsApproval is needsApproval for an action that lets a user move money again: what is in
// the wallets counts.
func (a *API) releaseNeedsApproval(ctx context.Context, action string, user auth.UserRef, reason string) error {
	if a.fourEyes == nil {
		return nil
	}
	wallets, err := a.ledger.Wallets(ctx, user.ID)
	if err != nil {
		return err
	}
	amounts := make([]money.Amount, len(wallets))
	for i, w := range wallets {
		amounts[i] = money.Amount{Minor: w.Balance, Currency: w.Currency}
	}
	return a.needsApproval(ctx, auth.NewApproval{Action: action, Subject: user.ID.String(), About: "@" + user.Handle, Reason: reason}, amounts...)
}

// OpsListApprovals returns the actions for which operators asked the approval of others.
func (a *API) OpsListApprovals(ctx context.Context, r routes.OpsListApprovalsRequestObject) (routes.OpsListApprovalsResponseObject, error) {
	limit, err := pageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	approvals, err := a.auth.Approvals(ctx, limit)
	if err != nil {
		return nil, err
	}
	list := openapi.ApprovalList{Items: make([]openapi.Approval, len(approvals))}
	for i, approval := range approvals {
		list.Items[i] = viewApproval(approval)
	}
	return routes.OpsListApprovals200JSONResponse(list), nil
}

// OpsApprove approves an action of another operator, and carries it out.
func (a *API) OpsApprove(ctx context.Context, r routes.OpsApproveRequestObject) (routes.OpsApproveResponseObject, error) {
	approval, err := a.decide(ctx, r.Id, true, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return routes.OpsApprove200JSONResponse(viewApproval(approval)), nil
}

// OpsRejectApproval rejects an action of another operator.
func (a *API) OpsRejectApproval(ctx context.Context, r routes.OpsRejectApprovalRequestObject) (routes.OpsRejectApprovalResponseObject, error) {
	approval, err := a.decide(ctx, r.Id, false, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return routes.OpsRejectApproval200JSONResponse(viewApproval(approval)), nil
}

func (a *API) decide(ctx context.Context, id uuid.UUID, approve bool, reason string) (auth.Approval, error) {
	reason, err := checkReason(reason)
	if err != nil {
		return auth.Approval{}, err
	}
	approval, err := a.auth.Approval(ctx, id)
	if err != nil {
		return auth.Approval{}, err
	}
	act, err := a.approvedAction(ctx, approval)
	if err != nil {
		return auth.Approval{}, err
	}
	if err := a.auth.Decide(ctx, requestOf(ctx).principal, approval, approve, reason); err != nil {
		return auth.Approval{}, err
	}
	if approve {
		if err := a.carryOut(ctx, approval, act); err != nil {
			return auth.Approval{}, err
		}
	}
	return a.auth.Approval(ctx, id)
}

// carryOut records and does an approved action. After a failure the operator may approve it again.
func (a *API) carryOut(ctx context.Context, approval auth.Approval, act func() error) error {
	if err := a.recordAction(ctx, approval.Action, approval.Subject, "asked by @"+approval.RequestedBy+", approval "+approval.ID.String()); err != nil {
		return err
	}
	if err := act(); err != nil {
		return err
	}
	return a.auth.ApprovalDone(ctx, approval.ID)
}

// approvedAction returns what carries out exactly the action of a request, unless it concerns the
// operator who decides.
func (a *API) approvedAction(ctx context.Context, approval auth.Approval) (func() error, error) {
	subject, err := uuid.Parse(approval.Subject)
	if err != nil {
		return nil, fmt.Errorf("approval %s: %w", approval.ID, err)
	}
	if outcome, ok := strings.CutPrefix(approval.Action, actionResolve); ok {
		return func() error { _, err := a.ops.Resolve(ctx, subject, outcome); return err }, a.notOwn(ctx, subject)
	}
	user := auth.UserID(subject)
	if user == userID(ctx) {
		return nil, ownAccount()
	}
	switch approval.Action {
	case actionUnfreeze:
		return func() error {
			users, err := a.auth.UsersByID(ctx, []auth.UserID{user})
			if err != nil {
				return err
			}
			return a.setFrozen(ctx, users[user], false)
		}, nil
	case actionReinstate:
		return func() error { return a.auth.Reinstate(ctx, user, approval.Reason) }, nil
	}
	return nil, fmt.Errorf("approval %s: no action %q", approval.ID, approval.Action)
}

func viewApproval(x auth.Approval) openapi.Approval {
	return openapi.Approval{
		Id: x.ID, Action: x.Action, Subject: x.Subject, About: x.About, Reason: x.Reason, RequestedBy: x.RequestedBy, RequestedAt: x.RequestedAt.UTC(),
		ExpiresAt: x.ExpiresAt.UTC(), State: x.State, DecidedBy: optional(x.DecidedBy), DecidedAt: x.DecidedAt, DoneAt: x.DoneAt,
	}
}
