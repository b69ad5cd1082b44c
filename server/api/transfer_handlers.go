package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	crash "github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/ledger"
)

// CreateTransfer sends money, authorizes it, or says what that would do.
func (a *API) CreateTransfer(ctx context.Context, r routes.CreateTransferRequestObject) (routes.CreateTransferResponseObject, error) {
	order, err := a.order(ctx, r.Params.IdempotencyKey, openapi.BankTransferCreate{
		Amount: r.Body.Amount, Currency: r.Body.Currency, Memo: r.Body.Memo,
	})
	if err != nil {
		return nil, err
	}
	payee, err := a.payee(ctx, r.Body.To, order.Amount.Currency)
	if err != nil {
		return nil, err
	}
	order.Payee = payee.ID
	authorize := r.Body.Authorize != nil && *r.Body.Authorize
	if r.Body.ExpiresAt != nil && !authorize {
		return nil, faultf(openapi.ExpiryOutOfRange, "expires_at", "only an authorization expires: add \"authorize\": true, or leave expires_at out")
	}
	if authorize && r.Body.ExpiresAt != nil {
		order.ExpiresAt = *r.Body.ExpiresAt
		if order.ExpiresAt.UTC().Year() < 1970 { // the zero time would mean the default
			return nil, faultf(openapi.ExpiryOutOfRange, "expires_at", "that time has long passed: write one within 31 days from now")
		}
	}
	if r.Body.DryRun != nil && *r.Body.DryRun {
		return a.previewTransfer(ctx, order, payee, authorize)
	}
	_ = crash.Point("api.transfer")
	send := a.ledger.Transfer
	if authorize {
		send = a.ledger.Authorize
	}
	result, err := send(ctx, order)
	if err != nil {
		return nil, err
	}
	_ = crash.Point("api.transfer_done")
	response, err := a.transferResponse(ctx, result)
	if err != nil {
		return nil, err
	}
	return routes.CreateTransfer201JSONResponse{TransferJSONResponse: response}, nil
}

func (a *API) previewTransfer(ctx context.Context, o ledger.TransferRequest, payee auth.UserRef, authorize bool) (routes.CreateTransferResponseObject, error) {
	preview, err := a.ledger.Preview(ctx, o, authorize)
	if err != nil {
		return nil, err
	}
	self, err := a.auth.Me(ctx, o.Owner)
	if err != nil {
		return nil, err
	}
	return routes.CreateTransfer200JSONResponse{
		Amount: o.Amount.Minor, Currency: string(o.Amount.Currency), Fee: 0,
		From:         openapi.Party{Handle: &self.Handle, Name: &self.Name, Staff: staff(self.Role)},
		To:           viewParty(payee),
		BalanceAfter: preview.Wallet.Balance, AvailableAfter: preview.Wallet.Available(),
	}, nil
}

// CaptureTransfer takes what an authorization holds.
func (a *API) CaptureTransfer(ctx context.Context, r routes.CaptureTransferRequestObject) (routes.CaptureTransferResponseObject, error) {
	response, err := a.followUp(ctx, a.ledger.Capture, r.Id, r.Params.IdempotencyKey, r.Body.Amount)
	if err != nil {
		return nil, err
	}
	return routes.CaptureTransfer201JSONResponse{TransferJSONResponse: response}, nil
}

// VoidTransfer gives back what an authorization holds.
func (a *API) VoidTransfer(ctx context.Context, r routes.VoidTransferRequestObject) (routes.VoidTransferResponseObject, error) {
	response, err := a.followUp(ctx, a.ledger.Void, r.Id, r.Params.IdempotencyKey, nil)
	if err != nil {
		return nil, err
	}
	return routes.VoidTransfer201JSONResponse{TransferJSONResponse: response}, nil
}

