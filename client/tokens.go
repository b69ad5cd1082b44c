package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/JDevAman/kizo/openapi"
)

// Credentials are the tokens of a session and its user.
type Credentials struct {
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token"`
	ExpiresAt    time.Time `json:"expires_at"` // of the access token, by the clock of this machine
	User         User      `json:"user"`       // kept when the session ends, to suggest the user at the next log-in
}

// TokenStore stores the credentials for one server. Several processes may share one store.
type TokenStore interface {
	// Load returns the stored credentials, or empty Credentials if there are none.
	Load(context.Context) (Credentials, error)

	// Update takes a lock that excludes every other Update, in this process and in others. It reads
	// the credentials again, calls change and stores the result, even if change returns an error,
	// which Update then returns. An Update that could not store new credentials, on a full disk for
	// example, fails before it calls change, because change uses a refresh token up.
	Update(ctx context.Context, change func(Credentials) (Credentials, error)) error

	// Clear removes the credentials under the same lock. It works on a full disk.
	Clear(context.Context) error
}

// StaticToken returns a store of one access token, which is never refreshed. With an empty token,
// requests fail with ErrNotLoggedIn.
func StaticToken(token string) TokenStore { return staticToken(token) }

type staticToken string

func (t staticToken) Load(context.Context) (Credentials, error) {
	return Credentials{AccessToken: string(t)}, nil
}

func (t staticToken) Update(context.Context, func(Credentials) (Credentials, error)) error {
	return errors.New("a fixed access token cannot be replaced")
}

func (t staticToken) Clear(context.Context) error {
	return errors.New("a fixed access token cannot be removed")
}

const (
	// refreshTimeout is the timeout of a refresh, including the wait for the lock.
	refreshTimeout = 20 * time.Second

	// expiryMargin is how long before its expiry an access token counts as expired, so that it does
	// not expire while a request is on its way.
	expiryMargin = 5 * time.Second
)

// accessToken returns the token to send with an operation: none if the operation is anonymous, a
// new one if the stored one has expired.
func (c *Client) accessToken(ctx context.Context, op operation) (string, error) {
	if op.anonymous {
		return "", nil
	}
	held, err := c.tokens.Load(ctx)
	if err != nil {
		return "", err
	}
	if held.AccessToken == "" {
		return "", ErrNotLoggedIn
	}
	if c.expired(held) {
		return c.refresh(ctx, held.AccessToken, ErrNotLoggedIn)
	}
	return held.AccessToken, nil
}

func (c *Client) expired(held Credentials) bool {
	return held.RefreshToken != "" && !c.now().Add(expiryMargin).Before(held.ExpiresAt)
}

// refresh exchanges the refresh token for new tokens, unless another process has done so since
// stale was read. It returns refused if there is no refresh token.
func (c *Client) refresh(ctx context.Context, stale string, refused error) (string, error) {
	held, err := c.tokens.Load(ctx)
	if err != nil {
		return "", err
	}
	if held.RefreshToken == "" {
		return "", refused
	}
	// The server accepts a refresh token once. A refresh that the caller cancels would lose the
	// session.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
	defer cancel()

	var access string
	err = c.tokens.Update(ctx, func(held Credentials) (Credentials, error) {
		if held.RefreshToken == "" {
			return held, refused
		}
		if held.AccessToken != stale && !c.expired(held) {
			access = held.AccessToken
			return held, nil
		}
		rotated, err := c.rotateTokens(ctx, held.RefreshToken)
		if sessionOver(err) {
			return Credentials{User: held.User}, err
		}
		if err != nil {
			return held, err
		}
		access = rotated.AccessToken
		return rotated, nil
	})
	return access, err
}

// rotateTokens uses a refresh token up and returns the new tokens.
func (c *Client) rotateTokens(ctx context.Context, refreshToken string) (Credentials, error) {
	request, err := c.send(http.MethodPost, "/v1/auth/refresh", openapi.Refresh{RefreshToken: refreshToken})
	if err != nil {
		return Credentials{}, err
	}
	op := operation{request: request, anonymous: true, repeat: unsentOnly}
	tokens, err := fetch[openapi.Tokens](ctx, c, op)
	return c.credentials(tokens), err
}

func (c *Client) credentials(t openapi.Tokens) Credentials {
	return Credentials{
		AccessToken:  t.AccessToken,
		RefreshToken: t.RefreshToken,
		ExpiresAt:    c.now().Add(time.Duration(t.ExpiresIn) * time.Second).UTC().Truncate(time.Second),
		User:         t.User,
	}
}

func tokenRefused(err error) bool {
	refused, ok := errors.AsType[*Error](err)
	return ok && refused.Status == http.StatusUnauthorized &&
		(refused.Code == TokenExpired || refused.Code == TokenInvalid)
}

// sessionOver reports whether the session has ended, so that its refresh token is invalid forever.
func sessionOver(err error) bool {
	refused, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch refused.Code {
	case RefreshTokenInvalid, RefreshTokenReused, SessionRevoked:
		return true
	}
	return false
}
