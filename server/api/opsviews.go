package api

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// Kinds of data of users that operators look at, as they are recorded.
const (
	viewUserData    = "user"
	viewLimits      = "limits"
	viewKeys        = "keys"
	viewPayment     = "payment"
	viewOneTransfer = "transfer"
	viewPayments    = "payments" // a list
)

// lookAtUser finds a user, and records that an operator looks at data of that user.
func (a *API) lookAtUser(ctx context.Context, kind, login string) (auth.UserRef, error) {
	u, err := a.auth.FindUser(ctx, login)
	if err != nil || u.ID == userID(ctx) {
		return u, err
	}
	return u, a.auth.RecordView(ctx, userID(ctx), kind, u)
}

// lookAtPayment records that an operator looks at the payment of a transfer, if there is one.
func (a *API) lookAtPayment(ctx context.Context, id uuid.UUID) error {
	t, err := a.ledger.Get(ctx, id)
	if errors.Is(err, ledger.TransferNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return a.lookAtTransfer(ctx, viewPayment, t)
}

// lookAtTransfer records for its users that an operator looks at a transfer, unless the operator is
// one of them.
func (a *API) lookAtTransfer(ctx context.Context, kind string, t ledger.Transfer) error {
	owners, err := a.ledger.Owners(ctx, []ledger.AccountID{t.DebitAccount, t.CreditAccount})
	if err != nil {
		return err
	}
	parties := []auth.UserID{t.Owner}
	for _, owner := range owners {
		if owner != t.Owner {
			parties = append(parties, owner)
		}
	}
	users, err := a.auth.UsersByID(ctx, parties)
	if err != nil {
		return err
	}
	if _, own := users[userID(ctx)]; own {
		return nil
	}
	for _, u := range users {
		if err := a.auth.RecordView(ctx, userID(ctx), kind, u); err != nil {
			return err
		}
	}
	return nil
}
