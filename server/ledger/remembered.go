package ledger

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/pgerr"
)

// rememberedAccounts are the accounts as the last batch of this process left them. A batch that
// only transfers money between them is decided on them, and is written and committed in the first
// round trip, without locks and reads before:
//
//	BEGIN; INSERT (a trigger locks the accounts and adds the postings); confirmKeys; COMMIT
//
// What is remembered may be outdated: other processes change accounts too. PostgreSQL then rejects
// the batch, which is decided again on rows that it has locked. It compares everything on which a
// transfer is posted: the number and the time of the last posting of each account
// (apply_own_postings), its status and whether it has a limit (accounts_outdated), what it may
// still spend (accounts_floor) and hold (accounts_balance_exact), and the keys (transfers_key,
// confirmKeys). So nothing is posted that would not be posted on the locked rows. A refusal could
// be wrong, and is never written on what is remembered.
type rememberedAccounts struct {
	maxAccounts int
	maxClockAge time.Duration // for how long a reading of the database's clock is used
	// Limits of skip: each rejection costs as much as a batch, and there are many if another
	// process uses the accounts.
	minPenalty, maxPenalty int

	mu       sync.Mutex
	accounts map[AccountID]*account
	epoch    int // how often everything was forgotten
	clock    clockReading
	skip     int // batches to come that are not decided on what is remembered
	penalty  int // value of skip after the last rejection, if none was confirmed since; or 0
	stats    RememberedStats
}

// RememberedStats counts the batches that were decided on remembered accounts.
type RememberedStats struct {
	Committed uint64 // in one round trip
	Rejected  uint64 // what was remembered was outdated, or a key had been used; decided again in two more
}

// Remembered returns how many batches were decided on remembered accounts since the start.
func (l *Ledger) Remembered() RememberedStats {
	r := l.rules.remembered
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// unlockedTimeout is how long a batch that has not locked its accounts waits for each lock. It
// inserts its keys before the trigger locks the accounts, and other batches do the opposite. This
// is much less than deadlock_timeout, so that neither ends by a deadlock. A batch that waited
// longer would find the account changed.
const unlockedTimeout = 10 * time.Millisecond

func newRememberedAccounts(maxAccounts int) *rememberedAccounts {
	return &rememberedAccounts{
		maxAccounts: maxAccounts, maxClockAge: time.Second, minPenalty: 16, maxPenalty: 1024,
		accounts: make(map[AccountID]*account),
	}
}

// clockReading is a time that the database's clock has shown between two times of this process.
type clockReading struct{ database, sent, received time.Time }

// now returns the time of the database, or the zero time if the reading is older than maxAge. It is
// the time of this process if the reading shows no difference between the clocks. Otherwise it is
// behind the database's clock by at most the time that the reading took.
func (c clockReading) now(maxAge time.Duration) time.Time {
	here := time.Now()
	age, wallAge := here.Sub(c.received), here.Round(0).Sub(c.received.Round(0)) // the second counts suspension too
	if max(age, wallAge) > maxAge || wallAge < 0 {
		return time.Time{}
	}
	earliest, latest := c.database.Add(age), c.database.Add(here.Sub(c.sent))
	if here.Before(earliest) || here.After(latest) {
		return earliest.Truncate(time.Microsecond)
	}
	return here.Truncate(time.Microsecond)
}

// took returns how long the reading took.
func (c clockReading) took() time.Duration { return c.received.Sub(c.sent) }

// begin returns a batch for commands. remembered reports whether it has their accounts, which are
// forgotten until put is called. Otherwise the batch has to read them.
func (r *rememberedAccounts) begin(conn *pgx.Conn, commands []*command) (b *batch, remembered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetOnNewConnection(conn)
	b = newBatch(countCommands(commands))
	b.epoch = r.epoch
	b.now = r.clock.now(r.maxClockAge)
	if b.now.IsZero() || slices.ContainsFunc(commands, r.misses) {
		return b, false
	}
	if r.skip > 0 {
		r.skip--
		return b, false
	}
	r.moveTo(b, commands)
	return b, true
}

// forgetOnNewConnection forgets everything if conn was not used before. It may be to another
// server, which has taken over without the last transactions of the one before. Their numbers may
// then have been given to other postings, which lead to other balances.
func (r *rememberedAccounts) forgetOnNewConnection(conn *pgx.Conn) {
	const used = "kizo.ledger"
	if data := conn.PgConn().CustomData(); data[used] == nil {
		data[used] = true
		clear(r.accounts)
		r.epoch++
	}
}

// misses reports whether a command needs more than remembered accounts: it is no transfer, a limit
// counts it, or an earlier attempt may have been committed.
func (r *rememberedAccounts) misses(c *command) bool {
	if c.op == opAtomicGroup {
		return c.maybeCommitted || slices.ContainsFunc(c.group, r.misses)
	}
	debit, credit := r.accounts[c.debit], r.accounts[c.credit]
	return c.op != opTransfer || c.maybeCommitted || c.limit != uuid.Nil ||
		debit == nil || credit == nil || debit.limited || credit.limited
}

func (r *rememberedAccounts) moveTo(b *batch, commands []*command) {
	for _, c := range commands {
		if c.op == opAtomicGroup {
			r.moveTo(b, c.group)
			continue
		}
		for _, id := range [...]AccountID{c.debit, c.credit} {
			if a := r.accounts[id]; a != nil {
				b.accounts[id] = a
				delete(r.accounts, id)
			}
		}
	}
}

// put remembers the accounts of a batch that has ended.
func (r *rememberedAccounts) put(b *batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.epoch != r.epoch {
		return
	}
	// The reading that took the least time is the best, until it is old.
	if time.Since(r.clock.received) > r.maxClockAge/2 || b.clock.took() < r.clock.took() {
		r.clock = b.clock
	}
	for id, a := range b.accounts {
		if len(r.accounts) >= r.maxAccounts {
			r.evictOne()
		}
		a.changed = false
		r.accounts[id] = a
	}
}

// evictOne forgets an arbitrary account.
func (r *rememberedAccounts) evictOne() {
	for id := range r.accounts {
		delete(r.accounts, id)
		return
	}
}

// rejected records that what was remembered was outdated.
func (r *rememberedAccounts) rejected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.penalty = min(max(2*r.penalty, r.minPenalty), r.maxPenalty)
	r.skip = r.penalty
	r.stats.Rejected++
}

