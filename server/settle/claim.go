package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/failpoint"
)

// claim is the right to attempt a payment until its lease ends or another claim increments the
// fence.
type claim struct {
	transfer    uuid.UUID
	instruction bank.Instruction
	fence       int64
	attempts    int // including this one
	age         time.Duration
	unconfirmed string // what Submit answered at an earlier attempt, if Status has not confirmed it
	trace       trace.Context
}

// maxDetail is the largest number of characters of an error that a row keeps.
const maxDetail = 500

const claimColumns = `transfer_id, direction, external_ref, amount, currency, fence, attempts, unconfirmed, trace,
	EXTRACT(EPOCH FROM clock_timestamp() - created_at)::float8`

func scanClaim(row pgx.CollectableRow) (claim, error) {
	var (
		c      claim
		traced string
		age    float64
	)
	err := row.Scan(&c.transfer, &c.instruction.Direction, &c.instruction.Ref, &c.instruction.Amount,
		&c.instruction.Currency, &c.fence, &c.attempts, &c.unconfirmed, &traced, &age)
	c.age = time.Duration(age * float64(time.Second))
	c.trace, _ = trace.Parse(traced)
	return c, err
}

// logger adds the transfer and the trace of the payment to all records of log.
func (c claim) logger(log *slog.Logger) *slog.Logger {
	return log.With("transfer", c.transfer, "trace_id", c.trace.TraceID())
}

// statementContext returns a context for one SQL statement. It does not end with ctx, so a worker
// that is stopped can still store or release its claim.
func statementContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), statementTimeout)
}

// The conditions of the two queries below compare with statement_timestamp() because it is
// stable: PostgreSQL can use the index. It is never later than clock_timestamp(), so a payment
// may be claimed slightly too late, never too early.

// claimOne claims a payment that is due and that no other worker has claimed. From now on the
// bank may know the payment, so its state is unknown until the bank answers. ok is false if there
// is nothing to claim.
func (s *Settler) claimOne(ctx context.Context, transfer uuid.UUID) (c claim, ok bool, err error) {
	ctx, cancel := statementContext(ctx)
	defer cancel()
	if err := failpoint.Point("settle.before_claim"); err != nil {
		return claim{}, false, err
	}
	rows, err := s.pool.Query(ctx, claimOneQuery, transfer, s.config.Lease)
	if err != nil {
		return claim{}, false, fmt.Errorf("claim payment %s: %w", transfer, err)
	}
	c, err = pgx.CollectExactlyOneRow(rows, scanClaim)
	if errors.Is(err, pgx.ErrNoRows) {
		return claim{}, false, nil // settled, claimed by another worker, or not due
	}
	if err != nil {
		return claim{}, false, fmt.Errorf("claim payment %s: %w", transfer, err)
	}
	return c, true, nil
}

const claimOneQuery = `UPDATE payments SET state = 'unknown', fence = fence + 1, attempts = attempts + 1,
		lease_until = clock_timestamp() + $2, next_at = clock_timestamp() + $2, updated_at = clock_timestamp()
	WHERE transfer_id = $1 AND next_at <= statement_timestamp()
		AND (lease_until IS NULL OR lease_until <= statement_timestamp())
	RETURNING ` + claimColumns

// claimOverdue claims at most limit overdue payments: those whose lease has ended, and those
// without a lease that have been due for longer than Config.Grace. SKIP LOCKED lets two janitors
// neither wait for nor claim the same row.
func (s *Settler) claimOverdue(ctx context.Context, limit int) ([]claim, error) {
	ctx, cancel := statementContext(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, claimOverdueQuery, s.config.Grace, limit, s.config.Lease)
	if err != nil {
		return nil, fmt.Errorf("claim overdue payments: %w", err)
	}
	claims, err := pgx.CollectRows(rows, scanClaim)
	if err != nil {
		return nil, fmt.Errorf("claim overdue payments: %w", err)
	}
	return claims, nil
}

const claimOverdueQuery = `WITH overdue AS (
		SELECT transfer_id AS id FROM payments
		WHERE next_at <= statement_timestamp() AND (lease_until <= statement_timestamp()
			OR (lease_until IS NULL AND next_at <= statement_timestamp() - $1::interval))
		ORDER BY next_at LIMIT $2
		FOR NO KEY UPDATE SKIP LOCKED)
	UPDATE payments SET state = 'unknown', fence = fence + 1, attempts = attempts + 1,
		lease_until = clock_timestamp() + $3, next_at = clock_timestamp() + $3, updated_at = clock_timestamp()
	FROM overdue WHERE transfer_id = overdue.id
	RETURNING ` + claimColumns

