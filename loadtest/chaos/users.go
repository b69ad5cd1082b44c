package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/loadtest/rig"
)

const (
	currency = "USD"
	password = "chaos and order, forty-two" // of users that exist as long as the run
)

// user is one of the users that the clients act as.
type user struct {
	handle string
	id     uuid.UUID // read from the tables at the end

	mu      sync.Mutex
	access  string
	refresh string
	ends    time.Time // expiry of the access token
}

func (u *user) token() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.access
}

type session struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
}

func (u *user) keep(s session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.access, u.refresh = s.AccessToken, s.RefreshToken
	u.ends = time.Now().Add(time.Duration(s.ExpiresIn) * time.Second)
}

// signUp creates the users, one after the other: hashing a password is slow by design.
func signUp(ctx context.Context, c *client, count int) ([]*user, error) {
	users := make([]*user, count)
	for i := range users {
		u := &user{handle: fmt.Sprintf("chaos_%d", i)}
		var s session
		err := c.must(ctx, http.MethodPost, "/v1/auth/signup", "", map[string]string{
			"email": u.handle + "@example.com", "handle": u.handle, "name": "Chaos", "password": password, "currency": currency,
		}, &s)
		if err != nil {
			return nil, fmt.Errorf("sign up %s: %w", u.handle, err)
		}
		u.keep(s)
		users[i] = u
	}
	return users, nil
}

// keepSignedIn renews access tokens well before they expire, for runs that are longer than their
// life.
func keepSignedIn(ctx context.Context, c *client, users []*user) {
	for ctx.Err() == nil {
		for _, u := range users {
			u.mu.Lock()
			due := time.Until(u.ends) < 5*time.Minute
			u.mu.Unlock()
			if !due {
				continue
			}
			var s session
			body := map[string]string{"login": "@" + u.handle, "password": password}
			if err := c.must(ctx, http.MethodPost, "/v1/auth/login", "", body, &s); err == nil {
				u.keep(s)
			}
		}
		rig.Pause(ctx, 10*time.Second)
	}
}

// visit repeats the life of a session for one user: log in, refresh, log out, use. A session that
// the server has ended must not be accepted any more.
func visit(ctx context.Context, c *client, u *user) {
	for ctx.Err() == nil {
		visitOnce(ctx, c, u)
		rig.Pause(ctx, 2*time.Second)
	}
}

func visitOnce(ctx context.Context, c *client, u *user) {
	var s session
	if !c.post(ctx, "/v1/auth/login", "", map[string]string{"login": "@" + u.handle, "password": password}, &s) {
		return
	}
	used := s.RefreshToken
	if !c.post(ctx, "/v1/auth/refresh", "", map[string]string{"refresh_token": used}, &s) {
		return // lost or refused: the token may count as used now; other sessions are not affected
	}
	if !c.post(ctx, "/v1/auth/logout", s.AccessToken, nil, nil) {
		return
	}
	for _, path := range []string{"/v1/wallets", "/v1/me"} {
		got, _, err := c.do(ctx, http.MethodGet, path, s.AccessToken, "", nil)
		if err == nil && got.status != http.StatusUnauthorized && got.status != http.StatusServiceUnavailable {
			c.found.add("session", "a session that was logged out may still GET %s: %d", path, got.status)
		}
	}
	body, err := json.Marshal(map[string]string{"refresh_token": s.RefreshToken})
	if err != nil {
		return
	}
	got, _, err := c.do(ctx, http.MethodPost, "/v1/auth/refresh", "", "", body)
	if err == nil && got.status < 300 {
		c.found.add("session", "a session that was logged out was refreshed")
	}
}

// post sends one POST request, and reports whether it succeeded.
func (c *client) post(ctx context.Context, path, token string, body, out any) bool {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return false
		}
	}
	got, _, err := c.do(ctx, http.MethodPost, path, token, "", text)
	if err != nil {
		return false
	}
	if got.status >= 300 {
		_, _ = c.problem(got, func() string { return "POST " + path })
		return false
	}
	return out == nil || json.Unmarshal(got.body, out) == nil
}
