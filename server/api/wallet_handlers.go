package api

import (
	"context"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/ledger"
)

// ListWallets returns the user's wallets.
func (a *API) ListWallets(ctx context.Context, _ routes.ListWalletsRequestObject) (routes.ListWalletsResponseObject, error) {
	wallets, err := a.ledger.Wallets(ctx, userID(ctx))
	if err != nil {
		return nil, err
	}
	list := openapi.WalletList{Items: make([]openapi.Wallet, len(wallets))}
	for i, w := range wallets {
		list.Items[i] = viewWallet(w)
	}
	return routes.ListWallets200JSONResponse(list), nil
}

// OpenWallet opens a wallet, or returns the one that the user has in that currency.
func (a *API) OpenWallet(ctx context.Context, r routes.OpenWalletRequestObject) (routes.OpenWalletResponseObject, error) {
	w, err := a.ledger.OpenWallet(ctx, userID(ctx), money.Currency(r.Body.Currency))
	if err != nil {
		return nil, err
	}
	return routes.OpenWallet201JSONResponse(viewWallet(w)), nil
}

// GetBalance returns the posted balance as of a time.
func (a *API) GetBalance(ctx context.Context, r routes.GetBalanceRequestObject) (routes.GetBalanceResponseObject, error) {
	at, err := parseTime("at", r.Params.At)
	if err != nil {
		return nil, err
	}
	currency := money.Currency(r.Currency)
	if !currency.Known() {
		return nil, unknownCurrency()
	}
	balance, asOf, err := a.ledger.BalanceAt(ctx, userID(ctx), currency, at)
	if err != nil {
		return nil, err
	}
	return routes.GetBalance200JSONResponse{Currency: string(currency), Balance: balance, At: asOf.UTC()}, nil
}

func viewWallet(w ledger.Wallet) openapi.Wallet {
	return openapi.Wallet{
		Id: w.ID, Currency: string(w.Currency), Balance: w.Balance, Held: w.Held,
		Available: w.Available(), Status: openapi.WalletStatus(w.Status),
	}
}
