package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	watchInterval     = 50 * time.Millisecond  // between two checks of the locked rows while commands wait for them
	watchIdleInterval = 250 * time.Millisecond // the same while no command waits
	watchTimeout      = 2 * time.Second        // of one check
	blockersTimeout   = 300 * time.Millisecond // of finding the sessions that block
	maxReported       = 10                     // locked rows that have log lines and metrics at the same time
)

// LockedRow is a row that another session keeps locked, so that commands that touch it are
// rejected.
type LockedRow struct {
	Account  AccountID // 0 if it is the row of a transfer
	Transfer uuid.UUID // nil UUID if it is the row of an account
	Since    time.Time
	Blockers []int32 // process ids of the blocking sessions
}

// LockStats describes the locks of other sessions that the ledger has encountered.
type LockStats struct {
	Timeouts uint64      // batches that waited for Config.LockTimeout
	Rows     int         // rows that are locked now
	Reported []LockedRow // at most 10 of these rows, the longest locked first
}

// Locks returns the rows that other sessions keep locked.
func (l *Ledger) Locks() LockStats {
	q := l.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	stats := LockStats{Timeouts: l.lockTimeouts.Load(), Rows: len(q.locked.rows)}
	for row, locked := range q.locked.rows {
		if locked.reported {
			stats.Reported = append(stats.Reported, LockedRow{row.account, row.transfer, locked.since, slices.Clone(locked.blockers)})
		}
	}
	slices.SortFunc(stats.Reported, func(a, b LockedRow) int { return a.Since.Compare(b.Since) })
	return stats
}

// removeLocked is called for a batch that has waited too long for a lock. It sets the commands
// apart that touch a row which another session keeps locked, and returns the others.
func (l *Ledger) removeLocked(ctx context.Context, batch []*queuedCommand, cause *batchError) []*queuedCommand {
	l.lockTimeouts.Add(1)
	rows, err := l.findHeldRows(ctx, l.queue.queuedRows(batch))
	if err != nil {
		l.log.Warn("cannot find the locked rows of a batch", "commands", len(batch), "error", err)
		return batch
	}
	if len(rows) == 0 { // the row is free by now, or a table is locked
		l.log.Warn("batch waited for a lock, retrying", "commands", len(batch), "error", cause)
		return batch
	}
	deadline, _ := ctx.Deadline()
	rest, rejected := l.queue.markLocked(rows, batch, deadline)
	l.log.Info("batch waited for a lock, committing the commands that do not need it", "commands", len(batch),
		"now", len(rest), "locked_rows", len(rows), "error", cause)
	l.rejectLocked(rejected)
	return rest
}

// rejectLocked sends an error to the callers of commands that no longer wait for a locked row.
func (l *Ledger) rejectLocked(commands []*queuedCommand) {
	for _, queued := range commands {
		if queued.command.maybeCommitted {
			queued.outcome <- outcome{err: (&batchError{cause: errRowLocked}).forCaller(queued.command)}
		} else {
			queued.outcome <- outcome{err: lockedRowError()}
		}
	}
}

// watchLocks checks the locked rows until the queue is closed and no command waits for one.
func (l *Ledger) watchLocks() {
	for {
		rows, ok := l.queue.waitForLocked()
		if !ok {
			return
		}
		l.checkLockedRows(rows)
		l.rejectLocked(l.queue.takeExpired(time.Now()))
		if l.queue.anyWaiting() {
			time.Sleep(watchInterval)
		} else {
			time.Sleep(watchIdleInterval)
		}
	}
}

// checkLockedRows finds out which of the rows are still locked, and releases the commands of the
// others.
func (l *Ledger) checkLockedRows(rows []rowRef) {
	ctx, cancel := context.WithTimeout(context.Background(), watchTimeout)
	defer cancel()
	locked, err := l.findLocked(ctx, rows)
	if err != nil {
		// While the database is unavailable, it is unknown what is locked: batches will find out.
		l.log.Warn("cannot check the locked rows", "rows", len(rows), "error", err)
		locked = nil
	}
	free := slices.DeleteFunc(rows, func(row rowRef) bool {
		_, still := locked[row]
		return still
	})
	l.reportUnlocked(free)
	l.queue.markUnlocked(free)
	l.reportLocked(ctx, slices.Collect(maps.Keys(locked)))
}

