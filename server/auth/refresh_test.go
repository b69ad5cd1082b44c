package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

func TestRefreshRotates(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, user := h.signUp("alice")
	for range 3 {
		h.clock.Advance(20 * time.Minute)
		testkit.Equal(t, "old access token", h.refusal(tokens.AccessToken), CodeTokenExpired)
		next, who, err := h.Refresh(t.Context(), tokens.RefreshToken, Client{UserAgent: "kizo/2.0"})
		testkit.Must(t, err)
		testkit.Equal(t, "user", who, user)
		testkit.Equal(t, "session", next.SessionID, tokens.SessionID)
		testkit.Equal(t, "end of the session", next.SessionEnds, tokens.SessionEnds)
		testkit.Equal(t, "new access token", h.refusal(next.AccessToken), "")
		tokens = next
	}
	open, err := h.Sessions(t.Context(), user.ID)
	testkit.Must(t, err)
	testkit.Equal(t, "sessions", len(open), 1)
	testkit.Equal(t, "client", open[0].Client, "kizo/2.0")
	if !open[0].LastUsedAt.Equal(h.clock.Now()) {
		t.Errorf("last used at %s", open[0].LastUsedAt)
	}
}

// TestSessionEndsAfterItsLifetime: however often it is refreshed, a session ends 90 days after it
// was opened, and its last access token ends with it.
func TestSessionEndsAfterItsLifetime(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, _ := h.signUp("alice")
	opened := h.clock.Now()
	for h.clock.Advance(10 * 24 * time.Hour); h.clock.Now().Sub(opened) < DefaultSessionLifetime; h.clock.Advance(10 * 24 * time.Hour) {
		next, _, err := h.Refresh(t.Context(), tokens.RefreshToken, Client{})
		testkit.Must(t, err)
		tokens = next
	}
	h.clock.Advance(-time.Minute)
	last, _, err := h.Refresh(t.Context(), tokens.RefreshToken, Client{})
	testkit.Must(t, err)
	testkit.Equal(t, "life of the last access token", last.ExpiresIn, time.Minute)
	h.clock.Advance(time.Minute)
	testkit.Equal(t, "access token", h.refusal(last.AccessToken), CodeTokenExpired)
	_, _, err = h.Refresh(t.Context(), last.RefreshToken, Client{})
	wantCode(t, err, CodeRefreshTokenInvalid)
	if !errors.Is(err, errRefreshExpired) {
		t.Errorf("got %v", err)
	}
}

// TestIdleSessionEnds: a session that is not refreshed for 14 days is over, and no longer listed.
func TestIdleSessionEnds(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	idle, alice := h.signUp("alice")
	used := h.logIn("alice")
	listed := func() int {
		open, err := h.Sessions(t.Context(), alice.ID)
		testkit.Must(t, err)
		for _, s := range open {
			if want := s.LastUsedAt.Add(DefaultSessionIdle); !s.ExpiresAt.Equal(want) {
				t.Errorf("expires at %v, want %v", s.ExpiresAt, want)
			}
		}
		return len(open)
	}
	h.clock.Advance(DefaultSessionIdle - time.Microsecond)
	testkit.Equal(t, "sessions", listed(), 2)
	_, _, err := h.Refresh(t.Context(), used.RefreshToken, Client{})
	testkit.Must(t, err)
	h.clock.Advance(time.Microsecond)
	testkit.Equal(t, "idle session", h.refreshRefusal(idle.RefreshToken), CodeRefreshTokenInvalid)
	testkit.Equal(t, "sessions", listed(), 1)
}

// TestRefreshRefusals: all refusals have the same code and message; only the cause differs.
func TestRefreshRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	revoked, _ := h.signUp("alice")
	testkit.Must(t, h.LogOut(t.Context(), revoked.SessionID))
	unknown, _ := newRefreshToken()
	for name, c := range map[string]struct {
		token string
		why   error
	}{
		"unknown":      {unknown, errRefreshUnknown},
		"empty":        {"", errRefreshUnknown},
		"access token": {revoked.AccessToken, errRefreshUnknown},
		"no prefix":    {strings.TrimPrefix(unknown, refreshPrefix), errRefreshUnknown},
		"too long":     {unknown + "A", errRefreshUnknown},
		"NUL":          {refreshPrefix + strings.Repeat("\x00", 43), errRefreshUnknown},
		"1 MB":         {refreshPrefix + strings.Repeat("A", 1<<20), errRefreshUnknown},
		"revoked":      {revoked.RefreshToken, errRefreshRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := h.Refresh(t.Context(), c.token, Client{})
			refusal, ok := errors.AsType[*problem.Error](err)
			if !ok {
				t.Fatal(err)
			}
			shown := *refusal
			shown.Cause = nil // for logs only
			testkit.Equal(t, "refusal", shown, problem.Error{Code: CodeRefreshTokenInvalid, Message: refreshRefused(errRefreshUnknown).Message})
			if !errors.Is(err, c.why) {
				t.Errorf("reason %v, want %v", errors.Unwrap(err), c.why)
			}
		})
	}
}

