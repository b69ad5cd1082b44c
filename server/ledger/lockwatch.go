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
	watchEvery   = 50 * time.Millisecond  // how often a locked row is looked at for which commands wait
	watchIdle    = 250 * time.Millisecond // the same where none does
	watchWithin  = 2 * time.Second        // bounds one look
	blockersWait = 300 * time.Millisecond // for the database to say which sessions are in the way
	maxReported  = 10                     // locked rows that have a log line and metrics of their own at once
)

// LockedRow is a row that another session keeps locked, so that the commands that touch it
// are refused.
type LockedRow struct {
	Account  int64     // 0 where it is the row of a transfer
	Transfer uuid.UUID // nil UUID where it is the row of an account
	Since    time.Time
	Blockers []int32 // process ids of the sessions in the way
}

// LockStats describe what the ledger has met of other sessions' locks.
type LockStats struct {
	Timeouts uint64      // batches that waited for Config.LockTimeout
	Rows     int         // that are locked now
	Reported []LockedRow // of these, at most 10, longest first
}

// Locks says which rows other sessions keep locked.
func (l *Ledger) Locks() LockStats {
	n := l.intake
	n.mu.Lock()
	defer n.mu.Unlock()
	stats := LockStats{Timeouts: l.lockTimeouts.Load(), Rows: len(n.parking.locked)}
	for row, locked := range n.parking.locked {
		if locked.reported {
			stats.Reported = append(stats.Reported, LockedRow{row.account, row.transfer, locked.since, slices.Clone(locked.blockers)})
		}
	}
	slices.SortFunc(stats.Reported, func(a, b LockedRow) int { return a.Since.Compare(b.Since) })
	return stats
}

// withoutLocked is called for a batch that has waited too long for a lock. It parks the
// commands that touch a row which another session keeps locked, and gives the others.
func (l *Ledger) withoutLocked(ctx context.Context, batch []*waiting, cause *batchError) []*waiting {
	l.lockTimeouts.Add(1)
	rows, err := l.findHeld(ctx, l.intake.rowsInLine(batch))
	if err != nil {
		l.log.Warn("the locked rows of a batch are not known", "commands", len(batch), "error", err)
		return batch
	}
	if len(rows) == 0 { // it is free by now, or a table is locked
		l.log.Warn("batch waited for a lock, trying again", "commands", len(batch), "error", cause)
		return batch
	}
	deadline, _ := ctx.Deadline()
	rest, refused := l.intake.lock(rows, batch, deadline)
	l.log.Info("batch waited for a lock, committing the commands that do not need it", "commands", len(batch),
		"now", len(rest), "locked_rows", len(rows), "error", cause)
	l.refuseLocked(refused)
	return rest
}

// refuseLocked answers commands that do not wait for a locked row any longer.
func (l *Ledger) refuseLocked(commands []*waiting) {
	for _, w := range commands {
		if w.command.unsure {
			w.outcome <- outcome{err: (&batchError{cause: errRowLocked}).forCaller(w.command)}
		} else {
			w.outcome <- outcome{err: rowLocked()}
		}
	}
}

// watchLocks looks at locked rows until the line is closed and no command waits for one.
func (l *Ledger) watchLocks() {
	for {
		rows, ok := l.intake.awaitLocked()
		if !ok {
			return
		}
		l.watchOnce(rows)
		l.refuseLocked(l.intake.expired(time.Now()))
		if l.intake.anyParked() {
			time.Sleep(watchEvery)
		} else {
			time.Sleep(watchIdle)
		}
	}
}

func (l *Ledger) watchOnce(rows []rowRef) {
	ctx, cancel := context.WithTimeout(context.Background(), watchWithin)
	defer cancel()
	locked, err := l.findLocked(ctx, rows)
	if err != nil {
		// What is locked is not known while the database is away: batches find it out.
		l.log.Warn("locked rows cannot be looked at", "rows", len(rows), "error", err)
		locked = nil
	}
	free := slices.DeleteFunc(rows, func(row rowRef) bool {
		_, still := locked[row]
		return still
	})
	l.reportFree(free)
	l.intake.unlock(free)
	l.reportLocked(ctx, slices.Collect(maps.Keys(locked)))
}

