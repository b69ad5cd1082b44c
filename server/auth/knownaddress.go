package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A known address of a user is one from which that user has signed in. It has its own count
// of failures: while the account or the address is blocked in general, attempts on that
// account from that address count under a separate key, with the rule of an account. A user
// whose account is blocked because another person guesses passwords can therefore still sign
// in from the usual addresses.
//
// Known addresses are stored with the user, and only a successful sign-in stores one. Other
// users cannot add to them, and an unknown login has none. They are queried only after a
// refusal, and an unknown address gets the same refusal as without this table.
//
// The same holds for known devices, which are asked first: see knowndevice.go.
const (
	maxKnownAddresses = 20
	keepKnownAddress  = 90 * 24 * time.Hour // after the last use
	scopeKnown        = "known_address"     // part of the key; the metric shows the scope of the block
)

// Rows that another sign-in has locked are skipped, so that two sign-ins cannot deadlock.
const sqlRememberAddress = `
WITH used AS (
    INSERT INTO known_addresses AS k (user_id, address, used_at) VALUES ($1, $2, $3)
    ON CONFLICT (user_id, address) DO UPDATE SET used_at = greatest(k.used_at, excluded.used_at)
)
DELETE FROM known_addresses
 WHERE user_id = $1 AND address = ANY(ARRAY(
       SELECT address FROM known_addresses
        WHERE user_id = $1 AND address <> $2
        ORDER BY used_at DESC OFFSET $4
          FOR UPDATE SKIP LOCKED))`

// rememberAddress stores the address with the user, in the transaction that opens the
// session, and deletes the user's oldest addresses above the maximum.
func (t *throttle) rememberAddress(ctx context.Context, tx pgx.Tx, userID UserID, address string) error {
	key := t.addressKey(address)
	if key == (throttleKey{}) {
		return nil
	}
	if _, err := tx.Exec(ctx, sqlRememberAddress, userID, key.bytes(), t.clock(), maxKnownAddresses-1); err != nil {
		return fmt.Errorf("remember address: %w", err)
	}
	return nil
}

const sqlBeginKnownAttempt = `
WITH attempt AS (` + firstFailure + `
 WHERE EXISTS (SELECT FROM users u
                WHERE (u.email = nullif($8, '') OR u.handle = nullif($9, ''))
                  AND (EXISTS (SELECT FROM known_addresses k WHERE k.user_id = u.id AND k.address = $7 AND k.used_at > $10)
                    OR EXISTS (SELECT FROM known_devices k WHERE k.user_id = u.id AND k.token_hash = $7 AND k.used_at > $10
                                  AND ` + notForgotten + `)))` +
	failureAgain + `
 WHERE t.blocked_until <= $2
RETURNING key
)
SELECT EXISTS (SELECT FROM attempt) AND ` + commitAsync + `, (SELECT blocked_until FROM login_throttle WHERE key = $1)`

// beginKnown counts an attempt that is blocked in general, if the device or the address is a known
// one of that user. Otherwise it returns the refusal.
func (t *throttle) beginKnown(ctx context.Context, identifier string, a attempt, scope string, until, now time.Time) (attempt, error) {
	for _, from := range []struct {
		scope string
		key   throttleKey
	}{{scopeKnownDevice, a.device}, {scopeKnown, a.address}} {
		if from.key == (throttleKey{}) {
			continue
		}
		known := t.key(from.scope, string(a.account[:])+string(from.key[:]))
		if t.blocks.has(known, now) {
			continue
		}
		begun, blockedUntil, err := t.beginKnownAttempt(ctx, known, from.key, parseLogin(identifier), now)
		switch {
		case err != nil:
			return attempt{}, fmt.Errorf("begin log-in attempt from a known device or address: %w", err)
		case begun:
			return attempt{throttle: t, account: known, known: from.key}, nil
		}
		// Unknown, or blocked as well: make no more queries for the moment.
		stop := until
		if blockedUntil != nil && blockedUntil.Before(stop) {
			stop = *blockedUntil
		}
		t.blocks.remember(known, now, stop)
		until = stop
	}
	return attempt{}, t.refuse(scope, until.Sub(now))
}

// beginKnownAttempt counts an attempt under the key known, if its user has signed in from the
// address or on the device with the key from.
func (t *throttle) beginKnownAttempt(ctx context.Context, known, from throttleKey, l login, now time.Time) (begun bool, blockedUntil *time.Time, err error) {
	args := append(accountRule.args(known, now), from.bytes(), l.email, l.handle, now.Add(-keepKnownAddress))
	err = t.pool.QueryRow(ctx, sqlBeginKnownAttempt, args...).Scan(&begun, &blockedUntil)
	return begun, blockedUntil, err
}

const sqlPruneKnownAddresses = `
DELETE FROM known_addresses
 WHERE (user_id, address) IN (
       SELECT user_id, address FROM known_addresses
        WHERE used_at < $1
        ORDER BY used_at LIMIT $2
          FOR UPDATE SKIP LOCKED)`