func TestRefreshTokensAreStoredHashed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, _ := h.signUp("alice")
	secret, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(tokens.RefreshToken, refreshPrefix))
	testkit.Must(t, err)
	testkit.Equal(t, "random bytes", len(secret), 32)
	var stored []byte
	h.scan("SELECT token_hash FROM refresh_tokens WHERE session_id = $1", tokens.SessionID, &stored)
	testkit.Equal(t, "stored", string(stored), string(hashRefresh(secret)))
}

// TestReuseEndsOneSession: the reuse of a token in one session does not end another session.
func TestReuseEndsOneSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	laptop, _ := h.signUp("alice")
	phone := h.logIn("alice")
	_, _, err := h.Refresh(t.Context(), laptop.RefreshToken, Client{})
	testkit.Must(t, err)
	testkit.Equal(t, "reuse", h.refreshRefusal(laptop.RefreshToken), CodeRefreshTokenReused)
	testkit.Equal(t, "phone", h.refusal(phone.AccessToken), "")
	_, _, err = h.Refresh(t.Context(), phone.RefreshToken, Client{})
	testkit.Must(t, err)
}

// TestPruneDeletesExpiredSessions: Prune deletes only sessions and tokens that expired more than a
// week ago, and at most limit rows.
func TestPruneDeletesExpiredSessions(t *testing.T) {
	t.Parallel()
	const lifetime = 30 * 24 * time.Hour // a known address is kept for longer
	h := newHarness(t, func(c *Config) { c.SessionLifetime = lifetime })
	old, _ := h.signUp("alice")
	for range 4 {
		next, _, err := h.Refresh(t.Context(), old.RefreshToken, Client{})
		testkit.Must(t, err)
		old = next
	}
	h.clock.Advance(lifetime + keepExpired)
	live := h.logIn("alice")
	prune := func() int64 {
		n, err := h.Prune(t.Context(), 3)
		testkit.Must(t, err)
		return n
	}
	testkit.Equal(t, "exactly a week after", prune(), 0)
	h.clock.Advance(time.Second)
	testkit.Equal(t, "first", prune(), 3)  // 3 of 5 tokens
	testkit.Equal(t, "second", prune(), 3) // 2 tokens, and the session
	testkit.Equal(t, "third", prune(), 0)
	testkit.Equal(t, "pruned token", h.refreshRefusal(old.RefreshToken), CodeRefreshTokenInvalid)
	_, _, err := h.Refresh(t.Context(), live.RefreshToken, Client{})
	testkit.Must(t, err)
}

// TestReusedRefreshTokenRevokesItsSession: the refusal that reports the reuse must not roll the
// revocation back.
func TestReusedRefreshTokenRevokesItsSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	stolen, _ := h.signUp("alice")
	winner, _, err := h.Refresh(t.Context(), stolen.RefreshToken, Client{})
	testkit.Must(t, err)
	testkit.Equal(t, "winner before the reuse", h.refusal(winner.AccessToken), "")

	// The second use ends the session for both, whether the thief or the owner comes second.
	testkit.Equal(t, "second use", h.refreshRefusal(stolen.RefreshToken), CodeRefreshTokenReused)

	// Another process reads it, so that it must be committed, and not only cached.
	_, err = h.another().Verify(t.Context(), winner.AccessToken)
	wantCode(t, err, CodeSessionRevoked)
	testkit.Equal(t, "first access token", h.refusal(stolen.AccessToken), CodeSessionRevoked)
	testkit.Equal(t, "newest refresh token", h.refreshRefusal(winner.RefreshToken), CodeRefreshTokenInvalid)
	var reason string
	h.scan("SELECT revoked_reason FROM sessions WHERE id = $1", stolen.SessionID, &reason)
	testkit.Equal(t, "reason", reason, "reused")
}

// TestReuseByDisconnectedCallerRevokesSession: a caller that disconnects must not prevent the
// revocation.
func TestReuseByDisconnectedCallerRevokesSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	stolen, _ := h.signUp("alice")
	winner, _, err := h.Refresh(t.Context(), stolen.RefreshToken, Client{})
	testkit.Must(t, err)
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	_, _, err = h.Refresh(gone, stolen.RefreshToken, Client{})
	wantCode(t, err, CodeRefreshTokenReused)
	testkit.Equal(t, "winner", h.refusal(winner.AccessToken), CodeSessionRevoked)
}

// TestOneConcurrentRefreshSucceeds: of a hundred concurrent refreshes with one token, exactly one
// succeeds.
func TestOneConcurrentRefreshSucceeds(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, _ := h.signUp("alice")
	const uses = 100
	codes, start, done := make(chan problem.Code, uses), make(chan struct{}), sync.WaitGroup{}
	for range uses {
		done.Go(func() {
			<-start
			_, _, err := h.Refresh(t.Context(), tokens.RefreshToken, Client{})
			if err != nil && problem.CodeOf(err) == "" {
				t.Errorf("not a refusal: %v", err)
			}
			codes <- problem.CodeOf(err)
		})
	}
	close(start)
	done.Wait()
	close(codes)
	count := map[problem.Code]int{}
	for c := range codes {
		count[c]++
	}
	testkit.Equal(t, "successes", count[""], 1)
	testkit.Equal(t, "refusals because of reuse", count[CodeRefreshTokenReused], uses-1)
	var revoked bool
	h.scan("SELECT revoked_at IS NOT NULL FROM sessions WHERE id = $1", tokens.SessionID, &revoked)
	testkit.Equal(t, "session revoked", revoked, true)
}