// findHeld tells which rows one and the same transaction keeps locked. A row that batches
// of other processes lock one after the other is not among them, unless there is no other
// cause of waiting.
func (l *Ledger) findHeld(ctx context.Context, rows []rowRef) ([]rowRef, error) {
	before, err := l.findLocked(ctx, rows)
	if err != nil || len(before) == 0 {
		return nil, err
	}
	time.Sleep(watchEvery)
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

// Rows with the transaction that has locked or changed them last (the system column xmax),
// and those that can be locked at this moment.
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

// findLocked tells which of the rows cannot be locked at this moment, and the transaction
// that keeps each. It waits for none.
func (l *Ledger) findLocked(ctx context.Context, rows []rowRef) (map[rowRef]string, error) {
	accounts, transfers := make([]int64, 0, len(rows)), make([]uuid.UUID, 0, len(rows))
	for _, row := range rows {
		if row.account != 0 {
			accounts = append(accounts, row.account)
		} else {
			transfers = append(transfers, row.transfer)
		}
	}
	locked, halfFree := make(map[rowRef]string, len(rows)), make(map[uuid.UUID]bool)
	var queue pgx.Batch
	queue.Queue(begin)
	queue.Queue(l.rules.tune)
	queue.Queue(holdersOfAccounts, accounts).Query(func(rows pgx.Rows) error {
		return eachPair(rows, func(id int64, holder string) { locked[rowRef{account: id}] = holder })
	})
	queue.Queue(freeAccounts, accounts).Query(func(rows pgx.Rows) error {
		return each(rows, func(id int64) { delete(locked, rowRef{account: id}) })
	})
	if len(transfers) > 0 {
		queue.Queue(holdersOfTransfers, transfers).Query(func(rows pgx.Rows) error {
			return eachPair(rows, func(id uuid.UUID, holder string) { locked[rowRef{transfer: id}] = holder })
		})
		queue.Queue(freeTransfers, transfers).Query(func(rows pgx.Rows) error {
			return each(rows, func(id uuid.UUID) { halfFree[id] = true })
		})
		queue.Queue(freePayments, transfers).Query(func(rows pgx.Rows) error {
			return each(rows, func(id uuid.UUID) {
				if halfFree[id] {
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

// reportLocked gives newly locked rows a log line each, as long as there are not many.
func (l *Ledger) reportLocked(ctx context.Context, locked []rowRef) {
	for _, row := range locked {
		if !l.intake.report(row) {
			continue
		}
		blockers := l.blockers(ctx, row)
		l.intake.blockedBy(row, blockers)
		if len(blockers) == 0 {
			continue // it is free by now, or who keeps it is not known yet
		}
		l.log.Warn("row is locked by another database session, commands that touch it are refused until it is free",
			"account", row.account, "transfer", row.transfer, "blocking_pids", blockers)
	}
}

func (l *Ledger) reportFree(free []rowRef) {
	for _, row := range free {
		if since, reported := l.intake.reported(row); reported {
			l.log.Info("row is free again", "account", row.account, "transfer", row.transfer, "locked_for", time.Since(since).Round(time.Millisecond))
		}
	}
}

// report tells whether a locked row is to be reported now: once, and a few at a time.
func (n *intake) report(row rowRef) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	reported := 0
	for _, locked := range n.parking.locked {
		if locked.reported {
			reported++
		}
	}
	locked := n.parking.locked[row]
	if locked == nil || locked.reported || reported >= maxReported {
		return false
	}
	locked.reported = true
	return true
}

func (n *intake) reported(row rowRef) (since time.Time, reported bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	locked := n.parking.locked[row]
	if locked == nil {
		return time.Time{}, false
	}
	return locked.since, locked.reported
}

func (n *intake) blockedBy(row rowRef, blockers []int32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if locked := n.parking.locked[row]; locked != nil {
		locked.blockers, locked.reported = blockers, len(blockers) > 0
	}
}

// blockers are the process ids of the sessions that keep a row locked, or that wait for it.
// The database names them to a session that waits too, so one does, for a moment.
func (l *Ledger) blockers(ctx context.Context, row rowRef) []int32 {
	const (
		bound       = `SELECT set_config('lock_timeout', $1, true)`
		lockAccount = `SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE`
		lockOther   = `SELECT FROM transfers t LEFT JOIN LATERAL (SELECT FROM payments WHERE transfer_id = t.id FOR UPDATE) p ON true
			WHERE t.id = $1 FOR NO KEY UPDATE OF t`
		// Where sessions wait for one another, the one at the head is the last to be found.
		find = `WITH RECURSIVE blocker (pid) AS (
				SELECT unnest(pg_blocking_pids($1))
				UNION SELECT unnest(pg_blocking_pids(b.pid)) FROM blocker b)
			SELECT COALESCE(array_agg(pid), '{}') FROM (SELECT pid FROM blocker LIMIT 10) b`
	)
	ctx, cancel := context.WithTimeout(ctx, 2*blockersWait)
	defer cancel()
	waiter, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil
	}
	var queue pgx.Batch
	queue.Queue(begin)
	queue.Queue(bound, fmt.Sprintf("%dms", blockersWait.Milliseconds()))
	if row.account != 0 {
		queue.Queue(lockAccount, row.account)
	} else {
		queue.Queue(lockOther, row.transfer)
	}
	queue.Queue(`ROLLBACK`)
	pid, waited := waiter.Conn().PgConn().PID(), make(chan struct{})
	go func() {
		defer close(waited)
		_ = waiter.SendBatch(ctx, &queue).Close() // it is to fail
		waiter.Release()                          // which closes it, its transaction being spoilt
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
