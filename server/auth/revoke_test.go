package auth

import (
	"sync"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

// LogOut ends the session that it is given, both tokens of it, and no other.
func TestLogOutRevokesBothTokens(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, _ := h.signUp("alice")
	other := h.logIn("alice")
	principal, err := h.Verify(t.Context(), tokens.AccessToken)
	testkit.Must(t, err)

	testkit.Must(t, h.LogOut(t.Context(), principal.SessionID))

	wantEqual(t, "access token", h.refusal(tokens.AccessToken), CodeSessionRevoked)
	wantEqual(t, "refresh token", h.refreshRefusal(tokens.RefreshToken), CodeRefreshTokenInvalid)
	wantEqual(t, "access token of the other session", h.refusal(other.AccessToken), "")
	testkit.Must(t, h.LogOut(t.Context(), principal.SessionID)) // again is no error
	testkit.Must(t, h.LogOut(t.Context(), nobodyID))
}

// A suspended user has no access, not even until the access token expires.
func TestSuspensionEndsAccessAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, user := h.signUp("mallory")
	other := h.logIn("mallory")

	testkit.Must(t, h.Suspend(t.Context(), user.ID, "stolen card"))

	for _, held := range []Tokens{tokens, other} {
		wantEqual(t, "access token", h.refusal(held.AccessToken), CodeAccountSuspended)
		wantEqual(t, "refresh token", h.refreshRefusal(held.RefreshToken), CodeRefreshTokenInvalid)
	}
	_, _, err := h.LogIn(t.Context(), "mallory", goodPassword, Client{})
	wantCode(t, err, CodeAccountSuspended)
	_, _, err = h.LogIn(t.Context(), "mallory", "not the password", Client{})
	wantCode(t, err, CodeInvalidCredentials)

	testkit.Must(t, h.Reinstate(t.Context(), user.ID, "cleared"))

	wantEqual(t, "old access token stays ended", h.refusal(tokens.AccessToken), CodeSessionRevoked)
	wantEqual(t, "new session", h.refusal(h.logIn("mallory").AccessToken), "")
}

// A log-in that runs while its user is being suspended must not leave an open session that
// works again after Reinstate.
func TestConcurrentLogInLeavesNoSessionAfterASuspension(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, user := h.signUp("mallory")
	for range 20 {
		var racing sync.WaitGroup
		for range 4 {
			racing.Go(func() {
				_, _, err := h.LogIn(t.Context(), "mallory", goodPassword, Client{})
				if err != nil && problem.CodeOf(err) != CodeAccountSuspended {
					t.Errorf("log in: %v", err)
				}
			})
		}
		racing.Go(func() {
			if err := h.Suspend(t.Context(), user.ID, "race"); err != nil {
				t.Errorf("suspend: %v", err)
			}
		})
		racing.Wait()
		testkit.Must(t, h.Reinstate(t.Context(), user.ID, "next round"))
		open, err := h.Sessions(t.Context(), user.ID)
		testkit.Must(t, err)
		if len(open) != 0 {
			t.Fatalf("%d sessions outlived the suspension", len(open))
		}
	}
}
