package client

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// Credentials are what a session needs to be used from here.
type Credentials struct {
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token"`
	ExpiresAt    time.Time `json:"expires_at"` // of the access token, by this machine's clock
	User         User      `json:"user"`       // kept when a session ends, to say who may log in again
}

// TokenStore keeps the credentials for one server. Several processes may share what is behind it.
type TokenStore interface {
	// Load gives what is stored; without anything stored, empty Credentials and no error.
	Load(context.Context) (Credentials, error)

	// Update holds a lock against every other Update, in this process or another, reads again, calls
	// change and stores what it returns, also when it returns an error, which Update then gives back.
	// An Update that could not store new credentials, on a full disk for example, fails before it calls
	// change: change uses up a refresh token.
	Update(ctx context.Context, change func(Credentials) (Credentials, error)) error

	// Clear removes what is stored, under the same lock. It works on a full disk.
	Clear(context.Context) error
}

// StaticToken is a store of one access token that is used as it is and never refreshed. An empty one
// is nobody's.
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

// MemoryTokens is a store for one process and its lifetime.
func MemoryTokens() TokenStore { return &memoryTokens{} }

type memoryTokens struct {
	mu   sync.Mutex
	held Credentials
}

func (m *memoryTokens) Load(context.Context) (Credentials, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held, nil
}

func (m *memoryTokens) Update(_ context.Context, change func(Credentials) (Credentials, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed, err := change(m.held)
	m.held = changed
	return err
}

func (m *memoryTokens) Clear(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = Credentials{}
	return nil
}

const (
	// refreshTimeout bounds a refresh, the wait for the lock included.
	refreshTimeout = 20 * time.Second

	// expiryMargin is how long before its end an access token counts as expired, so that it does not
	// end on the way.
	expiryMargin = 5 * time.Second
)

// accessToken is the token to send with a call: none for an anonymous one, a fresh one if the stored
// one has run out.
func (k *Kizo) accessToken(ctx context.Context, c call) (string, error) {
	if c.anonymous {
		return "", nil
	}
	held, err := k.tokens.Load(ctx)
	if err != nil {
		return "", err
	}
	if held.AccessToken == "" {
		return "", ErrNotLoggedIn
	}
	if k.expired(held) {
		return k.refresh(ctx, held.AccessToken, ErrNotLoggedIn)
	}
	return held.AccessToken, nil
}

func (k *Kizo) expired(c Credentials) bool {
	return c.RefreshToken != "" && !k.now().Add(expiryMargin).Before(c.ExpiresAt)
}

// refresh trades the refresh token for new tokens, unless another process has done so since stale was
// read. It returns refused where there is nothing to trade.
func (k *Kizo) refresh(ctx context.Context, stale string, refused error) (string, error) {
	held, err := k.tokens.Load(ctx)
	if err != nil {
		return "", err
	}
	if held.RefreshToken == "" {
		return "", refused
	}
	// Once sent, the old token is used up: to stop waiting for the answer would be to lose the session.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
	defer cancel()

	var fresh string
	err = k.tokens.Update(ctx, func(held Credentials) (Credentials, error) {
		if held.RefreshToken == "" {
			return held, refused
		}
		if held.AccessToken != stale && !k.expired(held) {
			fresh = held.AccessToken
			return held, nil
		}
		traded, err := k.trade(ctx, held.RefreshToken)
		if sessionOver(err) {
			return Credentials{User: held.User}, err
		}
		if err != nil {
			return held, err
		}
		fresh = traded.AccessToken
		return traded, nil
	})
	return fresh, err
}

func (k *Kizo) trade(ctx context.Context, refreshToken string) (Credentials, error) {
	request, err := NewRefreshRequest(k.server, Refresh{RefreshToken: refreshToken})
	if err != nil {
		return Credentials{}, err
	}
	tokens, err := fetch[Tokens](ctx, k, call{request: request, anonymous: true, repeat: unsentOnly})
	return k.credentials(tokens), err
}

func (k *Kizo) credentials(t Tokens) Credentials {
	return Credentials{
		AccessToken:  t.AccessToken,
		RefreshToken: t.RefreshToken,
		ExpiresAt:    k.now().Add(time.Duration(t.ExpiresIn) * time.Second).UTC().Truncate(time.Second),
		User:         t.User,
	}
}

func tokenRefused(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Status == http.StatusUnauthorized &&
		(refused.Code == TokenExpired || refused.Code == TokenInvalid)
}

// sessionOver reports whether the refresh token will never be good again.
func sessionOver(err error) bool {
	var refused *Error
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code {
	case RefreshTokenInvalid, RefreshTokenReused, SessionRevoked:
		return true
	}
	return false
}
