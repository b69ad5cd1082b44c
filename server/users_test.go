package server_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// A running janitor deletes, again and again, sessions that expired more than a week ago together
// with their refresh tokens. It keeps those that expired less than a week ago, and current ones.
func TestRunningServerPrunesExpiredSessions(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	c := config(t, db.AppURL)
	c.Roles = server.AllRoles()
	c.PruneInterval = time.Millisecond
	s := start(t, c)
	alice := signUp(t, s.URL(), "alice")

	owner := testkit.Connect(t, db.AdminURL)
	const addSession = `
WITH session AS (
     INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, client)
     SELECT gen_random_uuid(), id, now() - '30 days'::interval, now() - '30 days'::interval, now() - $1::interval, $2
       FROM users WHERE handle = 'alice'
     RETURNING *)
INSERT INTO refresh_tokens (token_hash, session_id, issued_at, expires_at)
SELECT sha256(id::text::bytea), id, created_at, expires_at FROM session`
	add := func(expiredFor, client string) {
		t.Helper()
		_, err := owner.Exec(t.Context(), addSession, expiredFor, client)
		testkit.Must(t, err)
	}
	clients := func() []string {
		t.Helper()
		rows, err := owner.Query(t.Context(), `SELECT s.client FROM sessions s JOIN refresh_tokens ON session_id = s.id WHERE s.expires_at < now() ORDER BY 1`)
		testkit.Must(t, err)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		testkit.Must(t, err)
		return names
	}
	add("6 days", "recent")
	for range 2 { // the second is deleted by a later run than the first
		add("8 days", "old")
		testkit.Eventually(t, "the old session is deleted", func() bool { return slices.Equal(clients(), []string{"recent"}) })
	}
	alice.wantBalance(0, 0)
}
