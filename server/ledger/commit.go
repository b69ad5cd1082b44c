package ledger

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/problem"
)

// submit puts a command in line and waits for its outcome. When ctx ends first
// the command is carried out all the same, and its outcome is unknown here.
func (l *Ledger) submit(ctx context.Context, c *command) (Result, error) {
	if err := failpoint.Point("ledger.intake"); err != nil {
		return Result{}, unavailable("take the command", err)
	}
	w := &waiting{command: c, outcome: make(chan outcome, 1)}
	if err := l.intake.join(w); err != nil {
		return Result{}, err
	}
	_ = failpoint.Point("ledger.joined")
	select {
	case o := <-w.outcome:
		return o.result, o.err
	case <-ctx.Done():
		return Result{}, &problem.Error{
			Code: OutcomeUnknown, Message: "you stopped waiting; ask again with the same key", Cause: ctx.Err(),
		}
	}
}

// commitLoop carries out one batch after the other until the line is closed and empty.
func (l *Ledger) commitLoop() {
	for {
		batch := l.intake.take(l.config.MaxBatch)
		if batch == nil {
			return
		}
		l.carryOut(batch)
		l.intake.done(batch)
	}
}

// carryOut gives each command of the batch its outcome, or leaves it to watchLocks.
func (l *Ledger) carryOut(batch []*waiting) {
	// Nobody's context: a caller that hangs up must not undo its neighbours.
	ctx, cancel := context.WithTimeout(context.Background(), l.config.Patience)
	defer cancel()
	batch, err := l.withLocks(ctx, batch)
	if err == nil {
		return
	}
	if len(batch) == 1 || !err.rejected {
		l.giveUp(batch, err)
		return
	}
	l.log.Error("batch rejected, trying its commands alone", "commands", len(batch), "error", err)
	l.carryOutAlone(batch)
}

// withLocks carries out what of a batch it can get the locks of, and leaves the rest to
// watchLocks. With an error, the commands that it returns have no outcome.
func (l *Ledger) withLocks(ctx context.Context, batch []*waiting) ([]*waiting, *batchError) {
	for {
		err := l.together(ctx, batch)
		if err == nil {
			return nil, nil
		}
		if !err.locked {
			return batch, err
		}
		if batch = l.withoutLocked(ctx, batch, err); len(batch) == 0 {
			return nil, nil
		}
		if ctx.Err() != nil {
			return batch, err
		}
	}
}

func (l *Ledger) carryOutAlone(batch []*waiting) {
	for i := range batch {
		_ = failpoint.Point("ledger.alone")
		ctx, cancel := context.WithTimeout(context.Background(), l.config.Patience)
		alone, err := l.withLocks(ctx, batch[i:i+1])
		cancel()
		if err != nil && err.rejected {
			l.giveUp(alone, err)
		} else if err != nil { // the database is away: waiting once for it is enough
			l.giveUp(batch[i:], err)
			return
		}
	}
}

// together carries a batch out in one transaction, and gives the outcomes if it
// could.
func (l *Ledger) together(ctx context.Context, batch []*waiting) *batchError {
	commands := make([]*command, len(batch))
	for i, w := range batch {
		commands[i] = w.command
	}
	started := time.Now()
	outcomes, err := l.attempt(ctx, commands)
	if err != nil {
		return err
	}
	_ = failpoint.Point("ledger.before_answer")
	l.config.OnBatch(BatchStats{Commands: len(batch), Duration: time.Since(started)})
	for i, w := range batch {
		w.outcome <- outcomes[i]
	}
	l.feed.nudge()
	return nil
}

func (l *Ledger) giveUp(batch []*waiting, err *batchError) {
	l.log.Error("batch failed", "commands", len(batch), "error", err)
	_ = failpoint.Point("ledger.gave_up")
	for _, w := range batch {
		w.outcome <- outcome{err: err.forCaller(w.command)}
	}
}

// batchError is why a batch was given up.
type batchError struct {
	cause    error
	rejected bool // the database, or the rule book, would not have it
	wrote    bool // and said so while it was being written, under its locks
	locked   bool // it waited for a lock for Config.LockTimeout, and has not happened
}

