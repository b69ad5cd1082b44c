package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// codePurpose is what a mailed code is for. A code for one purpose is none for another.
type codePurpose string

const (
	codeForReset codePurpose = "password_reset"
)

// A mailed code is short, because a person types it: it is valid for a short time and a few
// attempts, and only the mail contains it.
const (
	mailedCodeLength = 8 // characters: 40 random bits
	mailedCodeGroup  = 4
	mailedCodeLife   = 10 * time.Minute

	maxCodeFailures = 5 // of one code; a CHECK constraint allows the same number

	// maxMailedCodes limits the codes of one user and purpose in an hour, and so the guesses: 5 × 5
	// of 2^40.
	maxMailedCodes = 5
	countCodesFor  = time.Hour
)

// MailedCode is a code, and the address to which it must be sent. It is zero if there is nothing to
// send. Formatting it does not show the code.
type MailedCode struct {
	Code          string
	Email, Handle string
}

// Format omits the code for every verb of fmt.
func (c MailedCode) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.MailedCode(@%s, %s)", c.Handle, redacted)
}

// LogValue omits the code from logs.
func (c MailedCode) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

const (
	// The first code of a request counts; one that is made again for a repeated attempt to send it
	// does not. An older request than the last one, and one above the limit, gets no row.
	sqlMakeCode = `
INSERT INTO mailed_codes AS m (user_id, purpose, request_id, email, code_hash, expires_at, counted_at, codes)
VALUES ($1, $2, $3, $4, $5, $6, $7, 1)
ON CONFLICT (user_id, purpose) DO UPDATE SET request_id = excluded.request_id, email = excluded.email, code_hash = excluded.code_hash,
       expires_at = excluded.expires_at, failures = 0,
       counted_at = CASE WHEN m.counted_at <= $8 THEN excluded.counted_at ELSE m.counted_at END,
       codes = CASE WHEN m.counted_at <= $8 THEN 1 WHEN m.request_id = excluded.request_id THEN m.codes ELSE m.codes + 1 END
 WHERE m.request_id = excluded.request_id AND m.code_hash IS NOT NULL
    OR m.request_id < excluded.request_id AND (m.counted_at <= $8 OR m.codes < $9)
RETURNING (SELECT m.request_id FROM mailed_codes m WHERE m.user_id = $1 AND m.purpose = $2) IS NOT DISTINCT FROM $3 -- before`

	sqlLockMailedCode = `
SELECT code_hash, failures FROM mailed_codes
 WHERE user_id = $1 AND purpose = $2 AND expires_at > $3 AND code_hash IS NOT NULL
   FOR UPDATE`

	// The commit is asynchronous, so that a wrong code takes as long as an unknown user.
	sqlCountCodeFailure = `
UPDATE mailed_codes SET failures = failures + 1 WHERE user_id = $1 AND purpose = $2
RETURNING ` + commitAsync

	sqlUseMailedCode = `UPDATE mailed_codes SET code_hash = NULL WHERE user_id = $1 AND purpose = $2`
)

// mailedCodeHash binds a code to its user and purpose. The pepper keeps a stolen database from
// revealing the codes that are valid.
func mailedCodeHash(pepper Pepper, userID UserID, purpose codePurpose, code string) []byte {
	typed := hashCode(code)
	mac := hmac.New(sha256.New, pepper.Key.Reveal())
	fmt.Fprintf(mac, "kizo mailed code\x00%s\x00%s\x00", purpose, userID)
	mac.Write(typed[:])
	return mac.Sum(nil)
}

// makeCode makes the only valid code of a user for a purpose. It returns no code if the user has
// had too many in the last hour, or a later request has had one. It reports whether the same
// request has had a code before.
func (s *Service) makeCode(ctx context.Context, tx pgx.Tx, user User, purpose codePurpose, request uuid.UUID, email string) (made MailedCode, again bool, err error) {
	made = MailedCode{Code: newCode(mailedCodeLength, mailedCodeGroup), Email: email, Handle: user.Handle}
	var (
		now  = s.now()
		hash = mailedCodeHash(s.keyring().passwords.peppers.current, user.ID, purpose, made.Code)
	)
	err = tx.QueryRow(ctx, sqlMakeCode, user.ID, purpose, request, email, hash, now.Add(mailedCodeLife), now, now.Add(-countCodesFor), maxMailedCodes).Scan(&again)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return MailedCode{}, false, nil
	case err != nil:
		return MailedCode{}, false, fmt.Errorf("make a code: %w", err)
	}
	return made, again, nil
}

// checkMailedCode compares a code and counts a failure, which the caller must commit. It locks the
// code until tx ends, and does not use it up.
func (s *Service) checkMailedCode(ctx context.Context, tx pgx.Tx, userID UserID, purpose codePurpose, code string) (bool, error) {
	var (
		hash     []byte
		failures int
	)
	err := tx.QueryRow(ctx, sqlLockMailedCode, userID, purpose, s.now()).Scan(&hash, &failures)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the mailed code: %w", err)
	case failures >= maxCodeFailures:
		return false, nil
	}
	peppers := s.keyring().passwords.peppers
	for _, pepper := range append([]Pepper{peppers.current}, peppers.older...) {
		if hmac.Equal(hash, mailedCodeHash(pepper, userID, purpose, code)) {
			return true, nil
		}
	}
	return false, s.countCodeFailure(ctx, tx, userID, purpose)
}

func (s *Service) countCodeFailure(ctx context.Context, tx pgx.Tx, userID UserID, purpose codePurpose) error {
	if _, err := tx.Exec(ctx, sqlCountCodeFailure, userID, purpose); err != nil {
		return fmt.Errorf("count a wrong code: %w", err)
	}
	return nil
}

func (s *Service) useMailedCode(ctx context.Context, tx pgx.Tx, userID UserID, purpose codePurpose) error {
	if _, err := tx.Exec(ctx, sqlUseMailedCode, userID, purpose); err != nil {
		return fmt.Errorf("use the mailed code: %w", err)
	}
	return nil
}

const sqlPruneMailedCodes = `
DELETE FROM mailed_codes
 WHERE (user_id, purpose) IN (
       SELECT user_id, purpose FROM mailed_codes
        WHERE expires_at < $1
        ORDER BY expires_at LIMIT $2
          FOR UPDATE SKIP LOCKED)`
