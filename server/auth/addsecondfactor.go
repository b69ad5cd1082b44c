package auth

import (
	"context"
	"encoding/base32"
	"fmt"
	"log/slog"
	"net/url"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

// NewSecondFactor is a second factor that is not confirmed yet. Formatting it does not show it.
type NewSecondFactor struct {
	Secret string // in Base32, for typing it into an app
	URI    string // otpauth://, for a QR code
}

// Format omits the secret for every verb of fmt.
func (n NewSecondFactor) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.NewSecondFactor(%s)", redacted)
}

// LogValue omits the secret from logs.
func (n NewSecondFactor) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(n)) }

const (
	sqlInsertSecondFactor = `
INSERT INTO second_factors AS f (user_id, secret, pepper_id, created_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id) DO UPDATE SET secret = $2, pepper_id = $3, created_at = $4
 WHERE f.confirmed_at IS NULL`

	sqlConfirmSecondFactor = `UPDATE second_factors SET confirmed_at = greatest(created_at, $2) WHERE user_id = $1`
	sqlInsertRecoveryCode  = `INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)`
	sqlDeleteSecondFactor  = `DELETE FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL`
)

const sqlHasSecondFactor = `
SELECT EXISTS (SELECT FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL),
       (SELECT count(*) FROM recovery_codes WHERE user_id = $1)`

// SecondFactor reports whether a user has a second factor, and how many recovery codes are left.
func (s *Service) SecondFactor(ctx context.Context, userID UserID) (enabled bool, recoveryCodes int, err error) {
	if err := s.pool.QueryRow(ctx, sqlHasSecondFactor, userID).Scan(&enabled, &recoveryCodes); err != nil {
		return false, 0, fmt.Errorf("read second factor: %w", err)
	}
	return enabled, recoveryCodes, nil
}

// AddSecondFactor makes a secret for the user's authenticator app. It is not asked for before
// ConfirmSecondFactor. A secret that was not confirmed is replaced. The error has the code
// second_factor_exists if the user has a second factor.
func (s *Service) AddSecondFactor(ctx context.Context, userID UserID, password string, client Client) (NewSecondFactor, error) {
	user, err := s.Me(ctx, userID)
	if err != nil {
		return NewSecondFactor{}, err
	}
	confirmed, err := s.confirmPassword(ctx, userID, password, secondCheck{}, client)
	if err != nil {
		return NewSecondFactor{}, err
	}
	secret, pepper := randomBytes(factorSecretBytes), s.keyring().passwords.peppers.current
	sealed, err := seal(pepper, userID, secret)
	if err == nil {
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			if err := confirmed.lockUnchanged(ctx, tx, userID); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, sqlInsertSecondFactor, userID, sealed, pepper.ID, s.now())
			if err != nil {
				return fmt.Errorf("store second factor: %w", err)
			}
			if tag.RowsAffected() == 0 {
				return &problem.Error{Code: CodeSecondFactorExists, Message: "you have a second factor: remove it before you add another one"}
			}
			return confirmed.right(ctx, tx)
		})
	}
	if err != nil {
		confirmed.failed(ctx, err)
		return NewSecondFactor{}, fmt.Errorf("add second factor: %w", err)
	}
	return newSecondFactor(secret, user.Handle), nil
}

// newSecondFactor writes the secret as authenticator apps read it
// (https://github.com/google/google-authenticator/wiki/Key-Uri-Format).
func newSecondFactor(secret []byte, handle string) NewSecondFactor {
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	uri := url.URL{Scheme: "otpauth", Host: "totp", Path: "/Kizo:@" + handle, RawQuery: url.Values{"secret": {text}, "issuer": {"Kizo"}}.Encode()}
	return NewSecondFactor{Secret: text, URI: uri.String()}
}

// ConfirmSecondFactor checks a code of the user's app. From then on codes are asked for. It returns
// the recovery codes, which cannot be read again, and ends the user's other sessions. The error has
// the code second_factor_missing if there is nothing to confirm.
func (s *Service) ConfirmSecondFactor(ctx context.Context, p Principal, code string, client Client) ([]string, error) {
	attempt, err := s.throttle.begin(ctx, "@"+p.Handle, client)
	if err != nil {
		return nil, fmt.Errorf("confirm second factor: %w", err)
	}
	counted := confirmation{attempt: attempt, service: s, user: User{ID: p.UserID, Handle: p.Handle}, client: client}
	var codes []string
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lockUser(ctx, tx, p.UserID); err != nil {
			return err
		}
		if codes, err = s.confirmSecondFactor(ctx, tx, p.UserID, code); err != nil {
			return err
		}
		if _, err := s.endSessionsFor(ctx, tx, p.UserID, p.SessionID, s.now(), "second factor added"); err != nil {
			return err
		}
		if _, err := s.stepUpSession(ctx, tx, p); err != nil {
			return err
		}
		if err := s.record(ctx, tx, EventSecondFactorAdded, p.UserID, p.SessionID, client, ""); err != nil {
			return err
		}
		return attempt.right(ctx, tx)
	})
	if err != nil {
		counted.failed(ctx, err)
		return nil, fmt.Errorf("confirm second factor: %w", err)
	}
	s.logFactor(ctx, EventSecondFactorAdded, p, client)
	s.cache.invalidate(change{"user", uuid.UUID(p.UserID)})
	s.waitForCacheExpiry()
	return codes, nil
}