// findHeldRows returns the rows that one transaction keeps locked for longer than a moment. It
// leaves out rows that batches of other processes lock one after another, unless there are no
// others.
func (l *Ledger) findHeldRows(ctx context.Context, rows []rowRef) ([]rowRef, error) {
	before, err := l.findLocked(ctx, rows)
	if err != nil || len(before) == 0 {
		return nil, err
	}
	time.Sleep(watchInterval)
	after, err := l.findLocked(ctx, slices.Collect(maps.Keys(before)))
	if err != nil {
		return nil, err
	}
	var held []rowRef
	for row, holder := range after {
		if holder == before[row] {
			held = append(held, row)
		}
	}
	if len(held) == 0 {
		held = slices.Collect(maps.Keys(after))
	}
	return held, nil
}

// These statements read the transaction that has last locked or changed a row (the system column
// xmax), and the rows that can be locked at this moment.
const (
	holdersOfAccounts  = `SELECT id, xmax::text FROM accounts WHERE id = ANY($1)`
	freeAccounts       = `SELECT id FROM accounts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED`
	holdersOfTransfers = `SELECT t.id, concat(t.xmax, ' ', p.xmax) FROM transfers t
		LEFT JOIN payments p ON p.transfer_id = t.id WHERE t.id = ANY($1)`
	freeTransfers = `SELECT id FROM transfers WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED`
	freePayments  = `SELECT t.id FROM unnest($1::uuid[]) AS t (id)
		WHERE NOT EXISTS (SELECT FROM payments p WHERE p.transfer_id = t.id)
		UNION ALL SELECT * FROM (
			SELECT transfer_id FROM payments WHERE transfer_id = ANY($1) ORDER BY transfer_id FOR UPDATE SKIP LOCKED) f`
)

// findLocked returns the rows that cannot be locked at this moment, each with the transaction that
// holds its lock. It waits for no lock.
func (l *Ledger) findLocked(ctx context.Context, rows []rowRef) (map[rowRef]string, error) {
	accounts, transfers := make([]int64, 0, len(rows)), make([]uuid.UUID, 0, len(rows))
	for _, row := range rows {
		if row.account != 0 {
			accounts = append(accounts, int64(row.account))
		} else {
			transfers = append(transfers, row.transfer)
		}
	}
	locked, transferFree := make(map[rowRef]string, len(rows)), make(map[uuid.UUID]bool)
	var queue pgx.Batch
	queue.Queue(begin)
	queue.Queue(l.rules.tune)
	queue.Queue(holdersOfAccounts, accounts).Query(func(rows pgx.Rows) error {
		return eachPair(rows, func(id AccountID, holder string) { locked[rowRef{account: id}] = holder })
	})
	queue.Queue(freeAccounts, accounts).Query(func(rows pgx.Rows) error {
		return each(rows, func(id AccountID) { delete(locked, rowRef{account: id}) })
	})
	if len(transfers) > 0 {
		queue.Queue(holdersOfTransfers, transfers).Query(func(rows pgx.Rows) error {
			return eachPair(rows, func(id uuid.UUID, holder string) { locked[rowRef{transfer: id}] = holder })
		})
		queue.Queue(freeTransfers, transfers).Query(func(rows pgx.Rows) error {
			return each(rows, func(id uuid.UUID) { transferFree[id] = true })
		})
		queue.Queue(freePayments, transfers).Query(func(rows pgx.Rows) error {
			return each(rows, func(id uuid.UUID) {
				if transferFree[id] {
					delete(locked, rowRef{transfer: id})
				}
			})
		})
	}
	queue.Queue(`ROLLBACK`)
	if err := l.pool.SendBatch(ctx, &queue).Close(); err != nil {
		return nil, fmt.Errorf("find locked rows: %w", err)
	}
	return locked, nil
}

func each[T any](rows pgx.Rows, do func(T)) error {
	var value T
	_, err := pgx.ForEachRow(rows, []any{&value}, func() error {
		do(value)
		return nil
	})
	return err
}

