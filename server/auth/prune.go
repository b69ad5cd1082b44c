package auth

import (
	"context"
	"fmt"
	"time"
)

// keepExpired is how long an expired session is kept for investigations.
const keepExpired = 7 * 24 * time.Hour

// Tokens expire with their session, so they are deleted first. ARRAY prevents a join with the
// whole table; SKIP LOCKED lets several processes prune at the same time.
const sqlPruneRefreshTokens = `
DELETE FROM refresh_tokens
 WHERE token_hash = ANY(ARRAY(
       SELECT token_hash FROM refresh_tokens
        WHERE expires_at < $1
        ORDER BY expires_at LIMIT $2
          FOR UPDATE SKIP LOCKED))`

// The oldest sessions, except those that still have tokens.
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

const sqlPruneResetCodes = `
DELETE FROM reset_codes
 WHERE user_id = ANY(ARRAY(
       SELECT user_id FROM reset_codes
        WHERE expires_at < $1
        ORDER BY expires_at LIMIT $2
          FOR UPDATE SKIP LOCKED))`

const sqlPruneDeviceLogins = `
DELETE FROM device_logins
 WHERE id = ANY(ARRAY(
       SELECT id FROM device_logins
        WHERE expires_at < $1
        ORDER BY expires_at LIMIT $2
          FOR UPDATE SKIP LOCKED))`

// Prune deletes, at most limit rows of each: refresh tokens, sessions, secrets of API keys, reset
// codes and mailed codes that expired more than a week ago, revoked or not; expired counts of
// failed log-ins; addresses and devices that their user has not signed in from for 90 days; expired
// requests of devices; and security events older than 180 days. It returns the number of deleted
// rows. If that is limit or more, the caller should call it again at once. Used tokens of a session
// that can still be refreshed are kept, because they show that a token is used a second time.
func (s *Service) Prune(ctx context.Context, limit int) (deleted int64, err error) {
	now := s.now()
	for _, old := range []struct {
		what, sql string
		before    time.Time
	}{
		{"refresh tokens", sqlPruneRefreshTokens, now.Add(-keepExpired)},
		{"sessions", sqlPruneSessions, now.Add(-keepExpired)},
		{"secrets of API keys", sqlPruneAPIKeySecrets, now.Add(-keepExpired)},
		{"failed log-ins", sqlPruneThrottle, now},
		{"known addresses", sqlPruneKnownAddresses, now.Add(-keepKnownAddress)},
		{"known devices", sqlPruneKnownDevices, now.Add(-keepKnownDevice)},
		{"device log-ins", sqlPruneDeviceLogins, now},
		{"looks of operators", sqlPruneViews, now.Add(-keepViews)},
		{"reset codes", sqlPruneResetCodes, now.Add(-keepExpired)},
		{"mailed codes", sqlPruneMailedCodes, now.Add(-keepExpired)},
		{"security events", sqlPruneEvents, now.Add(-keepEvents)},
	} {
		tag, err := s.pool.Exec(ctx, old.sql, old.before, limit)
		if err != nil {
			return deleted, fmt.Errorf("prune %s: %w", old.what, err)
		}
		deleted += tag.RowsAffected()
	}
	if _, err := s.pool.Exec(ctx, sqlPruneChanges, keepChanges); err != nil {
		return deleted, fmt.Errorf("prune changes: %w", err)
	}
	return deleted, nil
}
