package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

// ResetPasswordInput is a new password of a user who has a reset code. Formatting it shows neither.
type ResetPasswordInput struct {
	Login  string // handle (with or without the @) or verified e-mail address
	Code   string // as typed: case, spaces and dashes do not matter
	New    string
	Client Client
}

// Format omits code and password for every verb of fmt.
func (in ResetPasswordInput) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.ResetPasswordInput(code and password %s)", redacted)
}

// LogValue omits code and password from logs.
func (in ResetPasswordInput) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(in)) }

const (
	sqlResettableUser = `
SELECT ` + userColumns + `
  FROM users u
 WHERE (email = nullif($1, '') AND email_verified_at IS NOT NULL OR handle = nullif($2, ''))
   AND ` + isKnown + `
 LIMIT 1`

	sqlLockResetCode = `
SELECT code_hash, expires_at, failures FROM reset_codes
 WHERE user_id = $1
   FOR UPDATE`

	// The commit is asynchronous, so that a wrong code takes as long as an unknown user.
	sqlCountResetFailure = `
UPDATE reset_codes SET failures = failures + 1 WHERE user_id = $1
RETURNING ` + commitAsync
	sqlUseResetCode = `DELETE FROM reset_codes WHERE user_id = $1`
)

func errResetCode() *problem.Error {
	return &problem.Error{Code: CodeResetCodeInvalid, Message: "the login or the code is wrong, or the code has expired"}
}

// ResetPassword gives a user who has a reset code another password. The code works once.
//
// An attempt is counted and throttled like a log-in, and a code is void after five wrong ones. An
// unknown user, a user without a code and a wrong code get the same error after the same work.
func (s *Service) ResetPassword(ctx context.Context, in ResetPasswordInput) error {
	if err := checkNewPassword(in.New, User{}); err != nil {
		return err
	}
	ticket, err := s.hashQueue.enter()
	if err != nil {
		return err
	}
	defer ticket.leave()
	attempt, err := s.throttle.begin(ctx, in.Login, in.Client)
	if err != nil {
		s.logSignIn(ctx, User{}, in.Login, in.Client, err)
		return fmt.Errorf("reset password: %w", err)
	}
	user, err := s.resetPassword(ctx, ticket, attempt, in)
	switch {
	case problem.CodeOf(err) == CodeResetCodeInvalid:
		if failed := s.wrong(ctx, attempt, in.Login, in.Client); failed != nil {
			return failed
		}
		s.logSignIn(ctx, user, in.Login, in.Client, errInvalidCredentials())
		return err
	case err != nil:
		attempt.giveBack(ctx)
		return fmt.Errorf("reset password: %w", err)
	}
	s.events.write(ctx, EventPasswordChanged, append([]slog.Attr{slog.String("user", user.Handle)}, clientAttrs(in.Client)...)...)
	s.waitForCacheExpiry()
	return nil
}

// resetPassword hashes the new password before it looks at the code, and makes the same queries for
// an unknown user, so that the time does not tell whether the user exists or has a code.
func (s *Service) resetPassword(ctx context.Context, t *ticket, counted attempt, in ResetPasswordInput) (User, error) {
	l := parseLogin(in.Login)
	user, err := s.oneUser(ctx, "find the user", sqlResettableUser, l.email, l.handle, counted.known.bytes())
	if err != nil && problem.CodeOf(err) != CodeUserNotFound {
		return User{}, err
	}
	stored, err := s.keyring().passwords.hash(ctx, t, user.Email, in.New)
	if err != nil {
		return User{}, err
	}
	valid := false
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if valid, err = s.checkResetCode(ctx, tx, user.ID, in.Code); err != nil || !valid {
			return err // nil commits the count of failures
		}
		if err := checkNewPassword(in.New, user); err != nil {
			return err
		}
		if _, err := s.storePassword(ctx, tx, user.ID, uuid.Nil, stored); err != nil {
			return err
		}
		if err := s.record(ctx, tx, EventPasswordChanged, user.ID, uuid.Nil, in.Client, "with a reset code"); err != nil {
			return err
		}
		return counted.right(ctx, tx)
	})
	if err == nil && !valid {
		err = errResetCode()
	}
	return user, err
}

// checkResetCode uses up the code if it is right, and counts a failure otherwise. It locks the row
// of the user until tx ends.
func (s *Service) checkResetCode(ctx context.Context, tx pgx.Tx, userID UserID, code string) (bool, error) {
	var (
		status   Status
		hash     []byte
		expires  time.Time
		failures int
		given    = hashCode(code)
	)
	err := tx.QueryRow(ctx, sqlLockConfirmedUser, userID).Scan(&status, nil)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) { // an unknown user has no code either
		return false, fmt.Errorf("lock the user: %w", err)
	}
	err = tx.QueryRow(ctx, sqlLockResetCode, userID).Scan(&hash, &expires, &failures)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the reset code: %w", err)
	case failures >= maxResetFailures || !s.now().Before(expires):
		return false, nil
	case subtle.ConstantTimeCompare(hash, given[:]) == 0:
		if _, err := tx.Exec(ctx, sqlCountResetFailure, userID); err != nil {
			return false, fmt.Errorf("count a wrong reset code: %w", err)
		}
		return false, nil
	case status != StatusActive:
		return false, errSuspended()
	}
	if _, err := tx.Exec(ctx, sqlUseResetCode, userID); err != nil {
		return false, fmt.Errorf("use the reset code: %w", err)
	}
	return true, nil
}
