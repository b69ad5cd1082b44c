package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/ledger"
)

// CreateTransfer makes a transfer or an authorization, or returns a preview of it for a dry run.
func (a *API) CreateTransfer(ctx context.Context, r routes.CreateTransferRequestObject) (routes.CreateTransferResponseObject, error) {
	request, err := a.transferRequest(ctx, r.Params.IdempotencyKey, openapi.BankTransferCreate{
		Amount: r.Body.Amount, Currency: r.Body.Currency, Memo: r.Body.Memo, Tags: r.Body.Tags,
	})
	if err != nil {
		return nil, err
	}
	authorize := r.Body.Authorize != nil && *r.Body.Authorize
	if request.ExpiresAt, err = expiry(authorize, r.Body.ExpiresAt); err != nil {
		return nil, err
	}
	payee, unresolved := a.payee(ctx, payeeQuery{r.Body.To, request.Amount.Currency})
	request.Payee = payee.ID
	if r.Body.DryRun != nil && *r.Body.DryRun {
		if unresolved != nil {
			return nil, unresolved
		}
		return a.previewTransfer(ctx, request, payee, authorize)
	}
	_ = failpoint.Point("api.transfer")
	if unresolved == nil && needsStepUpFor(ctx, request) {
		if err := a.onlyReplays(ctx, request); err != nil {
			return nil, err
		}
	}
	var result ledger.Result
	switch {
	case unresolved != nil:
		result, err = a.replay(ctx, ledger.GroupRequest{TransferRequest: request, Authorize: authorize}, unresolved)
	case authorize:
		result, err = a.ledger.Authorize(ctx, request)
	default:
		result, err = a.ledger.Transfer(ctx, request)
	}
	if err != nil {
		return nil, err
	}
	_ = failpoint.Point("api.transfer_done")
	return routes.CreateTransfer201JSONResponse{TransferJSONResponse: a.transferResponse(ctx, result)}, nil
}

// replay returns the result that the key of a request had when its payee could still be found. If
// the key was never used, it returns the error unresolved.
func (a *API) replay(ctx context.Context, request ledger.GroupRequest, unresolved error) (ledger.Result, error) {
	found, err := a.ledger.Replay(ctx, []ledger.GroupRequest{request})
	if err != nil {
		return ledger.Result{}, err
	}
	if found[0] == nil {
		return ledger.Result{}, unresolved
	}
	return found[0].Result, found[0].Err
}

// expiry checks when an authorization is to expire; zero means the default.
func expiry(authorize bool, at *time.Time) (time.Time, error) {
	switch {
	case at == nil:
		return time.Time{}, nil
	case !authorize:
		return time.Time{}, reject(openapi.ExpiryOutOfRange, "expires_at", "only an authorization expires: add \"authorize\": true, or leave expires_at out")
	case at.UTC().Year() < 1970: // the zero time would mean the default
		return time.Time{}, reject(openapi.ExpiryOutOfRange, "expires_at", "that time is in the past: write one within 31 days from now")
	}
	return *at, nil
}

// previewTransfer returns what a transfer would do.
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

// CaptureTransfer captures an authorization, wholly or in part.
func (a *API) CaptureTransfer(ctx context.Context, r routes.CaptureTransferRequestObject) (routes.CaptureTransferResponseObject, error) {
	response, err := a.followUp(ctx, a.ledger.Capture, r.Id, r.Params.IdempotencyKey, r.Body.Amount)
	if err != nil {
		return nil, err
	}
	return routes.CaptureTransfer201JSONResponse{TransferJSONResponse: response}, nil
}

// VoidTransfer voids an authorization, which releases its hold.
func (a *API) VoidTransfer(ctx context.Context, r routes.VoidTransferRequestObject) (routes.VoidTransferResponseObject, error) {
	response, err := a.followUp(ctx, a.ledger.Void, r.Id, r.Params.IdempotencyKey, nil)
	if err != nil {
		return nil, err
	}
	return routes.VoidTransfer201JSONResponse{TransferJSONResponse: response}, nil
}

