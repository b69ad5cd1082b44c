package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/problem"
)

// throttle limits the guessing of passwords, before anything is hashed. Its state is in
// PostgreSQL: it survives restarts and the loss of Redis, and all processes share it.
//
// throttle counts failures separately by account (the login of the attempt, whether it exists
// or not: both follow the same rules and get the same responses) and by network address. Some
// failures are free. Each further one blocks for twice as long as the one before, from 1 s to
// 15 min. In each period one failure expires, and an attempt during a block is refused without
// being counted. So every block ends, for an attacker who stops and for an owner who waits.
//
// An attempt on an account counts as failed when it begins, and success resets the count: of
// a hundred concurrent guesses only the free ones pass. For an address, only a wrong password
// counts, because a hundred users may sign in from one address at the same moment.
//
// An account has two names, e-mail address and handle, with separate counts. A common count
// would reveal which address belongs to which handle. With separate counts, an attacker who
// blocks a public handle does not lock the owner out, who can use the address. In return, an
// attacker has twice as many guesses.
//
// The counts are committed asynchronously (synchronous_commit off, for that statement only). A
// crash of PostgreSQL, and only that, may lose those of its last three wal_writer_delays, 0.6 s: as
// many guesses as are hashed in that time are then free. In return, a storm of wrong passwords does
// not make payments wait for its flushes of the write-ahead log.
//
// Addresses and devices from which a user has signed in have their own counts: see knownaddress.go
// and knowndevice.go.
type throttle struct {
	pool   *pgxpool.Pool
	pepper func() Secret // the current pepper
	clock  func() time.Time
	blocks blockCache
	count  func(scope string)
}

// throttleRule is the number of free failures, and the period after which one expires.
type throttleRule struct {
	free   int
	period time.Duration
}

var (
	// For an account: about a hundred guesses per day, from all clients together.
	accountRule = throttleRule{free: 5, period: 15 * time.Minute}
	// For an address: an office whose users mistype is not affected, and an attacker who
	// tries one password on many accounts has about one guess per minute.
	addressRule = throttleRule{free: 20, period: time.Minute}
	// For the look-ups by e-mail address of one user: twenty, then one per minute.
	lookUpRule = throttleRule{free: 20, period: time.Minute}
)

const (
	// maxBlock is shorter than the free periods of each rule, so that a row expires only after
	// its block has ended; a CHECK constraint ensures it.
	maxBlock = 15 * time.Minute
	// beyondFree is the maximum count above the free failures: by then a block is maximal.
	beyondFree = 10

	// lockOut is the shortest block of an account that is a lock-out: after 11 failures in a run.
	lockOut = time.Minute
)

// The next failure of a key: $1 is the key, $2 the time, $3 the period in seconds, $4 the free
// failures, $5 the maximum count and $6 the maximum block in seconds. ON CONFLICT locks the
// row, so that of two concurrent failures the second sees the first. A free failure does not touch
// blocked_until: it would otherwise refuse an attempt that began a moment earlier, or in a process
// whose clock is behind.
const (
	firstFailure = `
INSERT INTO login_throttle AS t (key, failures_until, blocked_until)
SELECT $1::bytea, $2::timestamptz + make_interval(secs => $3), 'epoch'::timestamptz`

	failureAgain = `
ON CONFLICT (key) DO UPDATE SET (failures_until, blocked_until) = (
   SELECT next.failures_until,
          CASE WHEN next.failures < $4::int THEN t.blocked_until
               ELSE $2::timestamptz + make_interval(secs => LEAST(power(2, next.failures - $4::int), $6::float8)) END
     FROM (SELECT least(greatest(t.failures_until, $2::timestamptz) + make_interval(secs => $3),
                        $2::timestamptz + make_interval(secs => $3 * $5::int))) a (failures_until),
          LATERAL (SELECT a.failures_until,
                          round(extract(epoch FROM a.failures_until - $2::timestamptz)::float8 / $3)) next (failures_until, failures))`
)

// commitAsync is true, and makes the commit of its statement asynchronous. The setting ends with
// the statement, which is a transaction of its own.
const commitAsync = `set_config('synchronous_commit', 'off', true) = 'off'`

