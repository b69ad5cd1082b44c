package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/failpoint"
)

// claim is the right to work on a payment until its lease ends or its fence is
// overtaken.
type claim struct {
	transfer    uuid.UUID
	instruction bank.Instruction
	fence       int64
	attempts    int // this one included
	age         time.Duration
	unconfirmed string // what Submit answered at an earlier attempt, if Status has not said so yet
	trace       trace.Context
}

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

// named has a log's lines say which payment they are about, and in whose name it is made.
func (c claim) named(log *slog.Logger) *slog.Logger {
	return log.With("transfer", c.transfer, "trace_id", c.trace.TraceID())
}

// bounded is the context of one statement. It outlives ctx, so that a worker that is
// stopped neither leaves a claim nobody knows of nor fails to give one back.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), statementWithin)
}

// The conditions below compare with statement_timestamp(), which is stable and so
// can use the index; it is older than clock_timestamp() if anything, and so claims
// rather too little than too much.

// claimOne takes a payment that is due and that nobody holds. From here on the
// bank may have heard of it, so its outcome is unknown until the bank says.
func (s *Settler) claimOne(ctx context.Context, transfer uuid.UUID) (claim, bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := failpoint.Point("settle.before_claim"); err != nil {
		return claim{}, false, err
	}
	rows, err := s.pool.Query(ctx, takeOne, transfer, s.config.Lease)
	if err != nil {
		return claim{}, false, fmt.Errorf("claim payment %s: %w", transfer, err)
	}
	c, err := pgx.CollectExactlyOneRow(rows, scanClaim)
	if errors.Is(err, pgx.ErrNoRows) {
		return claim{}, false, nil // settled, held by another, or not due: nothing to do
	}
	if err != nil {
		return claim{}, false, fmt.Errorf("claim payment %s: %w", transfer, err)
	}
	return c, true, nil
}

const takeOne = `UPDATE payments SET state = 'unknown', fence = fence + 1, attempts = attempts + 1,
		lease_until = clock_timestamp() + $2, next_at = clock_timestamp() + $2, updated_at = clock_timestamp()
	WHERE transfer_id = $1 AND next_at <= statement_timestamp()
		AND (lease_until IS NULL OR lease_until <= statement_timestamp())
	RETURNING ` + claimColumns

// claimOverdue takes at most limit payments that should have been looked at: those
// whose holder let the lease run out at once, the others once their hint has had
// its grace. SKIP LOCKED: two janitors never wait for, or take, the same row.
func (s *Settler) claimOverdue(ctx context.Context, limit int) ([]claim, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, takeOverdue, s.config.Grace, limit, s.config.Lease)
	if err != nil {
		return nil, fmt.Errorf("claim overdue payments: %w", err)
	}
	claims, err := pgx.CollectRows(rows, scanClaim)
	if err != nil {
		return nil, fmt.Errorf("claim overdue payments: %w", err)
	}
	return claims, nil
}

const takeOverdue = `WITH overdue AS (
		SELECT transfer_id AS id FROM payments
		WHERE next_at <= statement_timestamp() AND (lease_until <= statement_timestamp()
			OR (lease_until IS NULL AND next_at <= statement_timestamp() - $1::interval))
		ORDER BY next_at LIMIT $2
		FOR NO KEY UPDATE SKIP LOCKED)
	UPDATE payments SET state = 'unknown', fence = fence + 1, attempts = attempts + 1,
		lease_until = clock_timestamp() + $3, next_at = clock_timestamp() + $3, updated_at = clock_timestamp()
	FROM overdue WHERE transfer_id = overdue.id
	RETURNING ` + claimColumns

// renewLease asks for a lease that stands: once the payment has been given back,
// a renewal that comes late must not move when it is due.
const renewLease = `UPDATE payments SET lease_until = clock_timestamp() + $3, next_at = clock_timestamp() + $3
	WHERE transfer_id = $1 AND fence = $2 AND lease_until IS NOT NULL`

