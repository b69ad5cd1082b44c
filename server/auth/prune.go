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

// Prune deletes at most limit refresh tokens and limit sessions that expired
// more than a week ago, revoked or not, and returns how many rows went. Call it
// again at once when that is limit or more. Used tokens of a session that may
// still be refreshed stay: they are what a second use is recognised by.
func (s *Service) Prune(ctx context.Context, limit int) (int64, error) {
	before := s.now().Add(-keepExpired)
	tokens, err := s.pool.Exec(ctx, sqlPruneRefreshTokens, before, limit)
	if err != nil {
		return 0, fmt.Errorf("prune refresh tokens: %w", err)
	}
	sessions, err := s.pool.Exec(ctx, sqlPruneSessions, before, limit)
	if err != nil {
		return tokens.RowsAffected(), fmt.Errorf("prune sessions: %w", err)
	}
	if _, err := s.pool.Exec(ctx, sqlPruneChanges, keepChanges); err != nil {
		return tokens.RowsAffected() + sessions.RowsAffected(), fmt.Errorf("prune changes: %w", err)
	}
	return tokens.RowsAffected() + sessions.RowsAffected(), nil
}
