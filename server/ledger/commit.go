package ledger

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/pgerr"
	"github.com/JDevAman/kizo/server/problem"
)

// submit enqueues a command and waits for its outcome. If ctx ends first, the command is
// executed all the same, and its outcome is unknown to the caller.
func (l *Ledger) submit(ctx context.Context, c *command) (Result, error) {
	queued := &queuedCommand{command: c, outcome: make(chan outcome, 1)}
	if err := l.enqueue(queued); err != nil {
		return Result{}, err
	}
	o := await(ctx, queued)
	return o.result, o.err
}

func (l *Ledger) enqueue(c *queuedCommand) error {
	if err := failpoint.Point("ledger.enqueue"); err != nil {
		return unavailable("take the command", err)
	}
	return l.queue.enqueue(c)
}

// await waits for the outcome of a queued command, or until ctx ends.
func await(ctx context.Context, c *queuedCommand) outcome {
	select {
	case o := <-c.outcome:
		return o
	case <-ctx.Done():
		return outcome{err: &problem.Error{
			Code: OutcomeUnknown, Message: "you stopped waiting; ask again with the same key", Cause: ctx.Err(),
		}}
	}
}

// commitLoop commits one batch after another until the queue is closed and empty.
func (l *Ledger) commitLoop() {
	for {
		batch := l.queue.nextBatch(l.config.MaxBatch)
		if batch == nil {
			return
		}
		l.commitBatch(batch)
		l.queue.batchDone(batch)
	}
}

// commitBatch sends each command of the batch its outcome, or leaves the command to watchLocks.
func (l *Ledger) commitBatch(batch []*queuedCommand) {
	// The context of no caller: a caller that disconnects must not cancel the other commands.
	ctx, cancel := context.WithTimeout(context.Background(), l.config.BatchTimeout)
	defer cancel()
	batch, err := l.commitLockable(ctx, batch)
	if err == nil {
		return
	}
	if len(batch) == 1 || !err.rejected {
		l.failBatch(batch, err)
		return
	}
	l.log.Error("batch rejected, committing its commands separately", "commands", len(batch), "error", err)
	l.commitSeparately(batch)
}

// commitLockable commits the commands of a batch whose rows it can lock, and leaves the others to
// watchLocks. With an error, the commands that it returns have no outcome yet.
func (l *Ledger) commitLockable(ctx context.Context, batch []*queuedCommand) ([]*queuedCommand, *batchError) {
	for {
		err := l.commitTogether(ctx, batch)
		if err == nil {
			return nil, nil
		}
		if !err.locked {
			return batch, err
		}
		if batch = l.removeLocked(ctx, batch, err); len(batch) == 0 {
			return nil, nil
		}
		if ctx.Err() != nil {
			return batch, err
		}
	}
}

// commitSeparately commits each command of a rejected batch in a transaction of its own, so that
// only the commands that the database or the rules reject fail.
func (l *Ledger) commitSeparately(batch []*queuedCommand) {
	for i := range batch {
		ctx, cancel := context.WithTimeout(context.Background(), l.config.BatchTimeout)
		single, err := l.commitLockable(ctx, batch[i:i+1])
		cancel()
		if err != nil && err.rejected {
			l.failBatch(single, err)
		} else if err != nil { // the database is unavailable: do not wait again for each command
			l.failBatch(batch[i:], err)
			return
		}
	}
}

// commitTogether commits a batch in one transaction and sends the outcomes if that succeeds.
func (l *Ledger) commitTogether(ctx context.Context, batch []*queuedCommand) *batchError {
	commands := make([]*command, len(batch))
	for i, queued := range batch {
		commands[i] = queued.command
	}
	started := time.Now()
	outcomes, err := l.commitWithRetry(ctx, commands)
	if err != nil {
		return err
	}
	l.config.OnBatch(BatchStats{Commands: size(batch), Duration: time.Since(started)})
	for i, queued := range batch {
		queued.outcome <- outcomes[i]
	}
	l.feed.notify()
	return nil
}

