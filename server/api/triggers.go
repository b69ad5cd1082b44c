package api

import (
	"context"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/ledger"
)

// Triggers are what the mock bank of kizod dev can do with one payment.
type Triggers interface {
	// List returns all of them.
	List() []openapi.Trigger
	// Arm makes the next payment of an amount follow a trigger. It reports whether there is one
	// with this name.
	Arm(event string, amount money.Amount) bool
}

// ListTriggers lists what the mock bank can do.
func (a *API) ListTriggers(context.Context, routes.ListTriggersRequestObject) (routes.ListTriggersResponseObject, error) {
	if a.triggers == nil {
		return nil, notDev()
	}
	return routes.ListTriggers200JSONResponse{Items: a.triggers.List()}, nil
}

// ArmTrigger says what the mock bank does with the next payment of an amount.
func (a *API) ArmTrigger(_ context.Context, r routes.ArmTriggerRequestObject) (routes.ArmTriggerResponseObject, error) {
	if a.triggers == nil {
		return nil, notDev()
	}
	amount := money.Amount{Minor: r.Body.Amount, Currency: money.Currency(r.Body.Currency)}
	switch {
	case !amount.Currency.Known():
		return nil, unknownCurrency()
	case amount.Minor < 1 || amount.Minor > money.Max:
		return nil, reject(openapi.ProblemCode(ledger.AmountOutOfRange), "amount", "an amount is from 1 to 10^15 minor units")
	case !a.triggers.Arm(r.Body.Event, amount):
		return nil, reject(openapi.BodyMalformed, "event", "the mock bank has no such event: GET /v1/dev/triggers lists them")
	}
	return routes.ArmTrigger204Response{}, nil
}

func notDev() error {
	return reject(openapi.NotDev, "", "this server is not kizod dev: it has no mock bank")
}
