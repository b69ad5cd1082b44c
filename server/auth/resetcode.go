package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/server/problem"
)

const (
	resetCodeLength = 20 // characters: 100 random bits
	resetCodeGroup  = 5

	// MaxResetCodeLife is how long a reset code is valid at most.
	MaxResetCodeLife = 7 * 24 * time.Hour

	maxResetFailures = 5 // of one code; a CHECK constraint allows the same number
)

// unusablePassword is a hash that no password has.
func unusablePassword() string {
	return phc{params: DefaultArgon2Params(), salt: randomBytes(saltBytes), digest: randomBytes(digestBytes)}.String()
}

const (
	// A user who has not verified an address is found by handle only.
	sqlUserToReset = `
SELECT ` + userColumns + `
  FROM users
 WHERE (email = nullif($1, '') AND email_verified_at IS NOT NULL OR handle = nullif($2, '')) AND status <> 'closed'
   FOR NO KEY UPDATE`

	sqlTakePassword = `
UPDATE users SET password_hash = $2, updated_at = greatest(updated_at, $3),
       password_changed_at = greatest($3, created_at, password_changed_at + interval '1 microsecond')
 WHERE id = $1`

	sqlInsertResetCode = `
INSERT INTO reset_codes (user_id, code_hash, created_at, expires_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id) DO UPDATE SET code_hash = $2, created_at = $3, expires_at = $4, failures = 0`
)

// ResetCode is a code that an operator gives to a user.
type ResetCode struct {
	Code          string
	Handle        string // of the user
	ExpiresAt     time.Time
	SessionsEnded int
	APIKeys       int // that are not revoked: they stay valid
}

// IssueResetCode ends the password and all sessions of a user, who must choose another password
// with the code. An earlier code of the user is no longer valid. The pool must be connected as the
// owner of the tables: kizo_app may not issue codes.
//
// The change is recorded for the user, and with the reason among the actions of operators.
func (s *Service) IssueResetCode(ctx context.Context, identifier string, life time.Duration, reason string) (ResetCode, error) {
	reset, err := s.issueResetCode(ctx, identifier, life, "password.reset", reason, nil)
	if err == nil {
		s.events.write(ctx, EventPasswordChanged, slog.String("user", reset.Handle), slog.String("reason", EventText(reason)))
		s.waitForCacheExpiry()
	}
	return reset, err
}

// RemoveLostSecondFactor is IssueResetCode for a user who has lost the app and the recovery codes:
// it removes them too, in the same transaction. The error has the code second_factor_missing if the
// user has none.
func (s *Service) RemoveLostSecondFactor(ctx context.Context, identifier string, life time.Duration, reason string) (ResetCode, error) {
	reset, err := s.issueResetCode(ctx, identifier, life, "second_factor.remove", reason, func(tx pgx.Tx, userID UserID) error {
		tag, err := tx.Exec(ctx, sqlDeleteSecondFactor, userID)
		if err != nil {
			return fmt.Errorf("remove second factor: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return &problem.Error{Code: CodeSecondFactorMissing, Message: "this user has no second factor"}
		}
		return s.record(ctx, tx, EventSecondFactorRemoved, userID, uuid.Nil, Client{}, "by an operator")
	})
	if err == nil {
		s.events.write(ctx, EventSecondFactorRemoved, slog.String("user", reset.Handle), slog.String("reason", EventText(reason)))
		s.waitForCacheExpiry()
	}
	return reset, err
}

// issueResetCode does both, and also in the transaction, with the row of the user locked.
func (s *Service) issueResetCode(ctx context.Context, identifier string, life time.Duration, action, reason string, also func(pgx.Tx, UserID) error) (ResetCode, error) {
	if life < time.Minute || life > MaxResetCodeLife {
		return ResetCode{}, fmt.Errorf("auth: a reset code is valid for a minute to %v", MaxResetCodeLife)
	}
	var (
		l     = parseLogin(identifier)
		now   = s.now()
		reset = ResetCode{ExpiresAt: now.Add(life)}
		hash  [sha256.Size]byte
	)
	reset.Code = newCode(resetCodeLength, resetCodeGroup)
	hash = hashCode(reset.Code)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		user, err := oneUser(ctx, tx, "find the user", sqlUserToReset, l.email, l.handle)
		if err != nil {
			return err
		}
		reset.Handle = user.Handle
		if also != nil {
			if err := also(tx, user.ID); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, sqlTakePassword, user.ID, unusablePassword(), now); err != nil {
			return fmt.Errorf("end the password: %w", err)
		}
		if _, err := tx.Exec(ctx, sqlInsertResetCode, user.ID, hash[:], now, reset.ExpiresAt); err != nil {
			return fmt.Errorf("store the reset code: %w", err)
		}
		ended, err := s.endSessionsFor(ctx, tx, user.ID, uuid.Nil, now, "password changed")
		if err != nil {
			return err
		}
		reset.SessionsEnded, reset.APIKeys = ended.SessionsEnded, ended.APIKeys
		if _, err := tx.Exec(ctx, sqlRecordAction, UserID{}, action, user.Handle, text.Clean(reason, 500)); err != nil {
			return fmt.Errorf("record the action: %w", err)
		}
		return s.record(ctx, tx, EventPasswordChanged, user.ID, uuid.Nil, Client{}, "ended by an operator, who issued a reset code")
	})
	if err != nil {
		return ResetCode{}, err
	}
	return reset, nil
}

// Format omits the code for every verb of fmt.
func (c ResetCode) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.ResetCode(@%s, %s)", c.Handle, redacted)
}

// LogValue omits the code from logs.
func (c ResetCode) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }
