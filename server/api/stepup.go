package api

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// stepUp says for what a user with a second factor needs a recent one (server/auth/stepup.go). It
// is decided on the principal of the request, so it costs no query. API keys are never asked.
type stepUp int

const (
	noStepUp      stepUp = iota
	stepUpAlways         // for each request
	stepUpOrCode         // the same, unless the body has a code as otp, which package auth checks
	stepUpToRaise        // if a limit or a threshold becomes higher; decided where it is locked
	stepUpToSpend        // for withdrawals and larger transfers; decided by the handler, after replays
)

// checkStepUp rejects a request of a session that needs a code of the second factor first.
func checkStepUp(c *fiber.Ctx) error {
	op := operationOf(c)
	if op.stepUp == noStepUp || !requestOf(c.UserContext()).principal.NeedsStepUp() {
		return c.Next()
	}
	if op.stepUp == stepUpAlways || op.stepUp == stepUpOrCode && !hasCode(c.Request().Body()) {
		return auth.StepUpRequired()
	}
	return c.Next()
}

// hasCode reports whether a body, which checkBody has accepted, has a code of the second factor.
func hasCode(body []byte) bool {
	var sent struct {
		OTP string `json:"otp"`
	}
	return json.Unmarshal(body, &sent) == nil && sent.OTP != ""
}

// needsStepUpFor reports whether the session needs a step-up before this transfer.
func needsStepUpFor(ctx context.Context, r ledger.TransferRequest) bool {
	return requestOf(ctx).principal.NeedsStepUpFor(string(r.Amount.Currency), r.Amount.Minor)
}

// onlyReplays rejects requests of a session that needs a step-up, unless each key was used before.
// The ledger then answers what was done under the keys, or refuses: a key is never forgotten, so no
// money moves.
func (a *API) onlyReplays(ctx context.Context, requests ...ledger.TransferRequest) error {
	if len(requests) == 0 {
		return nil
	}
	keys := make([]ledger.GroupRequest, len(requests))
	for i := range requests {
		keys[i].TransferRequest = requests[i]
	}
	found, err := a.ledger.Replay(ctx, keys)
	if err != nil {
		return err
	}
	if slices.Contains(found, nil) {
		return auth.StepUpRequired()
	}
	return nil
}

// StepUp accepts a code of the second factor for the session of the request.
func (a *API) StepUp(ctx context.Context, r routes.StepUpRequestObject) (routes.StepUpResponseObject, error) {
	until, err := a.auth.StepUp(ctx, requestOf(ctx).principal, r.Body.Otp, requestOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return routes.StepUp200JSONResponse{ValidUntil: until}, nil
}

// GetStepUp says what the session needs a step-up for.
func (a *API) GetStepUp(ctx context.Context, _ routes.GetStepUpRequestObject) (routes.GetStepUpResponseObject, error) {
	status, err := a.stepUpStatus(ctx)
	return routes.GetStepUp200JSONResponse(status), err
}

// SetStepUpThreshold sets the amount above which a transfer needs a step-up.
func (a *API) SetStepUpThreshold(ctx context.Context, r routes.SetStepUpThresholdRequestObject) (routes.SetStepUpThresholdResponseObject, error) {
	if r.Body.Amount < 0 || r.Body.Amount > money.Max {
		return nil, reject(openapi.AmountOutOfRange, "amount", "a threshold is 0 or more minor units")
	}
	status, err := a.changeThreshold(ctx, r.Currency, &r.Body.Amount)
	return routes.SetStepUpThreshold200JSONResponse(status), err
}

// RemoveStepUpThreshold lets transfers in a currency need no step-up.
func (a *API) RemoveStepUpThreshold(ctx context.Context, r routes.RemoveStepUpThresholdRequestObject) (routes.RemoveStepUpThresholdResponseObject, error) {
	status, err := a.changeThreshold(ctx, r.Currency, nil)
	return routes.RemoveStepUpThreshold200JSONResponse(status), err
}

func (a *API) changeThreshold(ctx context.Context, currency string, amount *int64) (openapi.StepUpStatus, error) {
	if !money.Currency(currency).Known() {
		return openapi.StepUpStatus{}, unknownCurrency()
	}
	if err := a.auth.SetStepUpThreshold(ctx, requestOf(ctx).principal, currency, amount, requestOf(ctx).client); err != nil {
		return openapi.StepUpStatus{}, err
	}
	return a.stepUpStatus(ctx)
}

func (a *API) stepUpStatus(ctx context.Context) (openapi.StepUpStatus, error) {
	status, err := a.auth.StepUpStatus(ctx, requestOf(ctx).principal)
	if err != nil {
		return openapi.StepUpStatus{}, err
	}
	view := openapi.StepUpStatus{Enabled: status.Enabled, Thresholds: make([]openapi.StepUpThreshold, len(status.Thresholds))}
	if !status.Until.IsZero() {
		view.ValidUntil = &status.Until
	}
	for i, one := range status.Thresholds {
		view.Thresholds[i] = openapi.StepUpThreshold{Currency: one.Currency, Amount: one.Amount}
	}
	return view, nil
}
