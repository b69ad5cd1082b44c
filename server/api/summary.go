package api

import (
	"context"

	openapi_types "github.com/oapi-codegen/runtime/types"
)

// GetSummary is what a dashboard opens with.
func (a *API) GetSummary(ctx context.Context, _ GetSummaryRequestObject) (GetSummaryResponseObject, error) {
	s, err := a.ledger.Summary(ctx, user(ctx))
	if err != nil {
		return nil, err
	}
	recent, err := a.view(ctx, s.Recent...)
	if err != nil {
		return nil, err
	}
	view := Summary{
		At: s.At, Recent: recent, Pending: PendingCounts{In: s.PendingIn, Out: s.PendingOut},
		Wallets: make([]WalletSummary, len(s.Wallets)),
	}
	for i, w := range s.Wallets {
		trend := make([]DayBalance, len(w.Trend))
		for day, balance := range w.Trend {
			trend[day] = DayBalance{Day: openapi_types.Date{Time: w.Days[day]}, Balance: balance}
		}
		view.Wallets[i] = WalletSummary{
			Wallet: viewWallet(w.Wallet), Trend: trend, Month: MonthTotals{In: w.In, Out: w.Out, Count: w.Count},
		}
	}
	return GetSummary200JSONResponse(view), nil
}
