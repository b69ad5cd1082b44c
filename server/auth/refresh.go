package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/failpoint"
)

// Refresh exchanges a refresh token for a new pair of tokens. A token can be used once: a
// second use revokes the whole session, because the server cannot distinguish a thief from
// the owner (RFC 9700, 4.14.2).
//
// Refresh completes even if ctx ends, so that a caller cannot prevent the revocation by
// closing the connection.
func (s *Service) Refresh(ctx context.Context, refreshToken string, client Client) (Tokens, User, error) {
	hash, ok := parseRefreshToken(refreshToken)
	if !ok {
		s.logRefreshRefused(ctx, rotation{refused: errRefreshUnknown}, client)
		return Tokens{}, User{}, refreshRefused(errRefreshUnknown)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	var result rotation
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		result, err = s.rotate(ctx, tx, hash, client)
		return err // not result.refused: a refusal commits the revocation
	})
	switch {
	case err != nil:
		return Tokens{}, User{}, fmt.Errorf("refresh: %w", err)
	case result.refused != nil:
		s.logRefreshRefused(ctx, result, client)
		if errors.Is(result.refused, errRefreshReused) {
			s.cache.invalidate(change{"session", result.sessionID})
			s.waitForCacheExpiry()
		}
		return Tokens{}, User{}, refreshRefused(result.refused)
	}
	_ = failpoint.Point("auth.refreshed")
	return result.tokens, result.user, nil
}

func (s *Service) logRefreshRefused(ctx context.Context, result rotation, client Client) {
	event := EventRefreshRefused
	if errors.Is(result.refused, errRefreshReused) {
		event = EventRefreshTokenReused
	}
	attrs := append([]slog.Attr{slog.String("reason", result.refused.Error())}, clientAttrs(client)...)
	if result.sessionID != uuid.Nil {
		attrs = append(attrs, slog.String("user", result.user.Handle), slog.String("session", result.sessionID.String()))
	}
	s.events.write(ctx, event, attrs...)
}

// rotation is the result of using a refresh token: a new pair of tokens, or a refusal. It is
// separate from an error, which means that nothing was changed.
type rotation struct {
	tokens    Tokens
	user      User
	refused   error
	sessionID uuid.UUID // the session of a refusal
}

// The row of the session is the lock of the whole family: requests with the same token pass
// one at a time, and each reads the token after the previous one has committed. The row of
// the user is not locked: Suspend also revokes the session, which needs this lock.
const sqlLockFamily = `
SELECT s.id, s.expires_at, s.last_used_at, s.revoked_at IS NOT NULL,
       u.id, u.email, u.handle, u.name, u.role, u.status, u.created_at, u.email_verified_at IS NOT NULL, u.findable_by_email
  FROM sessions s JOIN users u ON u.id = s.user_id
 WHERE s.id = (SELECT session_id FROM refresh_tokens WHERE token_hash = $1)
   FOR NO KEY UPDATE OF s`

const sqlRefreshToken = `
SELECT used_at IS NOT NULL, expires_at
  FROM refresh_tokens
 WHERE token_hash = $1`

const sqlUseRefreshToken = `
UPDATE refresh_tokens SET used_at = $2
 WHERE token_hash = $1 AND used_at IS NULL`

const sqlTouchSession = `
UPDATE sessions SET last_used_at = greatest(last_used_at, $2), client = $3, address = $4
 WHERE id = $1`

func (s *Service) rotate(ctx context.Context, tx pgx.Tx, hash []byte, client Client) (rotation, error) {
	f, err := lockFamily(ctx, tx, hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return rotation{refused: errRefreshUnknown}, nil
	}
	if err != nil {
		return rotation{}, fmt.Errorf("lock session: %w", err)
	}
	_ = failpoint.Point("auth.refresh_locked")
	now := s.now()
	if why := f.refusalReason(now, s.sessionIdle); why != nil {
		if errors.Is(why, errRefreshReused) {
			err = s.revokeReused(ctx, tx, f, client)
		}
		return rotation{refused: why, sessionID: f.sessionID, user: f.user}, err
	}
	if _, err := tx.Exec(ctx, sqlUseRefreshToken, hash, now); err != nil {
		return rotation{}, fmt.Errorf("use refresh token: %w", err)
	}
	_ = failpoint.Point("auth.refresh_used")
	client = client.clean()
	if _, err := tx.Exec(ctx, sqlTouchSession, f.sessionID, now, client.UserAgent, client.Address); err != nil {
		return rotation{}, fmt.Errorf("touch session: %w", err)
	}
	tokens, err := s.issue(ctx, tx, accessToken{userID: f.user.ID, sessionID: f.sessionID}, now, f.sessionEnds)
	return rotation{tokens: tokens, user: f.user}, err
}

// revokeReused revokes the session of a token that was used before. Only the first reuse is
// recorded; later ones find the session revoked.
func (s *Service) revokeReused(ctx context.Context, tx pgx.Tx, f family, client Client) error {
	if _, err := tx.Exec(ctx, sqlRevokeSession, f.sessionID, s.now(), revokedReused); err != nil {
		return fmt.Errorf("revoke session: %w", err)
	}
	if f.revoked {
		return nil
	}
	return s.record(ctx, tx, EventRefreshTokenReused, f.user.ID, f.sessionID, client, "")
}

// family is a refresh token and its session, read while the session is locked.
type family struct {
	sessionID   uuid.UUID
	sessionEnds time.Time
	lastUsed    time.Time
	revoked     bool
	user        User
	used        bool
	tokenEnds   time.Time
}

func lockFamily(ctx context.Context, tx pgx.Tx, hash []byte) (f family, err error) {
	u := &f.user
	err = tx.QueryRow(ctx, sqlLockFamily, hash).Scan(&f.sessionID, &f.sessionEnds, &f.lastUsed, &f.revoked,
		&u.ID, &u.Email, &u.Handle, &u.Name, &u.Role, &u.Status, &u.CreatedAt, &u.EmailVerified, &u.FindableByEmail)
	if err != nil {
		return family{}, err
	}
	u.CreatedAt, f.sessionEnds = u.CreatedAt.UTC(), f.sessionEnds.UTC()
	err = tx.QueryRow(ctx, sqlRefreshToken, hash).Scan(&f.used, &f.tokenEnds)
	return f, err
}

// refusalReason returns why the token is refused, or nil. Reuse comes first, because that
// answer tells the owner that another client has used the token.
func (f family) refusalReason(now time.Time, idle time.Duration) error {
	switch {
	case f.used:
		return errRefreshReused
	case f.revoked || f.user.Status != StatusActive:
		return errRefreshRevoked
	case !now.Before(f.tokenEnds) || !now.Before(f.sessionEnds) || !now.Before(f.lastUsed.Add(idle)):
		return errRefreshExpired
	}
	return nil
}