// confirmed records that what was remembered was right.
func (r *rememberedAccounts) confirmed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.penalty = 0
	r.stats.Committed++
}

// runRemembered executes a batch of take in one round trip. done is false if the commands have to
// be decided on the rows of the database; the other results are those of run.
func (r rules) runRemembered(ctx context.Context, conn *pgx.Conn, b *batch, commands []*command) (_ []outcome, wrote, done bool, _ error) {
	outcomes, err := b.decideAll(commands, r.decide)
	if err != nil || slices.ContainsFunc(outcomes, outcome.failed) {
		return nil, false, false, nil //nolint:nilerr // run decides them again, and reports the error
	}
	if err := failpoint.Point("ledger.before_commit"); err != nil {
		return nil, false, true, err
	}
	if err := b.writeUnlocked(ctx, conn, r); err != nil {
		return r.afterRejection(ctx, conn, commands, err)
	}
	r.remembered.put(b)
	r.remembered.confirmed()
	if err := failpoint.Point("ledger.after_commit"); err != nil {
		return nil, true, true, err
	}
	return outcomes, true, true, nil
}

// failed reports whether the command, or one of the group, was refused or has another error.
func (o outcome) failed() bool { return o.err != nil || slices.ContainsFunc(o.group, outcome.failed) }

// confirmKeys fails, with a division by zero, if a key of the batch was used before and no unique
// index has found that. The constraint transfers_key is such an index for all transfers. PostgreSQL
// has none if transfers has partitions (docs/operations.md), and the keys are looked up.
//
// It is a statement of its own, after the INSERT, because a statement sees what was committed
// before it began, and the INSERT begins before its trigger waits for the accounts. A command with
// a key of a user locks a wallet of that user, either first (lockAccounts) or in the trigger, and
// keeps it until its COMMIT. So another batch with one of these keys and the same wallet has either
// committed before this statement begins, which then finds its row, in whichever partition that is
// and also if it is a refusal, which changes no account. Or it waits until this batch has
// committed, and finds the row of this one.
//
// Two commands with one key and wallets in two currencies have no lock in common: only an index
// orders them. That is so too for batches that lock their accounts first.
const confirmKeys = `SELECT 1 / (CASE WHEN
		NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'transfers'::regclass AND contypid = 0
			AND conname = 'transfers_key' AND contype = 'u' AND cardinality(conkey) = 2)
		AND EXISTS (SELECT FROM unnest($1::uuid[], $2::text[], $3::uuid[]) AS k (owner, idem_key, id)
			CROSS JOIN LATERAL (SELECT FROM transfers x
				WHERE x.owner = k.owner AND x.idem_key = k.idem_key AND x.id <> k.id OFFSET 0) t)
		THEN 0 ELSE 1 END)`

// writeUnlocked writes and commits transfers that were decided without locks.
func (b *batch) writeUnlocked(ctx context.Context, conn *pgx.Conn, r rules) error {
	var queue pgx.Batch
	queue.Queue(begin)
	queue.Queue(r.tuneUnlocked).QueryRow(func(row pgx.Row) error {
		return b.scanClock(row, nil, nil, nil, nil, nil)
	})
	c := b.queueInserted(&queue)
	queue.Queue(confirmKeys, c.owner, c.key, c.id)
	queue.Queue(`COMMIT`)
	b.clock.sent = time.Now()
	return conn.SendBatch(ctx, &queue).Close()
}

// afterRejection ends the transaction if the database has rejected what was decided on remembered
// accounts. If it did not answer, that is the error of the batch.
func (r rules) afterRejection(ctx context.Context, conn *pgx.Conn, commands []*command, err error) (_ []outcome, wrote, done bool, _ error) {
	if classify(err) == pgerr.Lost {
		for _, c := range commands {
			c.lostUnlocked = true
		}
		return nil, true, true, fmt.Errorf("write the batch: %w", err)
	}
	r.remembered.rejected()
	if _, err := conn.Exec(ctx, `ROLLBACK`); err != nil {
		return nil, false, true, fmt.Errorf("end the batch: %w", err)
	}
	return nil, false, false, nil
}
