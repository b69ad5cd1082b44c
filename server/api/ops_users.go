package api

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// OpsFreezeUser freezes a user's wallets: no money moves from or to them.
func (a *API) OpsFreezeUser(ctx context.Context, r routes.OpsFreezeUserRequestObject) (routes.OpsFreezeUserResponseObject, error) {
	err := a.actOnUser(ctx, "account.freeze", r.Login, r.Body.Reason, func(u auth.UserRef) error {
		return a.setFrozen(ctx, u, true)
	})
	if err != nil {
		return nil, err
	}
	return routes.OpsFreezeUser204Response{}, nil
}

// OpsUnfreezeUser lets money move from and to a user's wallets again.
func (a *API) OpsUnfreezeUser(ctx context.Context, r routes.OpsUnfreezeUserRequestObject) (routes.OpsUnfreezeUserResponseObject, error) {
	err := a.actOnUser(ctx, actionUnfreeze, r.Login, r.Body.Reason, func(u auth.UserRef) error {
		return a.setFrozen(ctx, u, false)
	})
	if err != nil {
		return nil, err
	}
	return routes.OpsUnfreezeUser204Response{}, nil
}

// OpsSuspendUser ends a user's sessions and refuses further log-ins.
func (a *API) OpsSuspendUser(ctx context.Context, r routes.OpsSuspendUserRequestObject) (routes.OpsSuspendUserResponseObject, error) {
	err := a.actOnUser(ctx, "user.suspend", r.Login, r.Body.Reason, func(u auth.UserRef) error {
		return a.auth.Suspend(ctx, u.ID, r.Body.Reason)
	})
	if err != nil {
		return nil, err
	}
	return routes.OpsSuspendUser204Response{}, nil
}

// OpsReinstateUser lets a suspended user log in again.
func (a *API) OpsReinstateUser(ctx context.Context, r routes.OpsReinstateUserRequestObject) (routes.OpsReinstateUserResponseObject, error) {
	err := a.actOnUser(ctx, actionReinstate, r.Login, r.Body.Reason, func(u auth.UserRef) error {
		return a.auth.Reinstate(ctx, u.ID, r.Body.Reason)
	})
	if err != nil {
		return nil, err
	}
	return routes.OpsReinstateUser204Response{}, nil
}

// OpsEndSessions ends a user's sessions.
func (a *API) OpsEndSessions(ctx context.Context, r routes.OpsEndSessionsRequestObject) (routes.OpsEndSessionsResponseObject, error) {
	err := a.actOnUser(ctx, "user.end_sessions", r.Login, r.Body.Reason, func(u auth.UserRef) error {
		return a.auth.EndSessions(ctx, u.ID)
	})
	if err != nil {
		return nil, err
	}
	return routes.OpsEndSessions204Response{}, nil
}

// setFrozen freezes or unfreezes a user, and records it for that user.
func (a *API) setFrozen(ctx context.Context, user auth.UserRef, frozen bool) error {
	status := ledger.Active
	if frozen {
		status = ledger.Frozen
	}
	if err := a.ledger.SetStatus(ctx, user.ID, status); err != nil {
		return err
	}
	return a.auth.RecordOperatorFreeze(ctx, user, frozen)
}

// OpsGetUser shows a user to an operator.
func (a *API) OpsGetUser(ctx context.Context, r routes.OpsGetUserRequestObject) (routes.OpsGetUserResponseObject, error) {
	ref, err := a.lookAtUser(ctx, viewUserData, r.Login)
	if err != nil {
		return nil, err
	}
	u, err := a.auth.Me(ctx, ref.ID)
	if err != nil {
		return nil, err
	}
	frozen, err := a.ledger.IsFrozen(ctx, ref.ID)
	if err != nil {
		return nil, err
	}
	factor, _, err := a.auth.SecondFactor(ctx, ref.ID)
	if err != nil {
		return nil, err
	}
	return routes.OpsGetUser200JSONResponse{
		Id: uuid.UUID(u.ID), Handle: u.Handle, Name: u.Name, Email: u.Email, EmailVerified: u.EmailVerified, Role: openapi.OpsUserRole(u.Role),
		Status: openapi.OpsUserStatus(u.Status), Frozen: frozen, SecondFactor: factor, CreatedAt: u.CreatedAt.UTC(),
	}, nil
}

// actOnUser finds a user, records the action with its reason, and carries it out.
func (a *API) actOnUser(ctx context.Context, action, login, reason string, act func(auth.UserRef) error) error {
	u, err := a.auth.FindUser(ctx, login)
	if err != nil {
		return err
	}
	if u.ID == userID(ctx) {
		return ownAccount()
	}
	if u.Status == auth.StatusClosed {
		return reject(openapi.AccountClosed, "", "this user has closed the account: that is final, and nothing can move")
	}
	if action == actionUnfreeze || action == actionReinstate {
		if err := a.releaseNeedsApproval(ctx, action, u, reason); err != nil {
			return err
		}
	}
	if err := a.recordAction(ctx, action, u.Handle, reason); err != nil {
		return err
	}
	return act(u)
}

// notOwn rejects an operator's decision about a transfer that the operator made, sends or receives.
// It returns nil if there is no such transfer, which the caller of notOwn rejects.
func (a *API) notOwn(ctx context.Context, transfer uuid.UUID) error {
	t, err := a.ledger.Get(ctx, transfer)
	if errors.Is(err, ledger.TransferNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	owners, err := a.ledger.Owners(ctx, []ledger.AccountID{t.DebitAccount, t.CreditAccount})
	if err != nil {
		return err
	}
	if me := userID(ctx); t.Owner == me || owners[t.DebitAccount] == me || owners[t.CreditAccount] == me {
		return ownAccount()
	}
	return nil
}

func ownAccount() error {
	return reject(openapi.OwnAccount, "", "operators cannot decide about their own accounts: ask another operator")
}