// ReverseTransfer sends a received transfer back.
func (a *API) ReverseTransfer(ctx context.Context, r routes.ReverseTransferRequestObject) (routes.ReverseTransferResponseObject, error) {
	response, err := a.followUp(ctx, a.ledger.Reverse, r.Id, r.Params.IdempotencyKey, r.Body.Amount)
	if err != nil {
		return nil, err
	}
	return routes.ReverseTransfer201JSONResponse{TransferJSONResponse: response}, nil
}

// followUp captures, voids or reverses a transfer. The ledger refuses that to every user but the
// receiver.
func (a *API) followUp(ctx context.Context, do func(context.Context, ledger.FollowUp) (ledger.Result, error),
	id uuid.UUID, header string, amount *int64,
) (routes.TransferJSONResponse, error) {
	k, err := key(header)
	if err != nil {
		return routes.TransferJSONResponse{}, err
	}
	if amount != nil && *amount < 1 {
		return routes.TransferJSONResponse{}, faultf(openapi.AmountOutOfRange, "amount", "the amount must be at least 1 minor unit; leave it out for all of it")
	}
	f := ledger.FollowUp{Owner: user(ctx), Key: k, Target: id}
	if amount != nil {
		f.Amount = *amount
	}
	_ = crash.Point("api.follow_up")
	result, err := do(ctx, f)
	if denied, ok := errors.AsType[*ledger.NotReceiverError](err); ok {
		return routes.TransferJSONResponse{}, a.onlyReceiver(ctx, denied.Target, denied.Receiver)
	}
	if err != nil {
		return routes.TransferJSONResponse{}, err
	}
	_ = crash.Point("api.follow_up_done")
	return a.transferResponse(ctx, result)
}

// onlyReceiver is the refusal for the sender of a transfer. It names the user who can do it instead. A
// sender cannot void an authorization: the receiver may already have handed over goods for it. Without
// the receiver, the hold ends when it expires; the refusal names that time.
func (a *API) onlyReceiver(ctx context.Context, t ledger.Transfer, receiver uuid.UUID) error {
	if receiver == (uuid.UUID{}) {
		return faultf(openapi.Forbidden, "", fmt.Sprintf("the bank decides about a %s: it can be neither voided nor reversed here", t.Kind))
	}
	who := "its receiver"
	if people, err := a.auth.UsersByID(ctx, []uuid.UUID{receiver}); err == nil && people[receiver].Handle != "" {
		who = "@" + people[receiver].Handle
	}
	detail := fmt.Sprintf("only %s, the receiver of this transfer, can do that", who)
	switch {
	case t.Kind == ledger.KindAuthorization && t.State == ledger.Pending && !t.ExpiresAt.IsZero():
		detail = fmt.Sprintf("only %s, who receives the money, can capture or void this authorization; if %s does neither, the money is free again at %s",
			who, who, t.ExpiresAt.UTC().Format(time.RFC3339))
	case t.State == ledger.Posted:
		detail = fmt.Sprintf("only %s, who received the money, can send it back", who)
	}
	return faultf(openapi.Forbidden, "", detail)
}

// CreateDeposit asks the bank for money.
func (a *API) CreateDeposit(ctx context.Context, r routes.CreateDepositRequestObject) (routes.CreateDepositResponseObject, error) {
	response, pending, err := a.crossBorder(ctx, a.ledger.OpenDeposit, r.Params.IdempotencyKey, r.Params.Prefer, *r.Body)
	if err != nil {
		return nil, err
	}
	if pending {
		return routes.CreateDeposit202JSONResponse{PendingTransferJSONResponse: pendingResponse(response)}, nil
	}
	return routes.CreateDeposit201JSONResponse{TransferJSONResponse: response}, nil
}

// CreateWithdrawal sends money to the bank.
func (a *API) CreateWithdrawal(ctx context.Context, r routes.CreateWithdrawalRequestObject) (routes.CreateWithdrawalResponseObject, error) {
	response, pending, err := a.crossBorder(ctx, a.ledger.OpenWithdrawal, r.Params.IdempotencyKey, r.Params.Prefer, *r.Body)
	if err != nil {
		return nil, err
	}
	if pending {
		return routes.CreateWithdrawal202JSONResponse{PendingTransferJSONResponse: pendingResponse(response)}, nil
	}
	return routes.CreateWithdrawal201JSONResponse{TransferJSONResponse: response}, nil
}

