package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp/hotp"

	"github.com/JDevAman/kizo/server/problem"
)

// A second factor is a secret that a user's authenticator app shares with Kizo. The app shows a new
// code every 30 seconds (TOTP, RFC 6238: SHA-1, six digits). Each code is accepted once, and for
// one step before and after its own. A user who has lost the app uses one of ten recovery codes.
//
//	AddSecondFactor ─► secret, not asked for yet ─► ConfirmSecondFactor (code) ─► recovery codes
//	                                                        │
//	  LogIn: password, and then a code of the app or a recovery code
//	  StepUp (stepup.go): a code, before what a stolen session must not do
//	                                                        │
//	RemoveSecondFactor (password, code) ◄───────────────────┘
//
// The secret is stored under AES-256-GCM with a key from the pepper, so that a stolen database does
// not contain it. A wrong code counts as a failed log-in.
const (
	factorSecretBytes = 20 // as RFC 4226 recommends
	factorStep        = 30 * time.Second
	factorDigits      = 6
	factorDrift       = 1 // steps before and after the current one

	recoveryCodes      = 10
	recoveryCodeLength = 16 // characters of Base32: 80 random bits
)

const (
	// The row of the user is locked first, as a change of the password locks them. A user without a
	// second factor is not locked.
	sqlSecondFactor = `
WITH owner AS MATERIALIZED (
     SELECT id FROM users
      WHERE id = $1 AND EXISTS (SELECT FROM second_factors WHERE user_id = $1)
        FOR SHARE)
SELECT secret, pepper_id, confirmed_at IS NOT NULL, last_step
  FROM owner JOIN second_factors f ON f.user_id = owner.id
   FOR UPDATE OF f`

	sqlAcceptStep = `UPDATE second_factors SET last_step = $2, secret = $3, pepper_id = $4 WHERE user_id = $1`

	sqlUseRecoveryCode = `DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2`

	sqlCountRecoveryCodes = `SELECT count(*) FROM recovery_codes WHERE user_id = $1`
)

// secondFactor is a row of second_factors, which is locked.
type secondFactor struct {
	userID    UserID
	secret    []byte
	confirmed bool
	lastStep  int64
}

// readSecondFactor returns the second factor of a user, or nil if there is none, and locks the user
// and it until tx ends.
func (s *Service) readSecondFactor(ctx context.Context, tx pgx.Tx, userID UserID) (*secondFactor, error) {
	var (
		f      = secondFactor{userID: userID}
		sealed []byte
		pepper string
	)
	err := tx.QueryRow(ctx, sqlSecondFactor, userID).Scan(&sealed, &pepper, &f.confirmed, &f.lastStep)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read second factor: %w", err)
	}
	key, known := s.keyring().passwords.peppers.byID(pepper)
	if !known {
		return nil, fmt.Errorf("pepper %q of a second factor is missing from the secrets", pepper)
	}
	if f.secret, err = unseal(key, userID, sealed); err != nil {
		return nil, fmt.Errorf("unseal second factor: %w", err)
	}
	return &f, nil
}

// checkSecondFactor refuses if the user has a second factor and code is not right for it. It
// reports whether there is one. It uses the code up, in the transaction of what the code is for. An
// empty code is refused with otp_required.
func (s *Service) checkSecondFactor(ctx context.Context, tx pgx.Tx, userID UserID, code string, client Client) (checked bool, err error) {
	f, err := s.readSecondFactor(ctx, tx, userID)
	switch {
	case err != nil:
		return false, err
	case f == nil || !f.confirmed:
		return false, nil
	case code == "":
		return false, errOTPRequired()
	}
	return true, s.useCode(ctx, tx, f, code, client)
}

// useCode refuses if code is neither a code of the app nor a recovery code. It uses the code up.
func (s *Service) useCode(ctx context.Context, tx pgx.Tx, f *secondFactor, code string, client Client) error {
	if step, right := f.stepOf(code, s.now()); right {
		return s.acceptStep(ctx, tx, f, step)
	}
	hash := hashCode(code)
	tag, err := tx.Exec(ctx, sqlUseRecoveryCode, f.userID, hash[:])
	if err != nil {
		return fmt.Errorf("use recovery code: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return errOTPInvalid()
	}
	var left int
	if err := tx.QueryRow(ctx, sqlCountRecoveryCodes, f.userID).Scan(&left); err != nil {
		return fmt.Errorf("count recovery codes: %w", err)
	}
	return s.record(ctx, tx, EventRecoveryCodeUsed, f.userID, uuid.Nil, client, fmt.Sprintf("%d left", left))
}

// stepOf returns the step of a code that is right now and was not accepted before.
func (f *secondFactor) stepOf(code string, now time.Time) (step int64, right bool) {
	code = strings.ReplaceAll(code, " ", "") // as apps show it
	if len(code) != factorDigits {
		return 0, false
	}
	current := now.Unix() / int64(factorStep.Seconds())
	secret := base32.StdEncoding.EncodeToString(f.secret)
	for at := current - factorDrift; at <= current+factorDrift; at++ {
		want, err := hotp.GenerateCode(secret, uint64(at))
		if err == nil && subtle.ConstantTimeCompare([]byte(code), []byte(want)) == 1 && at > f.lastStep {
			step, right = at, true
		}
	}
	return step, right
}

// acceptStep records that the code of a step was used, and seals the secret under the current
// pepper.
func (s *Service) acceptStep(ctx context.Context, tx pgx.Tx, f *secondFactor, step int64) error {
	pepper := s.keyring().passwords.peppers.current
	sealed, err := seal(pepper, f.userID, f.secret)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, sqlAcceptStep, f.userID, step, sealed, pepper.ID); err != nil {
		return fmt.Errorf("accept second factor: %w", err)
	}
	return nil
}

// seal encrypts the secret of a user. The user's id is authenticated, so that a secret that is
// copied to another row cannot be opened there.
func seal(pepper Pepper, userID UserID, secret []byte) ([]byte, error) {
	box, err := sealer(pepper)
	if err != nil {
		return nil, err
	}
	nonce := randomBytes(box.NonceSize())
	return box.Seal(nonce, nonce, secret, userID[:]), nil
}

func unseal(pepper Pepper, userID UserID, sealed []byte) ([]byte, error) {
	box, err := sealer(pepper)
	if err != nil {
		return nil, err
	}
	if len(sealed) < box.NonceSize() {
		return nil, errors.New("it is too short")
	}
	return box.Open(nil, sealed[:box.NonceSize()], sealed[box.NonceSize():], userID[:])
}

func sealer(pepper Pepper) (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, pepper.Key.Reveal())
	mac.Write([]byte("kizo second factor"))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func errOTPRequired() *problem.Error {
	return &problem.Error{Code: CodeOTPRequired, Message: "a code of your authenticator app is required as well, or a recovery code", Field: "otp"}
}

func errNoSecondFactor() *problem.Error {
	return &problem.Error{Code: CodeSecondFactorMissing, Message: "you have no second factor"}
}

func errOTPInvalid() *problem.Error {
	return &problem.Error{Code: CodeOTPInvalid, Message: "this code is wrong, too old, or was used before: wait for the next one of the app, or use a recovery code", Field: "otp"}
}