func eachPair[T, U any](rows pgx.Rows, do func(T, U)) error {
	var (
		first  T
		second U
	)
	_, err := pgx.ForEachRow(rows, []any{&first, &second}, func() error {
		do(first, second)
		return nil
	})
	return err
}

// reportLocked logs newly locked rows, at most maxReported of them.
func (l *Ledger) reportLocked(ctx context.Context, locked []rowRef) {
	for _, row := range locked {
		if !l.queue.report(row) {
			continue
		}
		blockers := l.blockers(ctx, row)
		l.queue.setBlockers(row, blockers)
		if len(blockers) == 0 {
			continue // the row is free by now, or the blocking session is not known yet
		}
		l.log.Warn("row is locked by another database session, commands that touch it are rejected until it is free",
			"account", row.account, "transfer", row.transfer, "blocking_pids", blockers)
	}
}

func (l *Ledger) reportUnlocked(free []rowRef) {
	for _, row := range free {
		if since, reported := l.queue.reported(row); reported {
			l.log.Info("row is free again", "account", row.account, "transfer", row.transfer, "locked_for", time.Since(since).Round(time.Millisecond))
		}
	}
}

// report reports whether a locked row is to be logged now: once, and at most maxReported at a time.
func (q *commandQueue) report(row rowRef) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	reported := 0
	for _, locked := range q.locked.rows {
		if locked.reported {
			reported++
		}
	}
	locked := q.locked.rows[row]
	if locked == nil || locked.reported || reported >= maxReported {
		return false
	}
	locked.reported = true
	return true
}

func (q *commandQueue) reported(row rowRef) (since time.Time, reported bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	locked := q.locked.rows[row]
	if locked == nil {
		return time.Time{}, false
	}
	return locked.since, locked.reported
}

func (q *commandQueue) setBlockers(row rowRef, blockers []int32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if locked := q.locked.rows[row]; locked != nil {
		locked.blockers, locked.reported = blockers, len(blockers) > 0
	}
}

// blockers returns the process ids of the sessions that keep a row locked or wait for its lock.
// PostgreSQL names them only for a session that waits, so that one session waits for a moment.
func (l *Ledger) blockers(ctx context.Context, row rowRef) []int32 {
	const (
		setTimeout  = `SELECT set_config('lock_timeout', $1, true)`
		lockAccount = `SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE`
		lockOther   = `SELECT FROM transfers t LEFT JOIN LATERAL (SELECT FROM payments WHERE transfer_id = t.id FOR UPDATE) p ON true
			WHERE t.id = $1 FOR NO KEY UPDATE OF t`
		// If sessions wait for each other, the one that holds the lock is found last.
		find = `WITH RECURSIVE blocker (pid) AS (
				SELECT unnest(pg_blocking_pids($1))
				UNION SELECT unnest(pg_blocking_pids(b.pid)) FROM blocker b)
			SELECT COALESCE(array_agg(pid), '{}') FROM (SELECT pid FROM blocker LIMIT 10) b`
	)
	ctx, cancel := context.WithTimeout(ctx, 2*blockersTimeout)
	defer cancel()
	waiter, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil
	}
	var queue pgx.Batch
	queue.Queue(begin)
	queue.Queue(setTimeout, fmt.Sprintf("%dms", blockersTimeout.Milliseconds()))
	if row.account != 0 {
		queue.Queue(lockAccount, row.account)
	} else {
		queue.Queue(lockOther, row.transfer)
	}
	queue.Queue(`ROLLBACK`)
	pid, waited := waiter.Conn().PgConn().PID(), make(chan struct{})
	go func() {
		defer close(waited)
		_ = waiter.SendBatch(ctx, &queue).Close() // is expected to fail
		waiter.Release()                          // closes the connection, since its transaction has failed
	}()
	for {
		var pids []int32
		err := l.pool.QueryRow(ctx, find, pid).Scan(&pids)
		select {
		case <-waited:
			return nil
		default:
		}
		if err != nil || len(pids) > 0 {
			<-waited
			return pids
		}
		pause(ctx, 1)
	}
}
