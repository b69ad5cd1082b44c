package api

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// limitOf returns the spending limit that a request for a key asks for; nil if it asks for none.
func (a *API) limitOf(ctx context.Context, body *openapi.ApiKeyCreate) (*ledger.SpendingLimit, error) {
	if len(body.Limits) == 0 {
		if body.Payees != nil {
			return nil, reject(openapi.BodyMalformed, "payees", "payees need limits: name the currencies that the key may spend")
		}
		return nil, nil //nolint:nilnil // no limit is no error
	}
	limit := &ledger.SpendingLimit{Owner: userID(ctx)}
	for _, l := range body.Limits {
		if l.SpentToday != nil {
			return nil, reject(openapi.BodyMalformed, "limits", "spent_today is only in answers: leave it out")
		}
		one := ledger.CurrencyLimit{Currency: money.Currency(l.Currency)}
		for maximum, sent := range map[*int64]*int64{&one.MaxPerTransfer: l.MaxPerTransfer, &one.MaxPerDay: l.MaxPerDay} {
			if sent == nil {
				continue
			}
			if *sent < 1 {
				return nil, reject(openapi.AmountOutOfRange, "limits", "a limit is at least 1 minor unit; leave it out for none")
			}
			*maximum = *sent
		}
		limit.Currencies = append(limit.Currencies, one)
	}
	if body.Payees != nil {
		for _, login := range *body.Payees {
			payee, err := a.auth.FindPayee(ctx, userID(ctx), login)
			if err != nil {
				return nil, err
			}
			limit.Payees = append(limit.Payees, payee.ID)
		}
	}
	return limit, limit.Check()
}

// storeLimits returns a function that stores a limit under the id of its key; nil if there is none.
func (a *API) storeLimits(limit *ledger.SpendingLimit) func(context.Context, uuid.UUID) error {
	if limit == nil {
		return nil
	}
	return func(ctx context.Context, id uuid.UUID) error {
		limit.ID = id
		return a.ledger.AddLimit(ctx, *limit)
	}
}

// viewNewKey returns a key whose secret was made. If its limits cannot be read, it is returned
// without them: the secret cannot be read again.
func (a *API) viewNewKey(ctx context.Context, key auth.APIKey) openapi.ApiKey {
	views := []openapi.ApiKey{viewKey(key, time.Now())}
	if err := a.viewLimits(ctx, []auth.APIKey{key}, views); err != nil {
		a.log.Warn("the limits of a new key could not be read", "error", err)
	}
	return views[0]
}

// viewLimits adds the limits of the keys to their views.
func (a *API) viewLimits(ctx context.Context, keys []auth.APIKey, views []openapi.ApiKey) error {
	var limited []uuid.UUID
	for _, key := range keys {
		if key.Limited {
			limited = append(limited, key.ID)
		}
	}
	if len(limited) == 0 {
		return nil
	}
	limits, err := a.ledger.Limits(ctx, limited)
	if err != nil {
		return err
	}
	var ids []auth.UserID
	for _, limit := range limits {
		ids = append(ids, limit.Payees...)
	}
	people, err := a.auth.UsersByID(ctx, ids)
	if err != nil {
		return err
	}
	for i := range views {
		view := &views[i]
		limit, ok := limits[view.Id]
		if !ok {
			continue
		}
		view.LimitsRenewAt = &limit.Renews
		for n, c := range limit.Currencies {
			view.Limits = append(view.Limits, openapi.ApiKeyLimit{
				Currency: string(c.Currency), MaxPerTransfer: orNoMaximum(c.MaxPerTransfer), MaxPerDay: orNoMaximum(c.MaxPerDay),
				SpentToday: &limit.SpentToday[n],
			})
		}
		for _, payee := range limit.Payees {
			view.Payees = append(view.Payees, "@"+people[payee].Handle)
		}
	}
	return nil
}

func orNoMaximum(minor int64) *int64 {
	if minor == 0 {
		return nil
	}
	return &minor
}
