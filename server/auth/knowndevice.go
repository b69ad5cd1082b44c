package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// A known device of a user is one on which that user has signed in. The device keeps a device token
// of 256 random bits, which only the server makes, and sends it with each log-in. The token opens
// nothing: a log-in with it needs the password and the second factor like any other. It does two
// things: while the account or the address is blocked, attempts with it count under a key of their
// own (see knownaddress.go), and a sign-in without one is recorded as that of a new device.
//
// A device is forgotten 90 days after its last sign-in, when the user has signed in on 20 others
// since, or when its last session was ended in any other way than by logging out there: by its
// user, by an operator, by a change of the password, or because a token was stolen.
const (
	maxKnownDevices   = 20
	keepKnownDevice   = keepKnownAddress // one statement looks for both
	scopeKnownDevice  = "known_device"   // part of the key; the metric shows the scope of the block
	deviceTokenPrefix = "kizo_dt_"       // lets secret scanners recognize device tokens
)

func newDeviceToken() (token string, hash throttleKey) {
	secret := randomBytes(32)
	return deviceTokenPrefix + base64.RawURLEncoding.EncodeToString(secret), sha256.Sum256(secret)
}

// deviceHash returns the hash of a device token, or the zero key for any other text.
func deviceHash(token string) throttleKey {
	secret, ok := parseSecret(deviceTokenPrefix, token)
	if !ok {
		return throttleKey{}
	}
	return sha256.Sum256(secret)
}

// parseSecret returns the 32 bytes of a token with this prefix.
func parseSecret(prefix, token string) ([]byte, bool) {
	text, ok := strings.CutPrefix(token, prefix)
	if !ok || len(text) != base64.RawURLEncoding.EncodedLen(32) {
		return nil, false
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return secret, err == nil
}

// notForgotten is true for a row k of known_devices unless its last session was ended for the user.
const notForgotten = `NOT EXISTS (SELECT FROM sessions s WHERE s.id = k.session_id AND s.revoked_reason <> 'logout')`

const (
	sqlUseDevice = `
UPDATE known_devices k SET used_at = greatest(used_at, $3), session_id = $4
 WHERE user_id = $1 AND token_hash = $2 AND used_at > $5 AND ` + notForgotten

	// Rows that another sign-in has locked are skipped, so that two sign-ins cannot deadlock.
	sqlAddDevice = `
WITH added AS (
    INSERT INTO known_devices (user_id, token_hash, created_at, used_at, session_id) VALUES ($1, $2, $3, $3, $4)
)
DELETE FROM known_devices
 WHERE user_id = $1 AND token_hash = ANY(ARRAY(
       SELECT token_hash FROM known_devices
        WHERE user_id = $1
        ORDER BY used_at DESC OFFSET $5
          FOR UPDATE SKIP LOCKED))`

	sqlPruneKnownDevices = `
DELETE FROM known_devices
 WHERE (user_id, token_hash) IN (
       SELECT user_id, token_hash FROM known_devices
        WHERE used_at < $1
        ORDER BY used_at LIMIT $2
          FOR UPDATE SKIP LOCKED)`
)

// useDevice records, in the transaction that opens the session, that the user signs in on this
// device. It returns "" if the user has signed in there before, and otherwise a token for the
// device to keep.
func (s *Service) useDevice(ctx context.Context, tx pgx.Tx, userID UserID, sessionID uuid.UUID, client Client) (newToken string, err error) {
	now := s.now()
	if known := deviceHash(client.DeviceToken); known != (throttleKey{}) {
		tag, err := tx.Exec(ctx, sqlUseDevice, userID, known.bytes(), now, sessionID, now.Add(-keepKnownDevice))
		if err != nil {
			return "", fmt.Errorf("use device: %w", err)
		}
		if tag.RowsAffected() == 1 {
			return "", nil
		}
	}
	newToken, hash := newDeviceToken()
	if _, err := tx.Exec(ctx, sqlAddDevice, userID, hash.bytes(), now, sessionID, maxKnownDevices-1); err != nil {
		return "", fmt.Errorf("add device: %w", err)
	}
	return newToken, nil
}
