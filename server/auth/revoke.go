package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/problem"
)

// Reasons why a session was revoked; a CHECK constraint of the table allows the same four.
const (
	revokedLogout    = "logout"
	revokedByUser    = "revoked" // or by an operator
	revokedReused    = "reused"
	revokedSuspended = "suspended"
)

const sqlRevokeSession = `
UPDATE sessions SET revoked_at = $2, revoked_reason = $3
 WHERE id = $1 AND revoked_at IS NULL`

// A session is revoked and the event recorded in one statement.
const (
	sqlLogOut = `
WITH ended AS (` + sqlRevokeSession + `
RETURNING id, user_id, address, client
)
INSERT INTO security_events (at, user_id, event, session_id, address, client)
SELECT $2, user_id, 'signed_out', id, address, client FROM ended`

	sqlRevokeOwnSessionAndRecord = `
WITH ended AS (` + sqlRevokeOwnSession + `
RETURNING id, user_id, address, client
)
INSERT INTO security_events (at, user_id, event, session_id, address, client)
SELECT $3, user_id, 'session_revoked', id, address, client FROM ended`
)

// LogOut revokes a session. It returns after the lease, when no process accepts the access
// token or the refresh token of the session any more. Revoking a session that has ended is
// not an error.
func (s *Service) LogOut(ctx context.Context, sessionID uuid.UUID) error {
	_ = failpoint.Point("auth.before_logout")
	if _, err := s.pool.Exec(ctx, sqlLogOut, sessionID, s.now(), revokedLogout); err != nil {
		return fmt.Errorf("log out: %w", err)
	}
	s.events.write(ctx, EventSignedOut, slog.String("session", sessionID.String()))
	s.waitForCacheExpiry()
	_ = failpoint.Point("auth.logged_out")
	return nil
}

const sqlRevokeOwnSession = `
UPDATE sessions SET revoked_at = $3, revoked_reason = $4
 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3`

// RevokeSession revokes an open session of the user, like LogOut. For a session of another
// user, as for an unknown one, the error has the code session_not_found.
func (s *Service) RevokeSession(ctx context.Context, userID UserID, sessionID uuid.UUID) error {
	tag, err := s.pool.Exec(ctx, sqlRevokeOwnSessionAndRecord, sessionID, userID, s.now(), revokedByUser)
	if err != nil {
		return fmt.Errorf("revoke session: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return &problem.Error{Code: CodeSessionNotFound, Message: "you have no such session"}
	}
	s.events.write(ctx, EventSessionRevoked, slog.String("session", sessionID.String()))
	s.waitForCacheExpiry()
	return nil
}

const (
	sqlSetStatus = `
UPDATE users SET status = $2, status_reason = $3, updated_at = greatest(updated_at, $4)
 WHERE id = $1 AND status <> 'closed'`

	sqlRevokeSessions = `
UPDATE sessions SET revoked_at = $2, revoked_reason = $3
 WHERE user_id = $1 AND revoked_at IS NULL`
)

// Suspend revokes all sessions of a user, who cannot log in until Reinstate. It returns after
// the lease. The reason is stored for operators.
func (s *Service) Suspend(ctx context.Context, userID UserID, reason string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		now := s.now()
		// The row of the user first: a transaction that opens a session holds it FOR
		// SHARE, so the second statement sees every session of the user.
		if err := setStatus(ctx, tx, userID, StatusSuspended, reason, now); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlRevokeSessions, userID, now, revokedSuspended); err != nil {
			return fmt.Errorf("revoke sessions: %w", err)
		}
		return s.record(ctx, tx, EventSuspended, userID, uuid.Nil, Client{}, "")
	})
	if err == nil {
		s.events.write(ctx, EventSuspended, slog.String("user_id", userID.String()))
		s.waitForCacheExpiry()
	}
	return err
}

const (
	sqlLockUser = `SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE`

	sqlEndSessions = `
WITH ended AS (
UPDATE sessions SET revoked_at = $2, revoked_reason = $3
 WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
RETURNING id, user_id, address, client
)
INSERT INTO security_events (at, user_id, event, session_id, address, client, detail)
SELECT $2, user_id, 'session_revoked', id, address, client, 'by an operator' FROM ended`
)

// EndSessions revokes all sessions of a user, who may log in again. It returns after the
// lease, when no process accepts their tokens any more.
func (s *Service) EndSessions(ctx context.Context, userID UserID) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// A transaction that opens a session holds the row of the user FOR SHARE, so the
		// second statement sees every session that was opened before.
		if err := lockUser(ctx, tx, userID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlEndSessions, userID, s.now(), revokedByUser); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		return nil
	})
	if err == nil {
		s.events.write(ctx, EventSessionRevoked, slog.String("user_id", userID.String()), slog.String("session", "all"))
		s.waitForCacheExpiry()
	}
	return err
}

// EndOtherSessions revokes all sessions of a user except one, and returns their ids. It returns
// after the lease, when no process accepts their tokens any more.
func (s *Service) EndOtherSessions(ctx context.Context, userID UserID, keep uuid.UUID) (ended []uuid.UUID, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// As in EndSessions, no session that was opened before is missed.
		if err := lockUser(ctx, tx, userID); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, sqlEndOtherSessions, userID, keep, s.now(), revokedByUser, "with all others")
		if err == nil {
			ended, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		}
		if err != nil {
			return fmt.Errorf("end other sessions: %w", err)
		}
		return nil
	})
	if err == nil && len(ended) > 0 {
		s.events.write(ctx, EventSessionRevoked, slog.String("user_id", userID.String()), slog.String("session", "all others"))
		s.waitForCacheExpiry()
	}
	return ended, err
}

// lockUser locks the row of a user until tx ends.
func lockUser(ctx context.Context, tx pgx.Tx, userID UserID) error {
	var id uuid.UUID
	err := tx.QueryRow(ctx, sqlLockUser, userID).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return errUserNotFound()
	}
	if err != nil {
		return fmt.Errorf("lock the user: %w", err)
	}
	return nil
}

// Reinstate lets a suspended user log in again. Their earlier sessions stay revoked.
func (s *Service) Reinstate(ctx context.Context, userID UserID, reason string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := setStatus(ctx, tx, userID, StatusActive, reason, s.now()); err != nil {
			return err
		}
		return s.record(ctx, tx, EventReinstated, userID, uuid.Nil, Client{}, "")
	})
	if err == nil {
		s.events.write(ctx, EventReinstated, slog.String("user_id", userID.String()))
	}
	return err
}

func setStatus(ctx context.Context, tx pgx.Tx, userID UserID, status Status, reason string, now time.Time) error {
	tag, err := tx.Exec(ctx, sqlSetStatus, userID, status, text.Clean(reason, maxReasonRunes), now)
	if err != nil {
		return fmt.Errorf("set user %s: %w", status, err)
	}
	if tag.RowsAffected() == 0 {
		return errUserNotFound()
	}
	return nil
}
