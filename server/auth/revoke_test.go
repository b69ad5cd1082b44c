package auth

import (
	"sync"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

// TestLogOutRevokesBothTokens: LogOut ends the given session, with both of its tokens, and no other
// session.
func TestLogOutRevokesBothTokens(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, _ := h.signUp("alice")
	other := h.logIn("alice")
	principal, err := h.Verify(t.Context(), tokens.AccessToken)
	testkit.Must(t, err)

	testkit.Must(t, h.LogOut(t.Context(), principal.SessionID))

	testkit.Equal(t, "access token", h.refusal(tokens.AccessToken), CodeSessionRevoked)
	testkit.Equal(t, "refresh token", h.refreshRefusal(tokens.RefreshToken), CodeRefreshTokenInvalid)
	testkit.Equal(t, "access token of the other session", h.refusal(other.AccessToken), "")
	testkit.Must(t, h.LogOut(t.Context(), principal.SessionID)) // a second call is no error
	testkit.Must(t, h.LogOut(t.Context(), newID()))
}

// TestSuspensionEndsAccessAtOnce: a suspended user has no access, although the access token has not
// expired.
func TestSuspensionEndsAccessAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, user := h.signUp("mallory")
	other := h.logIn("mallory")

	testkit.Must(t, h.Suspend(t.Context(), user.ID, "stolen card"))

	for _, held := range []Tokens{tokens, other} {
		testkit.Equal(t, "access token", h.refusal(held.AccessToken), CodeAccountSuspended)
		testkit.Equal(t, "refresh token", h.refreshRefusal(held.RefreshToken), CodeRefreshTokenInvalid)
	}
	_, _, err := h.LogIn(t.Context(), "mallory", goodPassword, "", Client{})
	wantCode(t, err, CodeAccountSuspended)
	_, _, err = h.LogIn(t.Context(), "mallory", "not the password", "", Client{})
	wantCode(t, err, CodeInvalidCredentials)

	testkit.Must(t, h.Reinstate(t.Context(), user.ID, "cleared"))

	testkit.Equal(t, "old access token after Reinstate", h.refusal(tokens.AccessToken), CodeSessionRevoked)
	testkit.Equal(t, "new session", h.refusal(h.logIn("mallory").AccessToken), "")
}

// TestConcurrentLogInLeavesNoSessionAfterSuspension: a log-in that runs concurrently with the
// suspension of its user must not leave an open session, which would be valid after Reinstate.
func TestConcurrentLogInLeavesNoSessionAfterSuspension(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, user := h.signUp("mallory")
	for range 20 {
		var racing sync.WaitGroup
		for range 4 {
			racing.Go(func() {
				_, _, err := h.LogIn(t.Context(), "mallory", goodPassword, "", Client{})
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
			t.Fatalf("%d sessions are open after the suspension", len(open))
		}
	}
}
