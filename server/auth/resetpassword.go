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

// ResetPasswordInput is a new password of a user who has a code: one of an operator, or a mailed
// one. Formatting it shows neither.
type ResetPasswordInput struct {
	Login  string // handle (with or without the @) or verified e-mail address
	Code   string // as typed: case, spaces and dashes do not matter
	OTP    string // of the second factor, if the user has one and the code was mailed
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
 WHERE (email = nullif($1, '') AND email_verified_at IS NOT NULL OR handle = nullif($2, '')) AND status <> 'closed'
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
// A mailed code is half of a log-in: the user's second factor is required as well (otp_required,
// otp_invalid). A code of an operator is for users who may have lost that, too.
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
	switch problem.CodeOf(err) {
	case CodeResetCodeInvalid, CodeOTPInvalid:
		if failed := s.wrong(ctx, attempt, in.Login, in.Client); failed != nil {
			return failed
		}
		s.logSignIn(ctx, user, in.Login, in.Client, errInvalidCredentials())
		return err
	}
	if err != nil {
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
	var refused error // the count of failures commits
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		how, denied, err := s.checkCode(ctx, tx, user.ID, in)
		if err != nil || denied != nil {
			refused = denied
			return err
		}
		if err := checkNewPassword(in.New, user); err != nil {
			return err
		}
		if _, err := s.storePassword(ctx, tx, user.ID, uuid.Nil, stored); err != nil {
			return err
		}
		if err := s.record(ctx, tx, EventPasswordChanged, user.ID, uuid.Nil, in.Client, how); err != nil {
			return err
		}
		return counted.right(ctx, tx)
	})
	if err == nil {
		err = refused
	}
	return user, err
}

// checkCode uses up the code if it is right, and counts a failure otherwise, which the caller must
// commit. It locks the row of the user until tx ends. denied is what to answer the user; how is a
// note for the user's events. The two kinds of codes differ in their lengths.
func (s *Service) checkCode(ctx context.Context, tx pgx.Tx, userID UserID, in ResetPasswordInput) (how string, denied, err error) {
	var status Status
	err = tx.QueryRow(ctx, sqlLockConfirmedUser, userID).Scan(&status, nil)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) { // an unknown user has no code either
		return "", nil, fmt.Errorf("lock the user: %w", err)
	}
	mailed := len(asTyped.Replace(in.Code)) == mailedCodeLength
	var right bool
	if mailed {
		right, err = s.checkMailedCode(ctx, tx, userID, codeForReset, in.Code)
	} else {
		right, err = s.checkResetCode(ctx, tx, userID, in.Code)
	}
	switch {
	case err != nil:
		return "", nil, err
	case !right:
		return "", errResetCode(), nil
	case status != StatusActive:
		return "", errSuspended(), nil
	case !mailed:
		_, err = tx.Exec(ctx, sqlUseResetCode, userID)
		return "with a reset code", nil, err
	}
	_, err = s.checkSecondFactor(ctx, tx, userID, in.OTP, in.Client)
	switch problem.CodeOf(err) {
	case CodeOTPRequired:
		return "", err, nil
	case CodeOTPInvalid:
		return "", err, s.countCodeFailure(ctx, tx, userID, codeForReset)
	}
	if err != nil {
		return "", nil, err
	}
	return "with a mailed code", nil, s.useMailedCode(ctx, tx, userID, codeForReset)
}

// checkResetCode compares a code of an operator, and counts a failure.
func (s *Service) checkResetCode(ctx context.Context, tx pgx.Tx, userID UserID, code string) (bool, error) {
	var (
		hash     []byte
		expires  time.Time
		failures int
		given    = hashCode(code)
	)
	err := tx.QueryRow(ctx, sqlLockResetCode, userID).Scan(&hash, &expires, &failures)
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
	}
	return true, nil
}
