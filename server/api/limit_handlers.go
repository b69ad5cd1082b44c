package api

import (
	"context"
	"log/slog"
	"time"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// GetLimits returns what limits the transfers of the caller.
func (a *API) GetLimits(ctx context.Context, _ routes.GetLimitsRequestObject) (routes.GetLimitsResponseObject, error) {
	limits, err := a.limitsOf(ctx, userID(ctx))
	if err != nil {
		return nil, err
	}
	if who := requestOf(ctx).principal; who.IsKey() {
		keys, err := a.keysOf(ctx, who.UserID)
		if err != nil {
			return nil, err
		}
		for i := range keys.Items {
			if keys.Items[i].Id == who.KeyID {
				limits.Key = &keys.Items[i]
			}
		}
	}
	return routes.GetLimits200JSONResponse(limits), nil
}

// OpsGetLimits returns the limits of the wallets of any user.
func (a *API) OpsGetLimits(ctx context.Context, r routes.OpsGetLimitsRequestObject) (routes.OpsGetLimitsResponseObject, error) {
	u, err := a.lookAtUser(ctx, viewLimits, r.Login)
	if err != nil {
		return nil, err
	}
	limits, err := a.limitsOf(ctx, u.ID)
	return routes.OpsGetLimits200JSONResponse(limits), err
}

// SetLimit limits what leaves a wallet of the user.
func (a *API) SetLimit(ctx context.Context, r routes.SetLimitRequestObject) (routes.SetLimitResponseObject, error) {
	want := ledger.CurrencyLimit{Currency: money.Currency(r.Currency)}
	for _, maximum := range []struct {
		field string
		sent  *int64
		to    *int64
	}{
		{"max_per_transfer", r.Body.MaxPerTransfer, &want.MaxPerTransfer},
		{"max_per_day", r.Body.MaxPerDay, &want.MaxPerDay},
	} {
		if maximum.sent == nil {
			continue
		}
		if *maximum.sent < 1 {
			return nil, reject(openapi.AmountOutOfRange, maximum.field, "a limit is at least 1 minor unit; leave it out for none")
		}
		*maximum.to = *maximum.sent
	}
	limit, err := a.setLimit(ctx, want)
	return routes.SetLimit200JSONResponse(limit), err
}

// RemoveLimit removes the limit of a wallet of the user.
func (a *API) RemoveLimit(ctx context.Context, r routes.RemoveLimitRequestObject) (routes.RemoveLimitResponseObject, error) {
	limit, err := a.setLimit(ctx, ledger.CurrencyLimit{Currency: money.Currency(r.Currency)})
	return routes.RemoveLimit200JSONResponse(limit), err
}

func (a *API) setLimit(ctx context.Context, want ledger.CurrencyLimit) (openapi.WalletLimit, error) {
	from := requestOf(ctx)
	limit, err := a.ledger.SetWalletLimit(ctx, userID(ctx), want,
		a.auth.RecordLimitChange(from.principal, from.client))
	if err != nil {
		return openapi.WalletLimit{}, err
	}
	a.auth.LogSecurityEvent(ctx, auth.EventLimitChanged, slog.String("user_id", userID(ctx).String()),
		slog.String("limit", limit.String()), slog.String("address", from.client.Address), slog.String("client", auth.EventText(from.client.UserAgent)))
	return viewWalletLimit(limit), nil
}

func (a *API) limitsOf(ctx context.Context, user auth.UserID) (openapi.Limits, error) {
	limits, err := a.ledger.WalletLimits(ctx, user)
	if err != nil {
		return openapi.Limits{}, err
	}
	// Without a wallet, the clock of this process has to do.
	view := openapi.Limits{Items: make([]openapi.WalletLimit, len(limits)), RenewsAt: time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)}
	for i, limit := range limits {
		view.Items[i], view.RenewsAt = viewWalletLimit(limit), limit.Renews
	}
	return view, nil
}

func viewWalletLimit(limit ledger.WalletLimit) openapi.WalletLimit {
	view := openapi.WalletLimit{
		Currency: string(limit.Currency), MaxPerTransfer: orNoMaximum(limit.MaxPerTransfer), MaxPerDay: orNoMaximum(limit.MaxPerDay),
		SpentToday: limit.SpentToday,
	}
	if limit.Next != nil {
		view.Next = &openapi.NextLimit{
			At: limit.NextAt, MaxPerTransfer: orNoMaximum(limit.Next.MaxPerTransfer), MaxPerDay: orNoMaximum(limit.Next.MaxPerDay),
		}
	}
	return view
}