const (
	// The same statement records the failure for its user, and that it has locked the account ($11)
	// for $12 seconds or longer; for an unknown login it does the same work. Without an address ($1
	// is NULL) nothing is counted.
	sqlCountFailure = `
WITH recorded AS (
    INSERT INTO security_events (at, user_id, event, client, address)
    SELECT $2, u.id, e.event, $9, $10
      FROM (SELECT id FROM users WHERE (email = nullif($7, '') OR handle = nullif($8, '')) AND status <> 'closed'
             ORDER BY email_verified_at, created_at LIMIT 3) u,
           (SELECT 'sign_in_failed' UNION ALL SELECT 'locked_out' FROM login_throttle
             WHERE key = $11 AND blocked_until >= $2::timestamptz + make_interval(secs => $12)) e (event)
    RETURNING event
), counted AS (` + firstFailure + `
 WHERE $1::bytea IS NOT NULL` + failureAgain + `
RETURNING ` + commitAsync + `)
SELECT EXISTS (SELECT FROM recorded WHERE event = 'locked_out')`

	// One statement per attempt: it counts the attempt unless the address or the account is
	// blocked. It does not change a blocked row.
	sqlBeginAttempt = `
WITH address AS (
    SELECT blocked_until FROM login_throttle WHERE key = $7 AND blocked_until > $2
), attempt AS (` + firstFailure + `
 WHERE NOT EXISTS (SELECT FROM address)` + failureAgain + `
 WHERE t.blocked_until <= $2
RETURNING key
)
SELECT EXISTS (SELECT FROM attempt) AND ` + commitAsync + `, (SELECT blocked_until FROM address),
       (SELECT blocked_until FROM login_throttle WHERE key = $1)`

	// An attempt whose password was not compared does not count.
	sqlGiveBack = `
UPDATE login_throttle
   SET failures_until = greatest(failures_until - make_interval(secs => $3), $2), blocked_until = 'epoch'
 WHERE key = $1`

	sqlForgetFailures = `DELETE FROM login_throttle WHERE key = $1`
)

// lookUp counts a look-up by e-mail address of a user, or refuses it.
func (t *throttle) lookUp(ctx context.Context, payer UserID) error {
	now := t.clock()
	until, err := t.countByUser(ctx, lookUpRule, t.key(scopeLookUp, payer.String()), now)
	if err != nil {
		return fmt.Errorf("count look-up by e-mail address: %w", err)
	}
	if until.IsZero() {
		return nil
	}
	refused := t.refuse(scopeLookUp, until.Sub(now))
	refused.Code, refused.Message = CodeTooManyLookUps, fmt.Sprintf("too many look-ups by e-mail address; try again in %v, or use the handle, as in @bob", refused.RetryAfter)
	return refused
}

// beginStepUp counts a step-up of a user or refuses it. The caller must call right, or giveBack if
// no code was compared.
func (t *throttle) beginStepUp(ctx context.Context, user UserID) (attempt, error) {
	now, key := t.clock(), t.key(scopeStepUp, user.String())
	until, err := t.countByUser(ctx, accountRule, key, now)
	if err != nil {
		return attempt{}, fmt.Errorf("count step-up: %w", err)
	}
	if until.IsZero() {
		return attempt{throttle: t, account: key}, nil
	}
	refused := t.refuse(scopeStepUp, until.Sub(now))
	refused.Message = fmt.Sprintf("too many wrong codes; try again in %v", refused.RetryAfter)
	return attempt{}, refused
}

// countByUser counts an attempt of a key that no address belongs to. It returns the end of the
// block of the key, or the zero time if the attempt may go on.
func (t *throttle) countByUser(ctx context.Context, rule throttleRule, key throttleKey, now time.Time) (time.Time, error) {
	if blocked, ok := t.blocks.until(key, now); ok {
		return blocked, nil
	}
	var (
		begun   bool
		ignored *time.Time
		until   *time.Time
	)
	if err := t.pool.QueryRow(ctx, sqlBeginAttempt, append(rule.args(key, now), []byte(nil))...).Scan(&begun, &ignored, &until); err != nil {
		return time.Time{}, err
	}
	switch {
	case begun:
		return time.Time{}, nil
	case until == nil: // another request has added the row after the snapshot of this one
		return now, nil
	}
	t.blocks.remember(key, now, *until)
	return *until, nil
}

