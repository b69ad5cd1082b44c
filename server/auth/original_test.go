package auth

import (
	"context"
	"strings"
	"sync"
	"testing"
)

// The defects that these tests name were found in the web wallet that Kizo
// replaces; each must stay impossible here.

// Its logout looked the raw token up as a row id, and revoked nothing.
func TestOriginalDefect15LogoutRevokesBothTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tokens, _ := h.signUp("alice")
	other := h.logIn("alice")
	principal, err := h.Verify(t.Context(), tokens.AccessToken)
	must(t, err)

	must(t, h.LogOut(t.Context(), principal.SessionID))

	wantEqual(t, "access token", h.refusal(tokens.AccessToken), CodeSessionRevoked)
	wantEqual(t, "refresh token", h.refreshRefusal(tokens.RefreshToken), CodeRefreshTokenInvalid)
	wantEqual(t, "access token of the other session", h.refusal(other.AccessToken), "")
	must(t, h.LogOut(t.Context(), principal.SessionID)) // again is no error
	must(t, h.LogOut(t.Context(), nobodyID))
}

// Its "revoke all" was rolled back by the error that reported the reuse.
func TestOriginalDefect16ReuseRevokesTheFamilyAndCommits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stolen, _ := h.signUp("alice")
	winner, _, err := h.Refresh(t.Context(), stolen.RefreshToken, Client{})
	must(t, err)
	wantEqual(t, "winner before the reuse", h.refusal(winner.AccessToken), "")

	// Whoever comes second, thief or owner, ends it for both.
	wantEqual(t, "second use", h.refreshRefusal(stolen.RefreshToken), CodeRefreshTokenReused)

	// Read by another process, so it is committed and not only remembered.
	_, err = h.another().Verify(t.Context(), winner.AccessToken)
	wantCode(t, err, CodeSessionRevoked)
	wantEqual(t, "first access token", h.refusal(stolen.AccessToken), CodeSessionRevoked)
	wantEqual(t, "newest refresh token", h.refreshRefusal(winner.RefreshToken), CodeRefreshTokenInvalid)
	var reason string
	h.scan("SELECT revoked_reason FROM sessions WHERE id = $1", stolen.SessionID, &reason)
	wantEqual(t, "reason", reason, "reused")
}

// Hanging up must not undo it either.
func TestOriginalDefect16ReuseRevokesEvenIfTheCallerHangsUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stolen, _ := h.signUp("alice")
	winner, _, err := h.Refresh(t.Context(), stolen.RefreshToken, Client{})
	must(t, err)
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	_, _, err = h.Refresh(gone, stolen.RefreshToken, Client{})
	wantCode(t, err, CodeRefreshTokenReused)
	wantEqual(t, "winner", h.refusal(winner.AccessToken), CodeSessionRevoked)
}

// Its concurrent refreshes raced, and several won.
func TestOriginalDefect16OneOfAHundredConcurrentUsesWins(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tokens, _ := h.signUp("alice")
	const uses = 100
	codes, start, done := make(chan string, uses), make(chan struct{}), sync.WaitGroup{}
	for range uses {
		done.Go(func() {
			<-start
			_, _, err := h.Refresh(t.Context(), tokens.RefreshToken, Client{})
			if err != nil && CodeOf(err) == "" {
				t.Errorf("not a refusal: %v", err)
			}
			codes <- CodeOf(err)
		})
	}
	close(start)
	done.Wait()
	close(codes)
	count := map[string]int{}
	for c := range codes {
		count[c]++
	}
	wantEqual(t, "winners", count[""], 1)
	wantEqual(t, "told of the reuse", count[CodeRefreshTokenReused], uses-1)
	var revoked bool
	h.scan("SELECT revoked_at IS NOT NULL FROM sessions WHERE id = $1", tokens.SessionID, &revoked)
	wantEqual(t, "family revoked", revoked, true)
}

// Its suspended users could pay until their JWT expired.
func TestOriginalDefect17SuspensionEndsAccessAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tokens, user := h.signUp("mallory")
	other := h.logIn("mallory")

	must(t, h.Suspend(t.Context(), user.ID, "stolen card"))

	for _, held := range []Tokens{tokens, other} {
		wantEqual(t, "access token", h.refusal(held.AccessToken), CodeAccountSuspended)
		wantEqual(t, "refresh token", h.refreshRefusal(held.RefreshToken), CodeRefreshTokenInvalid)
	}
	_, _, err := h.LogIn(t.Context(), "mallory", goodPassword, Client{})
	wantCode(t, err, CodeAccountSuspended)
	_, _, err = h.LogIn(t.Context(), "mallory", "not the password", Client{})
	wantCode(t, err, CodeInvalidCredentials)

	must(t, h.Reinstate(t.Context(), user.ID, "cleared"))

	wantEqual(t, "old access token stays ended", h.refusal(tokens.AccessToken), CodeSessionRevoked)
	wantEqual(t, "new session", h.refusal(h.logIn("mallory").AccessToken), "")
}

// A log-in that runs while its user is being suspended must not leave a session
// behind that lives again after Reinstate.
func TestOriginalDefect17NoSessionSlipsPastASuspension(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, user := h.signUp("mallory")
	for range 20 {
		var racing sync.WaitGroup
		for range 4 {
			racing.Go(func() {
				_, _, err := h.LogIn(t.Context(), "mallory", goodPassword, Client{})
				if err != nil && CodeOf(err) != CodeAccountSuspended {
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
		must(t, h.Reinstate(t.Context(), user.ID, "next round"))
		open, err := h.Sessions(t.Context(), user.ID)
		must(t, err)
		if len(open) != 0 {
			t.Fatalf("%d sessions outlived the suspension", len(open))
		}
	}
}

// Its user search was unbounded and gave e-mail addresses away.
func TestOriginalDefect19SearchIsBoundedAndHidesEmails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, last := range "abcdefghijkl" {
		h.signUp("sam_" + string(last))
	}
	found, err := h.SearchUsers(t.Context(), "sam", 1000)
	must(t, err)
	wantEqual(t, "found", len(found), 10)
	for _, prefix := range []string{"", "  ", "@", "sam_a@example", "example.com"} {
		found, err := h.SearchUsers(t.Context(), prefix, 10)
		must(t, err)
		if len(found) != 0 {
			t.Errorf("prefix %q found %v", prefix, found)
		}
	}
	for _, ref := range found {
		if strings.Contains(ref.Name+ref.Handle, "example.com") {
			t.Errorf("an address shows in %v", ref)
		}
	}
}