func (e *batchError) Error() string { return e.cause.Error() }
func (e *batchError) Unwrap() error { return e.cause }

func (e *batchError) forCaller(c *command) *problem.Error {
	switch {
	case e.rejected && (e.wrote || !c.unsure):
		// A command of which an earlier try was committed has nothing to write.
		return &problem.Error{Code: Internal, Message: "the database refused the transfer", Cause: e.cause}
	case c.unsure:
		return &problem.Error{Code: OutcomeUnknown, Message: "the database did not answer; ask again with the same key", Cause: e.cause}
	default:
		return unavailable("reach the database", e.cause)
	}
}

// attempt runs the batch until it is committed, rejected, has waited too long for a lock, or ctx ends. Running it
// again after a COMMIT without an answer is what resolves that COMMIT: lockAccounts
// waits until the first try has ended either way, and then the keys, and the
// states of the targets, tell whether it had happened.
func (l *Ledger) attempt(ctx context.Context, commands []*command) ([]outcome, *batchError) {
	for try := 1; ; try++ {
		outcomes, wrote, err := l.once(ctx, commands)
		if err == nil {
			return outcomes, nil
		}
		switch verdict(err) {
		case rejected:
			return nil, &batchError{cause: err, rejected: true, wrote: wrote}
		case lost:
			for _, c := range commands {
				c.unsure = c.unsure || wrote
			}
		case locked:
			return nil, &batchError{cause: err, locked: true}
		case conflicted:
		}
		if ctx.Err() != nil {
			return nil, &batchError{cause: err}
		}
		l.log.Warn("batch failed, trying again", "try", try, "commands", len(commands), "error", err)
		_ = failpoint.Point("ledger.before_retry")
		pause(ctx, try)
	}
}

// once runs the batch on one connection; wrote tells whether a COMMIT may have
// reached the database.
func (l *Ledger) once(ctx context.Context, commands []*command) (_ []outcome, wrote bool, _ error) {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return nil, false, err
	}
	defer conn.Release() // which closes it unless it is idle and sound
	outcomes, wrote, err := l.rules.run(ctx, conn.Conn(), commands)
	if _, told := errors.AsType[*pgconn.PgError](err); told && !conn.Conn().IsClosed() {
		// The connection is sound, only the transaction is spoilt.
		_, _ = conn.Exec(ctx, `ROLLBACK`) // should it fail, Release closes the connection
	}
	return outcomes, wrote, err
}

type judgement int

const (
	lost       judgement = iota // the database is away, or its answer is: try again
	conflicted                  // another transaction was in the way: try again
	locked                      // another transaction keeps a lock for too long
	rejected                    // the database said no: trying again changes nothing
)

// verdict judges by SQLSTATE class (PostgreSQL manual, appendix A), never by text.
func verdict(err error) judgement {
	if _, ours := errors.AsType[*defect](err); ours {
		return rejected
	}
	if _, connecting := errors.AsType[*pgconn.ConnectError](err); connecting {
		return lost // whatever it said, it was not about the batch
	}
	told, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return lost
	}
	switch {
	case told.Code == "40003": // statement completion unknown: what distributed databases say of a lost COMMIT
		return lost
	case told.Code == "23505" && told.ConstraintName == "transfers_key":
		// The key was committed between our look and our row, from an account that
		// is not in this batch. The next look finds it.
		return conflicted
	case told.Code == "0A000" && told.Routine == "RevalidateCachedQuery":
		return conflicted // the statement was prepared before a migration: it will be prepared anew
	case told.Code == "55P03": // lock not available
		return locked
	}
	switch told.Code[:2] {
	case "40", "55": // serialization failure, deadlock; an object is not in the state that it has to be in
		return conflicted
	case "08", "25", "53", "57", "58", "XX": // connection, idle too long, resources, shutdown, I/O
		return lost
	default:
		return rejected
	}
}

// pause waits a little longer after each try, with jitter; at most 400 ms.
func pause(ctx context.Context, try int) {
	longest := min(5<<min(try, 7), 400)
	timer := time.NewTimer(time.Duration(1+rand.IntN(longest)) * time.Millisecond) //nolint:gosec // jitter
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
