package client

import (
	"context"
	"net/http"
)

// Limits returns the limits of the user's wallets, and for an API key also its own.
func (c *Client) Limits(ctx context.Context) (Limits, error) {
	request, err := c.get("/v1/limits", nil)
	return read[Limits](ctx, c, request, err)
}

// SetLimit limits what leaves a wallet. A maximum that is nil is none. What is higher than the
// limit in effect takes effect later, as the answer states.
func (c *Client) SetLimit(ctx context.Context, currency string, limit LimitSet) (WalletLimit, error) {
	request, err := c.send(http.MethodPut, pathOf("/v1/limits/%s", currency), limit)
	return read[WalletLimit](ctx, c, request, err)
}

// RemoveLimit removes the limit of a wallet, later, as the answer states.
func (c *Client) RemoveLimit(ctx context.Context, currency string) (WalletLimit, error) {
	request, err := c.send(http.MethodDelete, pathOf("/v1/limits/%s", currency), nil)
	return read[WalletLimit](ctx, c, request, err)
}

// UserOf returns any user, for operators.
func (c *Client) UserOf(ctx context.Context, login string) (OpsUser, error) {
	request, err := c.get(pathOf("/v1/ops/users/%s", login), nil)
	return read[OpsUser](ctx, c, request, err)
}

// LimitsOf returns the limits of the wallets of any user, for operators.
func (c *Client) LimitsOf(ctx context.Context, login string) (Limits, error) {
	request, err := c.get(pathOf("/v1/ops/users/%s/limits", login), nil)
	return read[Limits](ctx, c, request, err)
}
