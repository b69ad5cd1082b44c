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
 WHERE EXISTS (SELECT FROM known_addresses k JOIN users u ON u.id = k.user_id
                WHERE k.address = $7 AND k.used_at > $10 AND (u.email = nullif($8, '') OR u.handle = nullif($9, '')))` +
	failureAgain + `
 WHERE t.blocked_until <= $2
RETURNING key
)
SELECT EXISTS (SELECT FROM attempt) AND ` + commitAsync + `, (SELECT blocked_until FROM login_throttle WHERE key = $1)`

// beginKnown counts an attempt that is blocked in general, if the address is a known address
// of that user. Otherwise it returns the refusal.
func (t *throttle) beginKnown(ctx context.Context, identifier string, a attempt, scope string, until, now time.Time) (attempt, error) {
	refusal := func() error { return t.refuse(scope, until.Sub(now)) }
	if a.address == (throttleKey{}) {
		return attempt{}, refusal()
	}
	known := t.knownKey(a)
	if t.blocks.has(known, now) {
		return attempt{}, refusal()
	}
	var (
		begun        bool
		blockedUntil *time.Time
		l            = parseLogin(identifier)
	)
	args := append(accountRule.args(known, now), a.address.bytes(), l.email, l.handle, now.Add(-keepKnownAddress))
	if err := t.pool.QueryRow(ctx, sqlBeginKnownAttempt, args...).Scan(&begun, &blockedUntil); err != nil {
		return attempt{}, fmt.Errorf("begin log-in attempt from a known address: %w", err)
	}
	if begun {
		return attempt{throttle: t, account: known, known: a.address}, nil
	}
	// Unknown, or blocked as well: make no more queries for the moment.
	if blockedUntil != nil && blockedUntil.Before(until) {
		until = *blockedUntil
	}
	t.blocks.remember(known, now, until)
	return attempt{}, refusal()
}

// knownKey returns the key of one login at one known address.
func (t *throttle) knownKey(a attempt) throttleKey {
	return t.key(scopeKnown, string(a.account[:])+string(a.address[:]))
}

const sqlPruneKnownAddresses = `
DELETE FROM known_addresses
 WHERE (user_id, address) IN (
       SELECT user_id, address FROM known_addresses
        WHERE used_at < $1
        ORDER BY used_at LIMIT $2
          FOR UPDATE SKIP LOCKED)`