// renew moves the lease on and tells whether the claim still stands.
func (s *Settler) renew(ctx context.Context, c claim) (bool, error) {
	if err := failpoint.Point("settle.before_renew"); err != nil {
		return false, err
	}
	tag, err := s.pool.Exec(ctx, renewLease, c.transfer, c.fence, s.config.Lease)
	if err != nil {
		return false, fmt.Errorf("renew the lease of payment %s: %w", c.transfer, err)
	}
	return tag.RowsAffected() == 1, nil
}

// A payment's log gets its line, and a discrepancy its record, in the statement that
// gives the claim back: what was heard is kept whole, or the attempt was in vain. A
// discrepancy is kept although the claim may have been overtaken.
const giveBack = `WITH given AS (
		UPDATE payments SET lease_until = NULL, next_at = clock_timestamp() + $3, last_error = left($5, 500),
			unconfirmed = COALESCE(NULLIF($6, ''), unconfirmed), updated_at = clock_timestamp()
		WHERE transfer_id = $1 AND fence = $2 AND lease_until IS NOT NULL
		RETURNING transfer_id, attempts),
	log AS (
		INSERT INTO payment_log (transfer_id, attempt, kind, detail)
		SELECT transfer_id, attempts, $4, left($5, 500) FROM given)
	INSERT INTO discrepancies (kind, external_ref, transfer_id, detail)
	SELECT $7, $8, $1, left($5, 500) WHERE $7 <> ''
	ON CONFLICT (external_ref, kind) DO NOTHING`

// postpone gives the claim back and says when to look again, and what came of this
// attempt.
func (s *Settler) postpone(ctx context.Context, c claim, delay time.Duration, r reply) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := failpoint.Point("settle.before_postpone"); err != nil {
		return err
	}
	tag, err := s.pool.Exec(ctx, giveBack, c.transfer, c.fence, delay, r.what, plain(r.err.Error()), r.unconfirmed, r.differs, c.instruction.Ref)
	if err != nil {
		return fmt.Errorf("postpone payment %s: %w", c.transfer, err)
	}
	if tag.RowsAffected() == 1 {
		s.alert(r.differs, c.instruction.Ref, r.err.Error())
	}
	_ = failpoint.Point("settle.postponed")
	return nil
}

const putUp = `WITH given AS (
		UPDATE payments SET state = 'needs_review', lease_until = NULL, next_at = NULL,
			last_error = left($3, 500), updated_at = clock_timestamp()
		WHERE transfer_id = $1 AND fence = $2 AND lease_until IS NOT NULL
		RETURNING transfer_id, attempts)
	INSERT INTO payment_log (transfer_id, attempt, kind, detail)
	SELECT transfer_id, attempts, 'needs_review', left($4 || ': ' || $3, 500) FROM given`

// review leaves the payment to an operator; its hold stays. cause is the metric's
// label, one of few.
func (s *Settler) review(ctx context.Context, c claim, cause string, why error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := failpoint.Point("settle.before_review"); err != nil {
		return err
	}
	tag, err := s.pool.Exec(ctx, putUp, c.transfer, c.fence, plain(why.Error()), cause)
	if err != nil {
		return fmt.Errorf("put payment %s up for review: %w", c.transfer, err)
	}
	_ = failpoint.Point("settle.reviewed")
	if tag.RowsAffected() == 1 { // and not taken over meanwhile
		c.named(s.log).Error("payment needs review", "cause", cause, "attempts", c.attempts, "age", c.age, "error", why)
		s.config.Metrics.review(cause)
	}
	return nil
}

const addLine = `INSERT INTO payment_log (transfer_id, attempt, kind, detail) VALUES ($1, $2, $3, left($4, 500))`

// note adds a line about what changed nothing.
func (s *Settler) note(ctx context.Context, c claim, what, detail string) error {
	if _, err := s.pool.Exec(ctx, addLine, c.transfer, c.attempts, what, plain(detail)); err != nil {
		return fmt.Errorf("note %s of payment %s: %w", what, c.transfer, err)
	}
	return nil
}

// plain makes words from outside fit a text column.
func plain(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "") }