// ReverseTransfer sends a received transfer back, wholly or in part.
func (a *API) ReverseTransfer(ctx context.Context, r routes.ReverseTransferRequestObject) (routes.ReverseTransferResponseObject, error) {
	response, err := a.followUp(ctx, a.ledger.Reverse, r.Id, r.Params.IdempotencyKey, r.Body.Amount)
	if err != nil {
		return nil, err
	}
	return routes.ReverseTransfer201JSONResponse{TransferJSONResponse: response}, nil
}

// followUp captures, voids or reverses a transfer. The ledger allows that only to the receiver.
func (a *API) followUp(ctx context.Context, do func(context.Context, ledger.FollowUp) (ledger.Result, error),
	id uuid.UUID, header string, amount *int64,
) (routes.TransferJSONResponse, error) {
	k, err := key(header)
	if err != nil {
		return routes.TransferJSONResponse{}, err
	}
	if amount != nil && *amount < 1 {
		return routes.TransferJSONResponse{}, reject(openapi.AmountOutOfRange, "amount", "the amount must be at least 1 minor unit; leave it out for the whole amount")
	}
	f := ledger.FollowUp{Owner: userID(ctx), Key: k, Target: id, Limit: requestOf(ctx).principal.Limit()}
	if amount != nil {
		f.Amount = *amount
	}
	_ = failpoint.Point("api.follow_up")
	result, err := do(ctx, f)
	if denied, ok := errors.AsType[*ledger.NotReceiverError](err); ok {
		return routes.TransferJSONResponse{}, a.onlyReceiver(ctx, denied.Target, denied.Receiver)
	}
	if err != nil {
		return routes.TransferJSONResponse{}, err
	}
	_ = failpoint.Point("api.follow_up_done")
	return a.transferResponse(ctx, result), nil
}

// onlyReceiver returns the error for a user who is not the receiver of a transfer. It names the
// receiver. A sender cannot void an authorization, because the receiver may already have handed
// over goods for it. If the receiver does nothing, the hold ends when it expires; the error names
// the time.
func (a *API) onlyReceiver(ctx context.Context, t ledger.Transfer, receiver auth.UserID) error {
	if receiver.IsZero() {
		return reject(openapi.Forbidden, "", fmt.Sprintf("the bank decides about a %s: it can be neither voided nor reversed here", t.Kind))
	}
	name := "its receiver"
	if people, err := a.auth.UsersByID(ctx, []auth.UserID{receiver}); err == nil && people[receiver].Handle != "" {
		name = "@" + people[receiver].Handle
	}
	detail := fmt.Sprintf("only %s, the receiver of this transfer, can do that", name)
	switch {
	case t.Kind == ledger.KindAuthorization && t.State == ledger.Pending && !t.ExpiresAt.IsZero():
		detail = fmt.Sprintf("only %s, who receives the money, can capture or void this authorization; if %s does neither, the money is free again at %s",
			name, name, t.ExpiresAt.UTC().Format(time.RFC3339))
	case t.State == ledger.Posted:
		detail = fmt.Sprintf("only %s, who received the money, can send it back", name)
	}
	return reject(openapi.Forbidden, "", detail)
}

// CreateDeposit opens a deposit, which the bank pays in.
func (a *API) CreateDeposit(ctx context.Context, r routes.CreateDepositRequestObject) (routes.CreateDepositResponseObject, error) {
	response, pending, err := a.openBankTransfer(ctx, a.ledger.OpenDeposit, r.Params.IdempotencyKey, r.Params.Prefer, *r.Body)
	if err != nil {
		return nil, err
	}
	if pending {
		return routes.CreateDeposit202JSONResponse{PendingTransferJSONResponse: pendingResponse(response)}, nil
	}
	return routes.CreateDeposit201JSONResponse{TransferJSONResponse: response}, nil
}