// failBatch sends the error to the callers of all commands of a batch.
func (l *Ledger) failBatch(batch []*queuedCommand, err *batchError) {
	l.log.Error("batch failed", "commands", len(batch), "error", err)
	_ = failpoint.Point("ledger.batch_failed")
	for _, queued := range batch {
		queued.outcome <- outcome{err: err.forCaller(queued.command)}
	}
}

// batchError is why a batch was not committed.
type batchError struct {
	cause    error
	rejected bool // the database or the rules reject the batch: a retry would fail as well
	wrote    bool // it was rejected while it was written, when it held its locks
	locked   bool // it waited for a lock for Config.LockTimeout and changed nothing
}

func (e *batchError) Error() string { return e.cause.Error() }
func (e *batchError) Unwrap() error { return e.cause }

// forCaller returns the error for the caller of one command of the batch.
func (e *batchError) forCaller(c *command) *problem.Error {
	switch {
	case e.rejected && (e.wrote && !c.lostUnlocked || !c.maybeCommitted):
		// If an earlier attempt had been committed, there would have been nothing to write.
		return &problem.Error{Code: Internal, Message: "the database refused the transfer", Cause: e.cause}
	case c.maybeCommitted:
		return &problem.Error{Code: OutcomeUnknown, Message: "the database did not answer; ask again with the same key", Cause: e.cause}
	default:
		return unavailable("reach the database", e.cause)
	}
}

// commitWithRetry runs the batch until it is committed, is rejected, has waited too long for a
// lock, or ctx ends. Running it again is what resolves a COMMIT whose answer was lost:
// lockAccounts waits until the first attempt has ended either way, and then the keys, and the
// states of the targets, show whether it was committed. A first attempt that was decided on
// remembered accounts may not have locked them yet: it then waits for the second one, finds its
// keys, and fails.
func (l *Ledger) commitWithRetry(ctx context.Context, commands []*command) ([]outcome, *batchError) {
	for attempt := 1; ; attempt++ {
		outcomes, wrote, err := l.commitOnce(ctx, commands)
		if err == nil {
			return outcomes, nil
		}
		switch classify(err) {
		case pgerr.Rejected:
			return nil, &batchError{cause: err, rejected: true, wrote: wrote}
		case pgerr.Lost:
			for _, c := range commands {
				c.maybeCommitted = c.maybeCommitted || wrote
			}
		case pgerr.Locked:
			return nil, &batchError{cause: err, locked: true}
		case pgerr.Conflict:
		}
		if ctx.Err() != nil {
			return nil, &batchError{cause: err}
		}
		l.log.Warn("batch failed, retrying", "attempt", attempt, "commands", len(commands), "error", err)
		_ = failpoint.Point("ledger.before_retry")
		pause(ctx, attempt)
	}
}

// commitOnce runs the batch on one connection. wrote reports whether a COMMIT may have reached
// the database.
func (l *Ledger) commitOnce(ctx context.Context, commands []*command) (_ []outcome, wrote bool, _ error) {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil, false, err
	}
	defer conn.Release() // closes the connection unless it is idle and usable
	outcomes, wrote, err := l.rules.run(ctx, conn.Conn(), commands)
	if pgerr.State(err) != "" && !conn.Conn().IsClosed() {
		// The connection is usable; only the transaction has failed.
		_, _ = conn.Exec(ctx, `ROLLBACK`) // if it fails, Release closes the connection
	}
	return outcomes, wrote, err
}

// classify is [pgerr.Classify] with what the ledger knows of its own errors and tables.
func classify(err error) pgerr.Class {
	if _, ok := errors.AsType[*decidePanic](err); ok {
		return pgerr.Rejected
	}
	if pgerr.ViolatedUnique(err) == "transfers_key" {
		// The key was committed between our look and our row, from an account that is not in
		// this batch. The retry finds it.
		return pgerr.Conflict
	}
	return pgerr.Classify(err)
}

// pause waits before the next attempt: longer after each one, with jitter, at most 400 ms.
func pause(ctx context.Context, attempt int) {
	maxMillis := min(5<<min(attempt, 7), 400)
	timer := time.NewTimer(time.Duration(1+rand.IntN(maxMillis)) * time.Millisecond) //nolint:gosec // jitter
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
