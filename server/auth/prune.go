package auth

import (
	"context"
	"fmt"
	"time"
)

// keepExpired is how long an expired session stays to be looked at.
const keepExpired = 7 * 24 * time.Hour

// Tokens expire with their session, so they go first. ARRAY keeps the planner
// from joining the whole table; SKIP LOCKED lets several prune at once.
const sqlPruneRefreshTokens = `
DELETE FROM refresh_tokens
 WHERE token_hash = ANY(ARRAY(
       SELECT token_hash FROM refresh_tokens
        WHERE expires_at < $1
        ORDER BY expires_at LIMIT $2
          FOR UPDATE SKIP LOCKED))`

// The oldest sessions, unless some of their tokens are still to go.
const sqlPruneSessions = `
DELETE FROM sessions
 WHERE id = ANY(ARRAY(
       SELECT id FROM sessions
        WHERE expires_at < $1
        ORDER BY expires_at LIMIT $2
          FOR UPDATE SKIP LOCKED))
   AND NOT EXISTS (SELECT FROM refresh_tokens t WHERE t.session_id = sessions.id)`

const sqlPruneThrottle = `
DELETE FROM login_throttle
 WHERE key = ANY(ARRAY(
       SELECT key FROM login_throttle
        WHERE failures_until < $1
        ORDER BY failures_until LIMIT $2
          FOR UPDATE SKIP LOCKED))`

// Prune deletes at most limit refresh tokens and limit sessions that expired
// more than a week ago, revoked or not, limit counts of failed log-ins that are
// forgotten, limit addresses that their user has not signed in from for 90 days, and limit
// security events of more than 180 days. It returns how many rows went; call it again at once when that is limit or more. Used
// tokens of a session that may still be refreshed stay: they are what a second use is
// recognised by.
func (s *Service) Prune(ctx context.Context, limit int) (gone int64, err error) {
	now := s.now()
	for _, old := range []struct {
		what, sql string
		before    time.Time
	}{
		{"refresh tokens", sqlPruneRefreshTokens, now.Add(-keepExpired)},
		{"sessions", sqlPruneSessions, now.Add(-keepExpired)},
		{"failed log-ins", sqlPruneThrottle, now},
		{"known addresses", sqlPruneKnownAddresses, now.Add(-keepKnownAddress)},
		{"security events", sqlPruneEvents, now.Add(-keepEvents)},
	} {
		tag, err := s.pool.Exec(ctx, old.sql, old.before, limit)
		if err != nil {
			return gone, fmt.Errorf("prune %s: %w", old.what, err)
		}
		gone += tag.RowsAffected()
	}
	if _, err := s.pool.Exec(ctx, sqlPruneChanges, keepChanges); err != nil {
		return gone, fmt.Errorf("prune changes: %w", err)
	}
	return gone, nil
}
