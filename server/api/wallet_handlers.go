package api

import (
	"context"
	"time"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
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

// GetStatement returns a page of the statement of a wallet.
func (a *API) GetStatement(ctx context.Context, r routes.GetStatementRequestObject) (routes.GetStatementResponseObject, error) {
	query := ledger.StatementQuery{Currency: money.Currency(r.Currency), Cursor: orEmpty(r.Params.Cursor)}
	var err error
	if query.Month, err = time.Parse("2006-01", r.Month); err != nil || query.Month.Year() < 1970 {
		return nil, reject(openapi.ParameterMalformed, "month", "write the month as 2026-11, from 1970-01 on")
	}
	if !query.Currency.Known() {
		return nil, unknownCurrency()
	}
	if n := r.Params.Limit; n != nil {
		if *n < 1 || *n > ledger.MaxStatementPage {
			return nil, reject(openapi.ParameterMalformed, "limit", "limit is a whole number from 1 to 500")
		}
		query.Limit = int(*n)
	}
	if n := r.Params.Totals; n != nil {
		if *n < 1 || *n > ledger.MaxStatementTotals {
			return nil, reject(openapi.ParameterMalformed, "totals", "totals is a whole number from 1 to 500")
		}
		query.Totals = int(*n)
	}
	s, err := a.ledger.Statement(ctx, userID(ctx), query)
	if err != nil {
		return nil, err
	}
	lines, err := a.viewLines(ctx, s.Lines)
	if err != nil {
		return nil, err
	}
	totals, others, err := a.viewTotals(ctx, s.Totals)
	if err != nil {
		return nil, err
	}
	return routes.GetStatement200JSONResponse{
		WalletId: s.Wallet, Currency: string(s.Currency), Month: r.Month, Since: s.Since, Until: s.Until, AsOf: s.AsOf, Complete: s.Complete,
		Opening: s.Opening, Closing: s.Closing, In: s.In, Out: s.Out, Count: s.Count, Totals: totals, Others: others,
		Items: lines, NextCursor: optional(s.Next),
	}, nil
}

// viewTotals returns the totals of a statement with the current names of other users.
func (a *API) viewTotals(ctx context.Context, totals *ledger.StatementTotals) (items *[]openapi.StatementTotal, others *openapi.StatementTotal, err error) {
	if totals == nil {
		return nil, nil, nil
	}
	var ids []auth.UserID
	for _, t := range totals.Items {
		if t.With != nil {
			ids = append(ids, *t.With)
		}
	}
	people, err := a.auth.UsersByID(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	view := func(t ledger.StatementTotal) openapi.StatementTotal {
		return openapi.StatementTotal{Parties: t.Parties, Count: t.Count, In: t.In, Out: t.Out}
	}
	shown := make([]openapi.StatementTotal, len(totals.Items))
	for i, t := range totals.Items {
		with := viewSystemParty(ledger.KindDeposit)
		if t.With != nil {
			with = viewParty(people[*t.With])
		}
		shown[i] = view(t)
		shown[i].With = &with
	}
	if totals.Others != nil {
		sum := view(*totals.Others)
		others = &sum
	}
	return &shown, others, nil
}

// viewLines returns the lines of a statement. A line has only what never changes after the posting,
// except the names of other users.
func (a *API) viewLines(ctx context.Context, lines []ledger.StatementLine) ([]openapi.StatementLine, error) {
	transfers := make([]ledger.Transfer, len(lines))
	for i, line := range lines {
		transfers[i] = line.Transfer
	}
	views, err := a.view(ctx, transfers...)
	if err != nil {
		return nil, err
	}
	shown := make([]openapi.StatementLine, len(lines))
	for i, line := range lines {
		v := views[i]
		shown[i] = openapi.StatementLine{
			Seq: line.Seq, At: line.At, Change: line.Change, Balance: line.Balance,
			TransferId: v.Id, Kind: v.Kind, With: v.From, Memo: v.Memo, Tags: v.Tags, Reverses: v.Reverses,
		}
		if line.Change < 0 {
			shown[i].With = v.To
		}
	}
	return shown, nil
}

func viewWallet(w ledger.Wallet) openapi.Wallet {
	return openapi.Wallet{
		Id: w.ID, Currency: string(w.Currency), Balance: w.Balance, Held: w.Held,
		Available: w.Available(), Status: openapi.WalletStatus(w.Status),
	}
}
