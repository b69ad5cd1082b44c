package client

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/openapi"
)

// Wallets returns the user's wallets.
func (c *Client) Wallets(ctx context.Context) ([]Wallet, error) {
	request, err := c.get("/v1/wallets", nil)
	list, err := read[openapi.WalletList](ctx, c, request, err)
	return list.Items, err
}

// OpenWallet opens a wallet in a currency, or returns the one that is open already, so it may be
// repeated.
func (c *Client) OpenWallet(ctx context.Context, currency string) (Wallet, error) {
	request, err := c.send(http.MethodPost, "/v1/wallets", openapi.WalletOpen{Currency: currency})
	return read[Wallet](ctx, c, request, err)
}

// Balance returns the posted balance as of a time.
func (c *Client) Balance(ctx context.Context, currency string, at time.Time) (Balance, error) {
	text := at.UTC().Format(time.RFC3339Nano)
	request, err := c.get(pathOf("/v1/wallets/%s/balance", currency), &openapi.GetBalanceParams{At: &text})
	return read[Balance](ctx, c, request, err)
}

// Limits of a page of a statement.
const (
	MaxStatementPage   = 500 // lines
	MaxStatementTotals = 500 // other parties with totals of their own
)

// StatementQuery selects a page of a statement.
type StatementQuery struct {
	Limit  int32  // lines, at most MaxStatementPage; 100 if 0
	Cursor string // NextCursor of the page before, or empty
	Totals int32  // other parties to name with their totals, at most MaxStatementTotals; 0 for no totals
}

// Statement returns a page of the statement of a wallet for a month of UTC such as 2026-11.
func (c *Client) Statement(ctx context.Context, currency, month string, q StatementQuery) (Statement, error) {
	params := &openapi.GetStatementParams{}
	if q.Limit != 0 {
		params.Limit = &q.Limit
	}
	if q.Cursor != "" {
		params.Cursor = &q.Cursor
	}
	if q.Totals != 0 {
		params.Totals = &q.Totals
	}
	request, err := c.get(pathOf("/v1/wallets/%s/statements/%s", currency, month), params)
	return read[Statement](ctx, c, request, err)
}

// Transfers returns one page of the user's transfers, newest first.
func (c *Client) Transfers(ctx context.Context, params ListTransfersParams) (TransferList, error) {
	request, err := c.get("/v1/transfers", &params)
	return read[TransferList](ctx, c, request, err)
}

// Transfer returns one transfer of the user.
func (c *Client) Transfer(ctx context.Context, id uuid.UUID) (Transfer, error) {
	request, err := c.get(transferPath(id, ""), nil)
	return read[Transfer](ctx, c, request, err)
}

// Explain returns the history of a transfer, what it waits for and who acts next. Operators may ask
// for the transfers of all users.
func (c *Client) Explain(ctx context.Context, transfer uuid.UUID) (Timeline, error) {
	request, err := c.get(transferPath(transfer, "/timeline"), nil)
	return read[Timeline](ctx, c, request, err)
}

// Triggers returns what the mock bank of kizod dev can do with a payment.
func (c *Client) Triggers(ctx context.Context) ([]Trigger, error) {
	request, err := c.get("/v1/dev/triggers", nil)
	list, err := read[openapi.TriggerList](ctx, c, request, err)
	return list.Items, err
}

// ArmTrigger says what the mock bank does with the next payment of an amount. It moves no money.
func (c *Client) ArmTrigger(ctx context.Context, arm TriggerArm) error {
	request, err := c.send(http.MethodPost, "/v1/dev/triggers", arm)
	return c.act(ctx, request, err)
}

// Summary returns what a dashboard shows first, in one call. monthStart is the start of the current
// month in the user's time zone, at most 32 days ago.
func (c *Client) Summary(ctx context.Context, monthStart time.Time) (Summary, error) {
	text := monthStart.UTC().Format(time.RFC3339Nano)
	request, err := c.get("/v1/summary", &openapi.GetSummaryParams{MonthStart: &text})
	return read[Summary](ctx, c, request, err)
}

// Preview returns what a transfer would do. The server writes nothing, so a new key is used.
func (c *Client) Preview(ctx context.Context, body TransferCreate) (TransferPreview, error) {
	yes := true
	body.DryRun = &yes
	request, err := c.send(http.MethodPost, "/v1/transfers", body)
	if err == nil {
		request.Header.Set("Idempotency-Key", NewKey())
	}
	return read[TransferPreview](ctx, c, request, err)
}