// CreateWithdrawal opens a withdrawal, which pays out to the bank.
func (a *API) CreateWithdrawal(ctx context.Context, r routes.CreateWithdrawalRequestObject) (routes.CreateWithdrawalResponseObject, error) {
	response, pending, err := a.openBankTransfer(ctx, a.openWithdrawal, r.Params.IdempotencyKey, r.Params.Prefer, *r.Body)
	if err != nil {
		return nil, err
	}
	if pending {
		return routes.CreateWithdrawal202JSONResponse{PendingTransferJSONResponse: pendingResponse(response)}, nil
	}
	return routes.CreateWithdrawal201JSONResponse{TransferJSONResponse: response}, nil
}

// openWithdrawal is Ledger.OpenWithdrawal, and only a replay for a session that needs a step-up.
func (a *API) openWithdrawal(ctx context.Context, request ledger.TransferRequest) (ledger.Result, error) {
	if requestOf(ctx).principal.NeedsStepUp() {
		if err := a.onlyReplays(ctx, request); err != nil {
			return ledger.Result{}, err
		}
	}
	return a.ledger.OpenWithdrawal(ctx, request)
}

// openBankTransfer opens a deposit or withdrawal, enqueues its payment, and waits for its end if
// the caller asks for that. Pending reports whether it has not ended yet.
func (a *API) openBankTransfer(ctx context.Context, open func(context.Context, ledger.TransferRequest) (ledger.Result, error),
	header string, prefer *string, body openapi.BankTransferCreate) (response routes.TransferJSONResponse, pending bool, err error) {
	wait, err := preferredWait(prefer)
	if err != nil {
		return response, false, err
	}
	request, err := a.transferRequest(ctx, header, body)
	if err != nil {
		return response, false, err
	}
	result, err := open(ctx, request)
	if err != nil {
		return response, false, err
	}
	if result.Transfer.State == ledger.Pending {
		_ = failpoint.Point("api.before_enqueue")
		a.enqueue(result.Transfer.ID)
		_ = failpoint.Point("api.after_enqueue")
		waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait+a.timeout)
		defer cancel()
		ctx = waiting
		a.admission.releaseWhile(func() { result.Transfer = a.awaitEnd(ctx, result.Transfer, wait) })
	}
	return a.transferResponse(ctx, result), result.Transfer.State == ledger.Pending, nil
}

// awaitEnd polls a pending transfer until it ends or the wait is over. It reads the table, because
// another process may settle the transfer.
func (a *API) awaitEnd(ctx context.Context, t ledger.Transfer, wait time.Duration) ledger.Transfer {
	deadline := time.Now().Add(wait)
	pause := 5 * time.Millisecond
	for t.State == ledger.Pending && time.Now().Before(deadline) {
		timer := time.NewTimer(min(pause, time.Until(deadline)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return t
		}
		pause = min(2*pause, 200*time.Millisecond)
		now, err := a.ledger.Find(ctx, t.Owner, t.ID)
		if err != nil {
			return t // the transfer has been accepted, and the answer promises no more
		}
		t = now
	}
	return t
}

// transferRequest returns the part of a request that transfers and bank transfers have in common.
func (a *API) transferRequest(ctx context.Context, header string, body openapi.BankTransferCreate) (ledger.TransferRequest, error) {
	k, err := key(header)
	if err != nil {
		return ledger.TransferRequest{}, err
	}
	return newTransferRequest(ctx, k, body)
}

func newTransferRequest(ctx context.Context, key string, body openapi.BankTransferCreate) (ledger.TransferRequest, error) {
	r := ledger.TransferRequest{
		Owner: userID(ctx), Key: key, Trace: requestOf(ctx).trace, Limit: requestOf(ctx).principal.Limit(),
		Amount: money.Amount{Minor: body.Amount, Currency: money.Currency(body.Currency)},
	}
	if body.Memo != nil {
		r.Memo = *body.Memo
	}
	if body.Tags == nil {
		return r, nil
	}
	var err error
	r.Tags, err = ledger.NewTags(*body.Tags)
	return r, err
}
