package auth

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

func TestEndSessions(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, user := h.signUp("alice")
	second, other := h.logIn("alice"), h.another()
	bystander, _ := h.signUp("bob")
	testkit.Must(t, h.EndSessions(t.Context(), user.ID))
	for _, tokens := range []Tokens{first, second} {
		if _, err := other.Verify(t.Context(), tokens.AccessToken); problem.CodeOf(err) != CodeSessionRevoked {
			t.Errorf("an ended session: %v", err)
		}
		testkit.Equal(t, "refresh", h.refreshRefusal(tokens.RefreshToken), CodeRefreshTokenInvalid)
	}
	testkit.Equal(t, "another user's session", h.refusal(bystander.AccessToken), "")
	testkit.Equal(t, "a later session", h.refusal(h.logIn("alice").AccessToken), "")
	wantCode(t, h.EndSessions(t.Context(), unknownID), CodeUserNotFound)
}

// TestEndSessionsWaitsForOpenSession: a session that is being opened and not committed yet is ended
// as well.
func TestEndSessionsWaitsForOpenSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, user := h.signUp("alice")
	conn, err := pgx.Connect(t.Context(), h.db.AppURL)
	testkit.Must(t, err)
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	testkit.Must(t, err)
	id, now := newID(), h.clock.Now()
	_, err = tx.Exec(t.Context(), sqlOpenSession, id, user.ID, now, now.Add(time.Hour), "", "", nil, false)
	testkit.Must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- h.EndSessions(t.Context(), user.ID) }()
	deadline := time.Now().Add(20 * time.Second)
	for waiting := 0; waiting == 0; time.Sleep(5 * time.Millisecond) {
		h.scan(`SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> $1`, 0, &waiting)
		if time.Now().After(deadline) {
			t.Fatal("EndSessions does not wait for the session that is being opened")
		}
	}
	testkit.Must(t, tx.Commit(t.Context()))
	testkit.Must(t, <-ended)
	var open int
	h.scan(`SELECT count(*) FROM sessions WHERE user_id = $1 AND revoked_at IS NULL`, user.ID, &open)
	testkit.Equal(t, "open sessions", open, 0)
}

// TestEndOtherSessions: the session of the request stays open, as do those of other users.
func TestEndOtherSessions(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, alice := h.signUp("alice")
	second, third := h.logIn("alice"), h.logIn("alice")
	theirs, _ := h.signUp("bob")
	other := h.another()
	_, err := other.Verify(t.Context(), third.AccessToken) // it is in the cache of the other process
	testkit.Must(t, err)
	ended, err := h.EndOtherSessions(t.Context(), alice.ID, second.SessionID)
	testkit.Must(t, err)
	testkit.Equal(t, "ended", len(ended), 2)
	for _, tokens := range []Tokens{first, third} {
		_, err := other.Verify(t.Context(), tokens.AccessToken)
		wantCode(t, err, CodeSessionRevoked)
	}
	testkit.Equal(t, "own session", h.refusal(second.AccessToken), "")
	testkit.Equal(t, "another user's session", h.refusal(theirs.AccessToken), "")
	ended, err = h.EndOtherSessions(t.Context(), alice.ID, second.SessionID)
	testkit.Must(t, err)
	testkit.Equal(t, "ended again", len(ended), 0)
	_, err = h.EndOtherSessions(t.Context(), unknownID, second.SessionID)
	wantCode(t, err, CodeUserNotFound)
}
