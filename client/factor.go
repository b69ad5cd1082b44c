package client

import (
	"context"
	"net/http"

	"github.com/JDevAman/kizo/openapi"
)

// SecondFactor says whether the user has a second factor.
func (c *Client) SecondFactor(ctx context.Context) (SecondFactor, error) {
	request, err := c.get("/v1/auth/second-factor", nil)
	return read[SecondFactor](ctx, c, request, err)
}

// AddSecondFactor makes a secret for the user's authenticator app, which cannot be read again. It
// is not asked for before ConfirmSecondFactor. If the answer is lost, call it again.
func (c *Client) AddSecondFactor(ctx context.Context, password string) (SecondFactorSecret, error) {
	request, err := c.send(http.MethodPost, "/v1/auth/second-factor", openapi.SecondFactorAdd{Password: password})
	if err != nil {
		return SecondFactorSecret{}, err
	}
	return fetch[SecondFactorSecret](ctx, c, operation{request: request, repeat: unsentOnly, wait: logInTimeout})
}

// ConfirmSecondFactor confirms the second factor with a code of the app, and returns the recovery
// codes, which cannot be read again.
func (c *Client) ConfirmSecondFactor(ctx context.Context, otp string) ([]string, error) {
	request, err := c.send(http.MethodPost, "/v1/auth/second-factor/confirm", openapi.SecondFactorConfirm{Otp: otp})
	if err != nil {
		return nil, err
	}
	codes, err := fetch[openapi.RecoveryCodes](ctx, c, operation{request: request, repeat: unsentOnly})
	return codes.RecoveryCodes, err
}

// RemoveSecondFactor removes the second factor and the recovery codes of the user.
func (c *Client) RemoveSecondFactor(ctx context.Context, password, otp string) error {
	request, err := c.send(http.MethodPost, "/v1/auth/second-factor/remove", openapi.SecondFactorRemove{Password: password, Otp: otp})
	if err != nil {
		return err
	}
	got, err := c.do(ctx, operation{request: request, repeat: unsentOnly, wait: logInTimeout})
	if err != nil {
		return err
	}
	return c.checkNoContent(got)
}
