package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/problem"
)

// throttle slows guessing down, before anything is hashed. What it knows is in
// PostgreSQL: it survives restarts and the loss of Redis, and all processes share it.
//
// Failures of an account (what was typed as login, known or not: the same rules, the
// same answers) and of an address are counted apart. Some are free; each one more
// blocks for twice as long as the one before, from 1 s up to 15 min. One failure is
// forgotten in each period, and an attempt during a block is refused without being
// counted, so that no block lasts: whoever stops guessing is let in again, and so is
// an owner who waits until their turn.
//
// An attempt on an account counts as failed from its beginning, and success wipes
// the account clean: of a hundred guesses at once no more pass than are free. An
// address is only counted against when the password was wrong, since a hundred
// people may sign in from one address at the same moment.
//
// An account has two names, e-mail address and handle, and each is counted for
// itself. Counted together they would tell strangers which address belongs to which
// handle; and apart, whoever locks a public handle does not lock its owner out, who
// still has their address. It gives a guesser two tries where there was one.
//
// An address that the user has signed in from keeps a budget of its own: see
// knownaddress.go.
type throttle struct {
	pool   *pgxpool.Pool
	pepper func() Secret // the current one
	clock  func() time.Time
	blocks blockCache
	count  func(scope string)
}

// throttleRule says how many failures are free, and how quickly one is forgotten.
type throttleRule struct {
	free   int
	period time.Duration
}

var (
	// An account: about a hundred guesses a day, whoever makes them.
	accountRule = throttleRule{free: 5, period: 15 * time.Minute}
	// An address: an office of people who mistype is not noticed, and somebody who
	// tries one password on many accounts gets about one through per minute.
	addressRule = throttleRule{free: 20, period: time.Minute}
	// Look-ups by e-mail address of one user: twenty at once, one a minute after that.
	lookUpRule = throttleRule{free: 20, period: time.Minute}
)

const (
	// maxBlock is shorter than the free periods of either rule, so that a row that
	// blocks is never forgotten: the table checks it.
	maxBlock = 15 * time.Minute
	// beyondFree bounds what is counted: the next block is the longest by then.
	beyondFree = 10
)

// The next failure of a key: $1 is the key, $2 now, $3 the period in seconds, $4
// the free failures and $5 the most that are counted, $6 the longest block in
// seconds. The row is locked by the conflict, so that of two who come at once the
// second sees the first.
const (
	firstFailure = `
INSERT INTO login_throttle AS t (key, failures_until, blocked_until)
SELECT $1::bytea, $2::timestamptz + make_interval(secs => $3), $2::timestamptz`

	failureAgain = `
ON CONFLICT (key) DO UPDATE SET (failures_until, blocked_until) = (
   SELECT next.failures_until, $2::timestamptz + make_interval(secs =>
          CASE WHEN next.failures < $4::int THEN 0
               ELSE LEAST(power(2, next.failures - $4::int), $6::float8) END)
     FROM (SELECT least(greatest(t.failures_until, $2::timestamptz) + make_interval(secs => $3),
                        $2::timestamptz + make_interval(secs => $3 * $5::int))) a (failures_until),
          LATERAL (SELECT a.failures_until,
                          round(extract(epoch FROM a.failures_until - $2::timestamptz)::float8 / $3)) next (failures_until, failures))`
)

const (
	// The failure is recorded for its user in the same statement, which does the same work
	// for a login of nobody; without an address ($1) nothing is counted.
	sqlCountFailure = `
WITH recorded AS (
    INSERT INTO security_events (at, user_id, event, client, address)
    SELECT $2, id, 'sign_in_failed', $9, $10 FROM users WHERE email = nullif($7, '') OR handle = nullif($8, '')
     ORDER BY email_verified_at, created_at LIMIT 3
)` + firstFailure + `
 WHERE $1::bytea IS NOT NULL` + failureAgain

	// One small statement per attempt: is the address blocked, is the account, and if
	// neither, the attempt is on record. A blocked row is not touched.
	sqlBeginAttempt = `
WITH address AS (
    SELECT blocked_until FROM login_throttle WHERE key = $7 AND blocked_until > $2
), attempt AS (` + firstFailure + `
 WHERE NOT EXISTS (SELECT FROM address)` + failureAgain + `
 WHERE t.blocked_until <= $2
RETURNING key
)
SELECT EXISTS (SELECT FROM attempt), (SELECT blocked_until FROM address),
       (SELECT blocked_until FROM login_throttle WHERE key = $1)`

	// An attempt that nobody judged was none.
	sqlGiveBack = `
UPDATE login_throttle
   SET failures_until = greatest(failures_until - make_interval(secs => $3), $2), blocked_until = $2
 WHERE key = $1`

	sqlForgetFailures = `DELETE FROM login_throttle WHERE key = $1`
)

