package client

import (
	"context"
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"
)

// Wallets are the user's wallets.
func (k *Kizo) Wallets(ctx context.Context) ([]Wallet, error) {
	request, err := NewListWalletsRequest(k.server)
	list, err := get[WalletList](ctx, k, request, err)
	return list.Items, err
}

// OpenWallet opens a wallet in a currency. Opening it again gives the same one, so it may be repeated.
func (k *Kizo) OpenWallet(ctx context.Context, currency string) (Wallet, error) {
	request, err := NewOpenWalletRequest(k.server, WalletOpen{Currency: currency})
	return get[Wallet](ctx, k, request, err)
}

// Balance is the posted balance as of a time.
func (k *Kizo) Balance(ctx context.Context, currency string, at time.Time) (Balance, error) {
	text := at.UTC().Format(time.RFC3339Nano)
	request, err := NewGetBalanceRequest(k.server, currency, &GetBalanceParams{At: &text})
	return get[Balance](ctx, k, request, err)
}

// Transfers is one page of the user's transfers, newest first.
func (k *Kizo) Transfers(ctx context.Context, params ListTransfersParams) (TransferList, error) {
	request, err := NewListTransfersRequest(k.server, &params)
	return get[TransferList](ctx, k, request, err)
}

// Transfer is one transfer of the user's.
func (k *Kizo) Transfer(ctx context.Context, id openapi_types.UUID) (Transfer, error) {
	request, err := NewGetTransferRequest(k.server, id)
	return get[Transfer](ctx, k, request, err)
}

// Summary is what a dashboard opens with, in one call. monthStart is when this month began where the user is, at
// most 32 days ago.
func (k *Kizo) Summary(ctx context.Context, monthStart time.Time) (Summary, error) {
	text := monthStart.UTC().Format(time.RFC3339Nano)
	request, err := NewGetSummaryRequest(k.server, &GetSummaryParams{MonthStart: &text})
	return get[Summary](ctx, k, request, err)
}

// Preview says what a transfer would do. Nothing is written, so its key is made up on the spot.
func (k *Kizo) Preview(ctx context.Context, body TransferCreate) (TransferPreview, error) {
	yes := true
	body.DryRun = &yes
	request, err := NewCreateTransferRequest(k.server, &CreateTransferParams{IdempotencyKey: NewKey()}, body)
	return get[TransferPreview](ctx, k, request, err)
}
