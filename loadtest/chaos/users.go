package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/openapi"
)

const (
	currency = "USD"
	password = "chaos and order, forty-two" // of users that exist as long as the run
)

// user is one of the users that the clients act as.
type user struct {
	handle string
	id     uuid.UUID

	session atomic.Pointer[openapi.Tokens]
}

func (u *user) token() string { return u.session.Load().AccessToken }

// signUp creates the users, one after the other: hashing a password is slow by design.
func signUp(ctx context.Context, c *client, count int) ([]*user, error) {
	users := make([]*user, count)
	for i := range users {
		u := &user{handle: fmt.Sprintf("chaos_%d", i)}
		var s openapi.Tokens
		err := c.must(ctx, http.MethodPost, "/v1/auth/signup", "", map[string]string{
			"email": u.handle + "@example.com", "handle": u.handle, "name": "Chaos", "password": password, "currency": currency,
		}, &s)
		if err != nil {
			return nil, fmt.Errorf("sign up %s: %w", u.handle, err)
		}
		u.id = s.User.Id
		u.session.Store(&s)
		users[i] = u
	}
	return users, nil
}

// keepSignedIn renews the access tokens, which are valid for 15 minutes, in longer runs.
func keepSignedIn(ctx context.Context, c *client, users []*user) {
	for rig.Pause(ctx, 10*time.Minute); ctx.Err() == nil; rig.Pause(ctx, 9*time.Minute) {
		for _, u := range users {
			var s openapi.Tokens
			body := map[string]string{"login": "@" + u.handle, "password": password}
			if err := c.must(ctx, http.MethodPost, "/v1/auth/login", "", body, &s); err == nil {
				u.session.Store(&s)
			}
		}
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
	var s openapi.Tokens
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
		got, _, err := c.do(ctx, call{method: http.MethodGet, path: path, token: s.AccessToken})
		if err == nil && got.status != http.StatusUnauthorized && got.status != http.StatusServiceUnavailable {
			c.found.add("session", "a session that was logged out may still GET %s: %d", path, got.status)
		}
	}
	body := encode(map[string]string{"refresh_token": s.RefreshToken})
	got, _, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/auth/refresh", body: body})
	if err == nil && got.status < 300 {
		c.found.add("session", "a session that was logged out was refreshed")
	}
}

// post sends one request. It returns false where the outcome is not a plain yes.
func (c *client) post(ctx context.Context, path, token string, body, out any) bool {
	got, _, err := c.do(ctx, call{method: http.MethodPost, path: path, token: token, body: encode(body)})
	if err != nil {
		return false
	}
	if got.status >= 300 {
		_, _ = c.problem(got, func() string { return "POST " + path })
		return false
	}
	return out == nil || json.Unmarshal(got.body, out) == nil
}