// renewQuery requires a lease: after the payment was released, a late renewal must not change
// when it is due.
const renewQuery = `UPDATE payments SET lease_until = clock_timestamp() + $3, next_at = clock_timestamp() + $3
	WHERE transfer_id = $1 AND fence = $2 AND lease_until IS NOT NULL`

// renew extends the lease by Config.Lease and reports whether the claim is still valid.
func (s *Settler) renew(ctx context.Context, c claim) (bool, error) {
	if err := failpoint.Point("settle.before_renew"); err != nil {
		return false, err
	}
	tag, err := s.pool.Exec(ctx, renewQuery, c.transfer, c.fence, s.config.Lease)
	if err != nil {
		return false, fmt.Errorf("renew the lease of payment %s: %w", c.transfer, err)
	}
	return tag.RowsAffected() == 1, nil
}

// postponeQuery releases the claim, adds an entry to the log of the payment and records a
// discrepancy, all in one statement, so that an attempt is stored completely or not at all. The
// discrepancy is recorded even if another worker has claimed the payment meanwhile.
const postponeQuery = `WITH released AS (
		UPDATE payments SET lease_until = NULL, next_at = clock_timestamp() + $3, last_error = left($5, 500),
			unconfirmed = COALESCE(NULLIF($6, ''), unconfirmed), updated_at = clock_timestamp()
		WHERE transfer_id = $1 AND fence = $2 AND lease_until IS NOT NULL
		RETURNING transfer_id, attempts),
	log AS (
		INSERT INTO payment_log (transfer_id, attempt, kind, detail)
		SELECT transfer_id, attempts, $4, left($5, 500) FROM released)
	INSERT INTO discrepancies (kind, external_ref, transfer_id, detail)
	SELECT $7, $8, $1, left($5, 500) WHERE $7 <> ''
	ON CONFLICT (external_ref, kind) DO NOTHING`

// postpone releases the claim and stores the result of the attempt. The next attempt is due after
// delay.
func (s *Settler) postpone(ctx context.Context, c claim, delay time.Duration, r attemptResult) error {
	ctx, cancel := statementContext(ctx)
	defer cancel()
	if err := failpoint.Point("settle.before_postpone"); err != nil {
		return err
	}
	tag, err := s.pool.Exec(ctx, postponeQuery, c.transfer, c.fence, delay, r.kind, text.CleanProse(r.err.Error(), maxDetail), r.unconfirmed, r.discrepancy, c.instruction.Ref)
	if err != nil {
		return fmt.Errorf("postpone payment %s: %w", c.transfer, err)
	}
	if tag.RowsAffected() == 1 {
		s.reportDiscrepancy(r.discrepancy, c.instruction.Ref, r.err.Error())
	}
	_ = failpoint.Point("settle.postponed")
	return nil
}

const reviewQuery = `WITH released AS (
		UPDATE payments SET state = 'needs_review', lease_until = NULL, next_at = NULL,
			last_error = left($3, 500), updated_at = clock_timestamp()
		WHERE transfer_id = $1 AND fence = $2 AND lease_until IS NOT NULL
		RETURNING transfer_id, attempts)
	INSERT INTO payment_log (transfer_id, attempt, kind, detail)
	SELECT transfer_id, attempts, 'needs_review', left($4 || ': ' || $3, 500) FROM released`

// moveToReview leaves the payment to an operator and keeps its hold. cause is the label of the
// metric: one of the causes in metrics.go or a code of the ledger.
func (s *Settler) moveToReview(ctx context.Context, c claim, cause string, why error) error {
	ctx, cancel := statementContext(ctx)
	defer cancel()
	if err := failpoint.Point("settle.before_review"); err != nil {
		return err
	}
	tag, err := s.pool.Exec(ctx, reviewQuery, c.transfer, c.fence, text.CleanProse(why.Error(), maxDetail), cause)
	if err != nil {
		return fmt.Errorf("move payment %s to review: %w", c.transfer, err)
	}
	_ = failpoint.Point("settle.reviewed")
	if tag.RowsAffected() == 1 { // the claim was still valid
		c.logger(s.log).Error("payment needs review", "cause", cause, "attempts", c.attempts, "age", c.age, "error", why)
		s.config.Metrics.reviewStarted(cause)
	}
	return nil
}

const logQuery = `INSERT INTO payment_log (transfer_id, attempt, kind, detail) VALUES ($1, $2, $3, left($4, 500))`

// addLogEntry adds an entry to the log of a payment whose row does not change.
func (s *Settler) addLogEntry(ctx context.Context, c claim, kind, detail string) error {
	if _, err := s.pool.Exec(ctx, logQuery, c.transfer, c.attempts, kind, text.CleanProse(detail, maxDetail)); err != nil {
		return fmt.Errorf("log %s of payment %s: %w", kind, c.transfer, err)
	}
	return nil
}