// crossBorder opens a deposit or withdrawal, enqueues its payment, and waits for
// the end if the caller prefers that.
func (a *API) crossBorder(ctx context.Context, open func(context.Context, ledger.TransferRequest) (ledger.Result, error),
	header string, prefer *string, body openapi.BankTransferCreate) (response routes.TransferJSONResponse, pending bool, err error) {
	wait, err := preferredWait(prefer)
	if err != nil {
		return response, false, err
	}
	order, err := a.order(ctx, header, body)
	if err != nil {
		return response, false, err
	}
	result, err := open(ctx, order)
	if err != nil {
		return response, false, err
	}
	if result.Transfer.State == ledger.Pending {
		_ = crash.Point("api.before_hint")
		a.enqueue(result.Transfer.ID)
		_ = crash.Point("api.after_hint")
		waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait+a.timeout)
		defer cancel()
		ctx = waiting
		a.admission.aside(func() { result.Transfer = a.awaitEnd(ctx, result.Transfer, wait) })
	}
	response, err = a.transferResponse(ctx, result)
	return response, result.Transfer.State == ledger.Pending, err
}

// awaitEnd looks at a pending transfer until it ends or the wait is over. Whoever
// settles it may be another process, so the table is asked.
func (a *API) awaitEnd(ctx context.Context, t ledger.Transfer, wait time.Duration) ledger.Transfer {
	over := time.Now().Add(wait)
	pause := 5 * time.Millisecond
	for t.State == ledger.Pending && time.Now().Before(over) {
		timer := time.NewTimer(min(pause, time.Until(over)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return t
		}
		pause = min(2*pause, 200*time.Millisecond)
		now, err := a.ledger.Find(ctx, t.Owner, t.ID)
		if err != nil {
			return t // it was accepted, which is all that is promised
		}
		t = now
	}
	return t
}

// order is what both kinds of body have in common.
func (a *API) order(ctx context.Context, header string, body openapi.BankTransferCreate) (ledger.TransferRequest, error) {
	k, err := key(header)
	if err != nil {
		return ledger.TransferRequest{}, err
	}
	o := ledger.TransferRequest{
		Owner: user(ctx), Key: k, Trace: from(ctx).trace,
		Amount: money.Amount{Minor: body.Amount, Currency: money.Currency(body.Currency)},
	}
	if body.Memo != nil {
		o.Memo = *body.Memo
	}
	return o, nil
}

// payee finds whom `to` names: a handle, an e-mail address, or a wallet's id.
func (a *API) payee(ctx context.Context, to string, c money.Currency) (auth.UserRef, error) {
	if id, err := uuid.Parse(to); err == nil {
		owner, currency, err := a.ledger.WalletOwner(ctx, id)
		if errors.Is(err, ledger.WalletNotFound) || (err == nil && currency != c) {
			return auth.UserRef{}, faultf(openapi.PayeeNotFound, "to",
				"no wallet in that currency has this id: check both, or name the person, as in @bob")
		}
		if err != nil {
			return auth.UserRef{}, err
		}
		people, err := a.auth.UsersByID(ctx, []uuid.UUID{owner})
		if err != nil {
			return auth.UserRef{}, err
		}
		return people[owner], nil
	}
	found, err := a.auth.FindPayee(ctx, user(ctx), strings.TrimSpace(to))
	if errors.Is(err, auth.CodeUserNotFound) {
		if strings.Contains(strings.TrimPrefix(strings.TrimSpace(to), "@"), "@") {
			return auth.UserRef{}, faultf(openapi.PayeeNotFound, "to", "no user can be paid by this e-mail address: ask for the handle, as in @bob")
		}
		return auth.UserRef{}, faultf(openapi.PayeeNotFound, "to", "nobody here goes by that name: check the handle, as in @bob")
	}
	return found, err
}
