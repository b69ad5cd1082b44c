package auth

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestRefreshRotates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tokens, user := h.signUp("alice")
	for range 3 {
		h.clock.Advance(20 * time.Minute)
		wantEqual(t, "old access token", h.refusal(tokens.AccessToken), CodeTokenExpired)
		next, who, err := h.Refresh(t.Context(), tokens.RefreshToken, Client{UserAgent: "kizo/2.0"})
		must(t, err)
		wantEqual(t, "user", who, user)
		wantEqual(t, "session", next.SessionID, tokens.SessionID)
		wantEqual(t, "end of the session", next.SessionEnds, tokens.SessionEnds)
		wantEqual(t, "new access token", h.refusal(next.AccessToken), "")
		tokens = next
	}
	open, err := h.Sessions(t.Context(), user.ID)
	must(t, err)
	wantEqual(t, "sessions", len(open), 1)
	wantEqual(t, "client", open[0].Client, "kizo/2.0")
	if !open[0].LastUsedAt.Equal(h.clock.Now()) {
		t.Errorf("last used at %s", open[0].LastUsedAt)
	}
}

// However often it is refreshed, a session ends 30 days after it was opened,
// and its last access token with it.
func TestSessionEndsAbsolutely(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tokens, _ := h.signUp("alice")
	h.clock.Advance(30*24*time.Hour - time.Minute)
	last, _, err := h.Refresh(t.Context(), tokens.RefreshToken, Client{})
	must(t, err)
	wantEqual(t, "life of the last access token", last.ExpiresIn, time.Minute)
	h.clock.Advance(time.Minute)
	wantEqual(t, "access token", h.refusal(last.AccessToken), CodeTokenExpired)
	_, _, err = h.Refresh(t.Context(), last.RefreshToken, Client{})
	wantCode(t, err, CodeRefreshTokenInvalid)
	if !errors.Is(err, ErrRefreshExpired) {
		t.Errorf("got %v", err)
	}
}

func TestRefreshRefusesWithOneCodeAndManyReasons(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	revoked, _ := h.signUp("alice")
	must(t, h.LogOut(t.Context(), revoked.SessionID))
	stranger, _ := newRefreshToken()
	for name, c := range map[string]struct {
		token string
		why   error
	}{
		"unknown":      {stranger, ErrRefreshUnknown},
		"empty":        {"", ErrRefreshUnknown},
		"access token": {revoked.AccessToken, ErrRefreshUnknown},
		"no prefix":    {strings.TrimPrefix(stranger, refreshPrefix), ErrRefreshUnknown},
		"too long":     {stranger + "A", ErrRefreshUnknown},
		"NUL":          {refreshPrefix + strings.Repeat("\x00", 43), ErrRefreshUnknown},
		"1 MB":         {refreshPrefix + strings.Repeat("A", 1<<20), ErrRefreshUnknown},
		"revoked":      {revoked.RefreshToken, ErrRefreshRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := h.Refresh(t.Context(), c.token, Client{})
			wantCode(t, err, CodeRefreshTokenInvalid)
			wantEqual(t, "message", err.Error(), refreshRefused(ErrRefreshUnknown).Error())
			if !errors.Is(err, c.why) {
				t.Errorf("reason %v, want %v", errors.Unwrap(err), c.why)
			}
		})
	}
}

func TestRefreshTokensAreStoredHashed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tokens, _ := h.signUp("alice")
	secret, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(tokens.RefreshToken, refreshPrefix))
	must(t, err)
	wantEqual(t, "random bytes", len(secret), 32)
	var stored []byte
	h.scan("SELECT token_hash FROM refresh_tokens WHERE session_id = $1", tokens.SessionID, &stored)
	wantEqual(t, "stored", string(stored), string(hashRefresh(secret)))
}

// A reuse in one session is no reason to end another.
func TestReuseEndsOneFamilyOnly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	laptop, _ := h.signUp("alice")
	phone := h.logIn("alice")
	_, _, err := h.Refresh(t.Context(), laptop.RefreshToken, Client{})
	must(t, err)
	wantEqual(t, "reuse", h.refreshRefusal(laptop.RefreshToken), CodeRefreshTokenReused)
	wantEqual(t, "phone", h.refusal(phone.AccessToken), "")
	_, _, err = h.Refresh(t.Context(), phone.RefreshToken, Client{})
	must(t, err)
}

func TestPruneDeletesOnlyTheLongExpiredAndIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	old, _ := h.signUp("alice")
	for range 4 {
		next, _, err := h.Refresh(t.Context(), old.RefreshToken, Client{})
		must(t, err)
		old = next
	}
	h.clock.Advance(30*24*time.Hour + keepExpired)
	live := h.logIn("alice")
	prune := func() int64 {
		n, err := h.Prune(t.Context(), 3)
		must(t, err)
		return n
	}
	wantEqual(t, "exactly a week after", prune(), 0)
	h.clock.Advance(time.Second)
	wantEqual(t, "first", prune(), 3)  // 3 of 5 tokens
	wantEqual(t, "second", prune(), 3) // 2 tokens, and the session
	wantEqual(t, "third", prune(), 0)
	wantEqual(t, "pruned token", h.refreshRefusal(old.RefreshToken), CodeRefreshTokenInvalid)
	_, _, err := h.Refresh(t.Context(), live.RefreshToken, Client{})
	must(t, err)
}
