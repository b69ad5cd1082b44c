package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

// ChangePasswordInput asks for another password. Formatting it does not show the passwords.
type ChangePasswordInput struct {
	SessionID uuid.UUID // the session of the request, which stays open
	Current   string
	OTP       string // of the second factor; not needed within a step-up of the session
	New       string
	Client    Client
}

// Format omits the passwords for every verb of fmt.
func (in ChangePasswordInput) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.ChangePasswordInput(session %s, passwords %s)", in.SessionID, redacted)
}

// LogValue omits the passwords from logs.
func (in ChangePasswordInput) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(in)) }

// PasswordChange is what a change of a password did.
type PasswordChange struct {
	SessionsEnded int // all but that of the request
	APIKeys       int // that are not revoked: they stay valid
}

const (
	// Each change has a time of its own, by which a log-in with the earlier password is recognized.
	sqlChangePassword = `
UPDATE users SET password_hash = $2, pepper_id = $3, updated_at = greatest(updated_at, $4),
       password_changed_at = greatest($4, created_at, password_changed_at + interval '1 microsecond')
 WHERE id = $1`

	sqlEndOtherSessions = `
WITH ended AS (
UPDATE sessions SET revoked_at = $3, revoked_reason = $4
 WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL AND expires_at > $3
RETURNING id, user_id, address, client
)
INSERT INTO security_events (at, user_id, event, session_id, address, client, detail)
SELECT $3, user_id, 'session_revoked', id, address, client, $5 FROM ended
RETURNING session_id`
)

// ChangePassword replaces the password of a user who knows the current one, and ends all sessions
// but that of the request, which loses its step-up. A log-in or a new API key that is on its way
// with the earlier password is refused. It returns after the lease, when no process accepts a token
// of an ended session.
//
// The current password is compared, counted and throttled as in a log-in. The new one follows the
// rules of SignUp, and must differ from the current one (password_unchanged).
func (s *Service) ChangePassword(ctx context.Context, userID UserID, in ChangePasswordInput) (PasswordChange, error) {
	user, err := s.Me(ctx, userID)
	if err != nil {
		return PasswordChange{}, err
	}
	if err := checkNewPassword(in.New, user); err != nil {
		return PasswordChange{}, err
	}
	if in.New == in.Current {
		return PasswordChange{}, &problem.Error{Code: CodePasswordUnchanged, Message: "the new password is the current one", Field: "new_password"}
	}
	confirmed, err := s.confirmPassword(ctx, userID, in.Current, secondCheck{in.SessionID, in.OTP}, in.Client)
	if err != nil {
		return PasswordChange{}, err
	}
	stored, err := s.hashNew(ctx, user.Email, in.New)
	if err != nil {
		confirmed.giveBack(ctx)
		return PasswordChange{}, fmt.Errorf("change password: %w", err)
	}
	var changed PasswordChange
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if err := confirmed.lockUser(ctx, tx, userID); err != nil {
			return err
		}
		if changed, err = s.storePassword(ctx, tx, userID, in.SessionID, stored); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlForgetStepUp, in.SessionID); err != nil {
			return fmt.Errorf("end the step-up: %w", err)
		}
		if err := s.record(ctx, tx, EventPasswordChanged, userID, in.SessionID, in.Client, ""); err != nil {
			return err
		}
		return confirmed.right(ctx, tx)
	})
	if err != nil {
		confirmed.failed(ctx, err)
		return PasswordChange{}, fmt.Errorf("change password: %w", err)
	}
	s.events.write(ctx, EventPasswordChanged, append([]slog.Attr{slog.String("user", user.Handle)}, clientAttrs(in.Client)...)...)
	s.waitForCacheExpiry()
	return changed, nil
}

// checkNewPassword applies the rules of a sign-up. Its error names the field new_password.
func checkNewPassword(password string, user User) error {
	err := checkPassword(password)
	if err == nil {
		err = checkPasswordStrength(password, user)
	}
	if refused, ok := errors.AsType[*problem.Error](err); ok {
		refused.Field = "new_password"
		return refused
	}
	return err
}

// storePassword replaces the password and ends the sessions of a user whose row is locked, except
// the session keep.
func (s *Service) storePassword(ctx context.Context, tx pgx.Tx, userID UserID, keep uuid.UUID, stored storedPassword) (PasswordChange, error) {
	now := s.now()
	if _, err := tx.Exec(ctx, sqlChangePassword, userID, stored.phc, stored.pepperID, now); err != nil {
		return PasswordChange{}, fmt.Errorf("store the password: %w", err)
	}
	return s.endSessionsFor(ctx, tx, userID, keep, now, "password changed")
}

// endSessionsFor ends the sessions of a user whose row is locked, for a reason, except the session
// keep. A transaction that opens a session holds the row of the user FOR SHARE,
// so no session that was opened before is missed.
func (s *Service) endSessionsFor(ctx context.Context, tx pgx.Tx, userID UserID, keep uuid.UUID, now time.Time, reason string) (PasswordChange, error) {
	tag, err := tx.Exec(ctx, sqlEndOtherSessions, userID, keep, now, revokedByUser, reason)
	if err != nil {
		return PasswordChange{}, fmt.Errorf("end sessions: %w", err)
	}
	changed := PasswordChange{SessionsEnded: int(tag.RowsAffected())}
	if err := tx.QueryRow(ctx, sqlCountAPIKeys, userID).Scan(&changed.APIKeys); err != nil {
		return PasswordChange{}, fmt.Errorf("count API keys: %w", err)
	}
	return changed, nil
}