// attempt is a log-in attempt that has been counted and may compare the password.
type attempt struct {
	*throttle
	account, address throttleKey // address is zero if it is unknown
	device           throttleKey // zero without a device token
	// known is set if the attempt was counted for a known address or device, whose key it is; then
	// only users who have signed in from there may sign in.
	known throttleKey
}

// begin counts the attempt or refuses it. The caller must call right, wrong or giveBack; an
// attempt that a crash interrupts counts as wrong.
func (t *throttle) begin(ctx context.Context, identifier string, client Client) (attempt, error) {
	a := attempt{throttle: t, account: t.accountKey(identifier), address: t.addressKey(client.Address), device: deviceHash(client.DeviceToken)}
	now := t.clock()
	scope, until, err := a.countAttempt(ctx, now)
	switch {
	case err != nil:
		return attempt{}, fmt.Errorf("begin log-in attempt: %w", err)
	case scope == "":
		return a, nil
	case until.IsZero():
		return attempt{}, t.refuse(scope, 0)
	}
	return t.beginKnown(ctx, identifier, a, scope, until, now)
}

// countAttempt counts the attempt, unless its account or address is blocked: then it returns the
// scope and the end of the block, which is zero if the attempt may be repeated at once.
func (a attempt) countAttempt(ctx context.Context, now time.Time) (scope string, until time.Time, err error) {
	if scope, until := a.blocks.find(now, a.account, a.address); scope != "" {
		return scope, until, nil
	}
	var (
		begun                      bool
		addressUntil, accountUntil *time.Time
	)
	args := append(accountRule.args(a.account, now), a.address.bytes())
	if err := a.pool.QueryRow(ctx, sqlBeginAttempt, args...).Scan(&begun, &addressUntil, &accountUntil); err != nil {
		return "", time.Time{}, err
	}
	switch {
	case begun:
		return "", time.Time{}, nil
	case addressUntil != nil:
		a.blocks.remember(a.address, now, *addressUntil)
		return scopeAddress, *addressUntil, nil
	case accountUntil != nil:
		a.blocks.remember(a.account, now, *accountUntil)
		return scopeAccount, *accountUntil, nil
	}
	return scopeAccount, time.Time{}, nil // another attempt has added the row after the snapshot of this one
}

// args returns the first arguments of a statement with firstFailure.
func (r throttleRule) args(key throttleKey, now time.Time) []any {
	return []any{key.bytes(), now, r.period.Seconds(), r.free, r.free + beyondFree, maxBlock.Seconds()}
}

func (t *throttle) refuse(scope string, wait time.Duration) *problem.Error {
	t.count(scope)
	wait = max((wait + time.Second - 1).Truncate(time.Second), time.Second) // whole seconds, rounded up
	return &problem.Error{
		Code: CodeTooManyAttempts, RetryAfter: wait,
		Message: fmt.Sprintf("too many failed attempts to sign in; try again in %v", wait),
	}
}

// right resets the count of the account, in the transaction that opens the session. It does not
// reset that of the address: an attacker could otherwise reset it by signing in to an account
// of their own.
func (a attempt) right(ctx context.Context, tx pgx.Tx) error {
	a.blocks.forget(a.account)
	if _, err := tx.Exec(ctx, sqlForgetFailures, a.account.bytes()); err != nil {
		return fmt.Errorf("reset failed attempts: %w", err)
	}
	return nil
}

// wrong counts a failed attempt of the address and records it for the user of that login; for
// the account it is counted already. It completes even if ctx ends.
func (s *Service) wrong(ctx context.Context, a attempt, identifier string, client Client) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	l, client := parseLogin(identifier), client.clean()
	args := append(addressRule.args(a.address, s.now()), l.email, l.handle, client.UserAgent, client.Address, a.account.bytes(), lockOut.Seconds())
	var locked bool
	if err := s.pool.QueryRow(ctx, sqlCountFailure, args...).Scan(&locked); err != nil {
		return fmt.Errorf("count failed attempt: %w", err)
	}
	if locked {
		s.events.write(ctx, EventLockedOut, clientAttrs(client)...)
	}
	return nil
}

// giveBack undoes the count of an attempt whose password was not compared. If it fails, the
// attempt counts until it expires.
func (a attempt) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	_, _ = a.pool.Exec(ctx, sqlGiveBack, a.account.bytes(), a.clock(), accountRule.period.Seconds())
}
