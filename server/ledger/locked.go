package ledger

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/problem"
)

// What happens when another session keeps a row locked:
//
//	batch ─lock_timeout─► findLocked finds the rows ─► their commands wait apart,
//	                                                   the others are committed
//	new command ─touches such a row─► waits apart at once
//	watchLocks ─every 50 ms: is the row free?─┬► yes: its commands go to the queue's head
//	                                          └► no, and the time is up: unavailable
const (
	// lockWait is how long a command waits for a row that another session keeps locked,
	// after a batch has found it locked. Then its caller gets Unavailable: nothing was done.
	lockWait       = 2 * time.Second
	maxLockWaiters = 512 // commands that may wait for locked rows; further ones are rejected
)

var errRowLocked = errors.New("another database session keeps the row locked")

func lockedRowError() *problem.Error {
	return &problem.Error{
		Code: Unavailable, Cause: errRowLocked,
		Message: "another database session keeps one of the accounts locked; nothing was done, try again in a moment",
	}
}

// rowRef names a row that a batch locks: an account, or a transfer together with its payment.
type rowRef struct {
	account  AccountID
	transfer uuid.UUID
}

// rowsOf returns the rows that a command locks, and perhaps the zero rowRef.
func rowsOf(c *command) []rowRef {
	rows := []rowRef{{account: c.debit}, {account: c.credit}, {transfer: c.target}}
	for _, part := range c.group {
		rows = append(rows, rowsOf(part)...)
	}
	return rows
}

// lockedRow is a row that another session keeps locked.
type lockedRow struct {
	since    time.Time
	blockers []int32 // process ids of the blocking sessions, as far as they are known
	reported bool
}

// lockedRows are the rows known to be locked and the commands that wait for them. The mutex of
// commandQueue protects it.
type lockedRows struct {
	rows    map[rowRef]*lockedRow
	waiting []*queuedCommand
}

func newLockedRows() lockedRows { return lockedRows{rows: make(map[rowRef]*lockedRow)} }

// blocks reports whether a command touches a row that is known to be locked.
func (r *lockedRows) blocks(c *command) bool {
	if len(r.rows) == 0 {
		return false
	}
	for _, row := range rowsOf(c) {
		if r.rows[row] != nil {
			return true
		}
	}
	return false
}

// addWaiting keeps a command until its rows are free or the deadline has passed. A command
// that has waited before keeps its first deadline. It returns false if maxLockWaiters commands
// wait already.
func (r *lockedRows) addWaiting(c *queuedCommand, deadline time.Time) bool {
	if len(r.waiting) >= maxLockWaiters {
		return false
	}
	if c.lockDeadline.IsZero() {
		c.lockDeadline = deadline
	}
	r.waiting = append(r.waiting, c)
	return true
}

// markLocked records that rows are locked and sets apart the commands that touch them: those of
// a batch, which has until batchDeadline, and those in the queue. It returns the rest of the
// batch, and the commands to reject because too many wait already.
func (q *commandQueue) markLocked(rows []rowRef, batch []*queuedCommand, batchDeadline time.Time) (rest, rejected []*queuedCommand) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, row := range rows {
		if q.locked.rows[row] == nil {
			q.locked.rows[row] = &lockedRow{since: time.Now()}
		}
	}
	lockDeadline := time.Now().Add(lockWait)
	for _, c := range batch {
		deadline := batchDeadline // a command that may have been committed waits as long as it can
		if !c.command.maybeCommitted && lockDeadline.Before(batchDeadline) {
			deadline = lockDeadline
		}
		switch {
		case !q.locked.blocks(c.command):
			rest = append(rest, c)
		case !q.locked.addWaiting(c, deadline):
			rejected = append(rejected, c)
		}
	}
	setApart := func(c *queuedCommand) bool {
		if !q.locked.blocks(c.command) {
			return false
		}
		if !q.locked.addWaiting(c, lockDeadline) {
			rejected = append(rejected, c)
		}
		return true
	}
	q.commands = slices.DeleteFunc(q.commands, setApart)
	q.bulk = slices.DeleteFunc(q.bulk, setApart)
	q.bulkSize = size(q.bulk)
	q.unscanned = min(q.unscanned, q.waiting())
	q.lockedChanged.Broadcast()
	return rest, rejected
}

// markUnlocked records that rows are free again. It moves the commands that waited for them, and
// for no other row, to the head of the queue.
func (q *commandQueue) markUnlocked(rows []rowRef) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, row := range rows {
		delete(q.locked.rows, row)
	}
	var free, freeBulk []*queuedCommand
	q.locked.waiting = slices.DeleteFunc(q.locked.waiting, func(c *queuedCommand) bool {
		if q.locked.blocks(c.command) {
			return false
		}
		c.inBatch = false
		if c.bulk {
			freeBulk = append(freeBulk, c)
		} else {
			free = append(free, c)
		}
		return true
	})
	q.commands = append(free, q.commands...)
	q.bulk = append(freeBulk, q.bulk...)
	q.bulkSize += size(freeBulk)
	q.unscanned += len(free) + size(freeBulk)
	q.changed.Broadcast()
}

// takeExpired removes and returns the commands whose lockDeadline has passed.
func (q *commandQueue) takeExpired(now time.Time) (expired []*queuedCommand) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.locked.waiting = slices.DeleteFunc(q.locked.waiting, func(c *queuedCommand) bool {
		if now.Before(c.lockDeadline) {
			return false
		}
		expired = append(expired, c)
		return true
	})
	q.changed.Broadcast() // the queue may be closed, and empty now
	return expired
}

// anyWaiting reports whether a command waits for a locked row.
func (q *commandQueue) anyWaiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.locked.waiting) > 0
}

// waitForLocked waits until rows are locked and returns them. It returns false when the queue is
// closed and no command waits for a row.
func (q *commandQueue) waitForLocked() ([]rowRef, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.closed && len(q.locked.waiting) == 0:
			return nil, false
		case len(q.locked.rows) > 0:
			return slices.Collect(maps.Keys(q.locked.rows)), true
		}
		q.lockedChanged.Wait()
	}
}

// queuedRows returns the rows of a batch and of the queued commands, each once, without those
// that other batches in flight have locked.
func (q *commandQueue) queuedRows(batch []*queuedCommand) []rowRef {
	q.mu.Lock()
	defer q.mu.Unlock()
	rows := make(map[rowRef]struct{}, 2*(size(batch)+q.waiting()))
	add := func(c *command) {
		for _, row := range rowsOf(c) {
			if row != (rowRef{}) {
				rows[row] = struct{}{}
			}
		}
	}
	for _, c := range batch {
		add(c.command)
	}
	for _, c := range slices.Concat(q.commands, q.bulk) {
		if !q.busyAccounts.touchedBy(c.command) { // otherwise a batch of this process has locked them
			add(c.command)
		}
	}
	return slices.Collect(maps.Keys(rows))
}

// lockedAccounts returns the accounts that other sessions keep locked.
func (q *commandQueue) lockedAccounts() []AccountID {
	q.mu.Lock()
	defer q.mu.Unlock()
	accounts := make([]AccountID, 0, len(q.locked.rows))
	for row := range q.locked.rows {
		if row.account != 0 {
			accounts = append(accounts, row.account)
		}
	}
	return accounts
}