// lookUp counts one look-up by e-mail address of a user, or refuses it.
func (t *throttle) lookUp(ctx context.Context, asker uuid.UUID) error {
	var (
		begun       bool
		ignored     *time.Time
		until       *time.Time
		now         = t.clock()
		key         = t.key(scopeLookUp, asker.String())
		args        = append(lookUpRule.args(key, now), []byte(nil))
		refuseUntil = func(until time.Time) error {
			err := t.refuse(scopeLookUp, until.Sub(now))
			err.Code, err.Message = CodeTooManyLookUps, fmt.Sprintf("too many look-ups by e-mail address; try again in %v, or use the handle, as in @bob", err.RetryAfter)
			return err
		}
	)
	if blocked, ok := t.blocks.until(key, now); ok {
		return refuseUntil(blocked)
	}
	if err := t.pool.QueryRow(ctx, sqlBeginAttempt, args...).Scan(&begun, &ignored, &until); err != nil {
		return fmt.Errorf("count look-up by e-mail address: %w", err)
	}
	if begun {
		return nil
	}
	if until == nil { // another request has added the row since our snapshot
		return refuseUntil(now)
	}
	t.blocks.remember(key, now, *until)
	return refuseUntil(*until)
}

// attempt is one that may be judged now.
type attempt struct {
	*throttle
	account, address throttleKey // no address if it is not known
	// known is set if the attempt is on the budget of an address that the user has
	// signed in from; then only users who are known there may sign in.
	known throttleKey
}

// begin refuses the attempt or puts it on record. It ends in one of right, wrong
// and giveBack; one that a crash cuts off counts as wrong.
func (t *throttle) begin(ctx context.Context, who, address string) (attempt, error) {
	a := attempt{throttle: t, account: t.accountKey(who), address: t.addressKey(address)}
	now := t.clock()
	if scope, until := t.blocks.find(now, a.account, a.address); scope != "" {
		return t.beginKnown(ctx, who, a, scope, until, now)
	}
	var (
		begun                      bool
		addressUntil, accountUntil *time.Time
	)
	args := append(accountRule.args(a.account, now), a.address.bytes())
	if err := t.pool.QueryRow(ctx, sqlBeginAttempt, args...).Scan(&begun, &addressUntil, &accountUntil); err != nil {
		return attempt{}, fmt.Errorf("begin log-in attempt: %w", err)
	}
	switch {
	case begun:
		return a, nil
	case addressUntil != nil:
		t.blocks.remember(a.address, now, *addressUntil)
		return t.beginKnown(ctx, who, a, scopeAddress, *addressUntil, now)
	case accountUntil != nil:
		t.blocks.remember(a.account, now, *accountUntil)
		return t.beginKnown(ctx, who, a, scopeAccount, *accountUntil, now)
	}
	return attempt{}, t.refuse(scopeAccount, 0) // its row is younger than our snapshot
}

// args of a statement with firstFailure.
func (r throttleRule) args(key throttleKey, now time.Time) []any {
	return []any{key.bytes(), now, r.period.Seconds(), r.free, r.free + beyondFree, maxBlock.Seconds()}
}

func (t *throttle) refuse(scope string, wait time.Duration) *problem.Error {
	t.count(scope)
	wait = max((wait + time.Second - 1).Truncate(time.Second), time.Second) // whole seconds, none too few
	return &problem.Error{
		Code: CodeTooManyAttempts, RetryAfter: wait,
		Message: fmt.Sprintf("too many failed attempts to sign in; try again in %v", wait),
	}
}

// right forgets the failures of the account, in the transaction that opens the
// session, and none of the address: a thief with one account of his own must not
// wipe his traces with it.
func (a attempt) right(ctx context.Context, tx pgx.Tx) error {
	a.blocks.forget(a.account)
	if _, err := tx.Exec(ctx, sqlForgetFailures, a.account.bytes()); err != nil {
		return fmt.Errorf("forget failed attempts: %w", err)
	}
	return nil
}

// wrong counts a failed attempt against the address and records it for the user of that
// login; for the account it is counted already. Hanging up does not prevent it.
func (s *Service) wrong(ctx context.Context, a attempt, who string, client Client) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	l, client := parseLogin(who), client.clean()
	args := append(addressRule.args(a.address, s.now()), l.email, l.handle, client.UserAgent, client.Address)
	if _, err := s.pool.Exec(ctx, sqlCountFailure, args...); err != nil {
		return fmt.Errorf("count failed attempt: %w", err)
	}
	return nil
}

// giveBack is for an attempt that could not be judged. Should it fail, the attempt
// stays counted until it is forgotten.
func (a attempt) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	_, _ = a.pool.Exec(ctx, sqlGiveBack, a.account.bytes(), a.clock(), accountRule.period.Seconds())
}