func (s *Service) confirmSecondFactor(ctx context.Context, tx pgx.Tx, userID UserID, code string) ([]string, error) {
	f, err := s.readSecondFactor(ctx, tx, userID)
	if err != nil {
		return nil, err
	}
	if f == nil || f.confirmed {
		return nil, &problem.Error{Code: CodeSecondFactorMissing, Message: "there is no second factor to confirm: add one"}
	}
	step, right := f.stepOf(code, s.now())
	if !right {
		return nil, errOTPInvalid()
	}
	if err := s.acceptStep(ctx, tx, f, step); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, sqlConfirmSecondFactor, userID, s.now()); err != nil {
		return nil, fmt.Errorf("confirm second factor: %w", err)
	}
	return storeRecoveryCodes(ctx, tx, userID)
}

// storeRecoveryCodes makes the recovery codes of a user who has none.
func storeRecoveryCodes(ctx context.Context, tx pgx.Tx, userID UserID) ([]string, error) {
	codes := make([]string, recoveryCodes)
	for i := range codes {
		codes[i] = newCode(recoveryCodeLength, 4)
		hash := hashCode(codes[i])
		if _, err := tx.Exec(ctx, sqlInsertRecoveryCode, userID, hash[:]); err != nil {
			return nil, fmt.Errorf("store recovery code: %w", err)
		}
	}
	return codes, nil
}

// RemoveSecondFactor removes the second factor and the recovery codes of a user who knows the
// password and has a code of the app or a recovery code.
func (s *Service) RemoveSecondFactor(ctx context.Context, p Principal, password, otp string, client Client) error {
	confirmed, err := s.confirmPassword(ctx, p.UserID, password, secondCheck{p.SessionID, otp}, client)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := confirmed.lockUser(ctx, tx, p.UserID); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, sqlDeleteSecondFactor, p.UserID)
		if err != nil {
			return fmt.Errorf("remove second factor: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return errNoSecondFactor()
		}
		if err := s.record(ctx, tx, EventSecondFactorRemoved, p.UserID, p.SessionID, client, ""); err != nil {
			return err
		}
		return confirmed.right(ctx, tx)
	})
	if err != nil {
		confirmed.failed(ctx, err)
		return fmt.Errorf("remove second factor: %w", err)
	}
	s.logFactor(ctx, EventSecondFactorRemoved, p, client)
	s.cache.invalidate(change{"user", uuid.UUID(p.UserID)})
	s.waitForCacheExpiry()
	return nil
}

const sqlDeleteRecoveryCodes = `DELETE FROM recovery_codes WHERE user_id = $1`

// RenewRecoveryCodes replaces the recovery codes of a user who knows the password and has a recent
// second factor, or otp. It returns the new ones, which cannot be read again.
func (s *Service) RenewRecoveryCodes(ctx context.Context, p Principal, password, otp string, client Client) ([]string, error) {
	confirmed, err := s.confirmPassword(ctx, p.UserID, password, secondCheck{p.SessionID, otp}, client)
	if err != nil {
		return nil, err
	}
	var codes []string
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := confirmed.lockUser(ctx, tx, p.UserID); err != nil {
			return err
		}
		f, err := s.readSecondFactor(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		if f == nil || !f.confirmed {
			return errNoSecondFactor()
		}
		if _, err := tx.Exec(ctx, sqlDeleteRecoveryCodes, p.UserID); err != nil {
			return fmt.Errorf("delete recovery codes: %w", err)
		}
		if codes, err = storeRecoveryCodes(ctx, tx, p.UserID); err != nil {
			return err
		}
		if err := s.record(ctx, tx, EventSecondFactorAdded, p.UserID, p.SessionID, client, "new recovery codes"); err != nil {
			return err
		}
		return confirmed.right(ctx, tx)
	})
	if err != nil {
		confirmed.failed(ctx, err)
		return nil, fmt.Errorf("renew recovery codes: %w", err)
	}
	s.logFactor(ctx, EventSecondFactorAdded, p, client)
	return codes, nil
}

func (s *Service) logFactor(ctx context.Context, event SecurityEvent, p Principal, client Client) {
	s.events.write(ctx, event, append([]slog.Attr{slog.String("user", p.Handle)}, clientAttrs(client)...)...)
}
