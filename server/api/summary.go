package api

import (
	"context"
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/ledger"
)

// GetSummary returns what the dashboard shows first.
func (a *API) GetSummary(ctx context.Context, r routes.GetSummaryRequestObject) (routes.GetSummaryResponseObject, error) {
	s, err := a.summary(ctx, r.Params.MonthStart)
	if err != nil {
		return nil, err
	}
	recent, err := a.view(ctx, s.Recent...)
	if err != nil {
		return nil, err
	}
	view := openapi.Summary{
		At: s.At, Recent: recent, Pending: openapi.PendingCounts{In: s.PendingIn, Out: s.PendingOut},
		Wallets: make([]openapi.WalletSummary, len(s.Wallets)),
	}
	for i, w := range s.Wallets {
		trend := make([]openapi.DayBalance, len(w.Trend))
		for day, balance := range w.Trend {
			trend[day] = openapi.DayBalance{Day: openapi_types.Date{Time: w.Days[day]}, Balance: balance}
		}
		view.Wallets[i] = openapi.WalletSummary{
			Wallet: viewWallet(w.Wallet), Trend: trend, Month: openapi.MonthTotals{Since: s.MonthStart, In: w.In, Out: w.Out, Count: w.Count},
		}
	}
	return routes.GetSummary200JSONResponse(view), nil
}

func (a *API) summary(ctx context.Context, monthStart *string) (ledger.Summary, error) {
	if orEmpty(monthStart) == "" {
		return a.ledger.Summary(ctx, userID(ctx))
	}
	start, err := parseTime("month_start", monthStart)
	if err != nil {
		return ledger.Summary{}, err
	}
	if time.Since(start) > ledger.MaxMonth {
		return ledger.Summary{}, reject(openapi.ParameterMalformed, "month_start", "month_start is at most 32 days ago")
	}
	return a.ledger.SummarySince(ctx, userID(ctx), start)
}
