package settle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/bank"
)

// claim is the right to work on a payment until its lease ends or its fence is
// overtaken.
type claim struct {
	transfer    uuid.UUID
	instruction bank.Instruction
	fence       int64
	attempts    int // this one included
	age         time.Duration
}

const claimColumns = `transfer_id, direction, external_ref, amount, currency, fence, attempts,
	EXTRACT(EPOCH FROM clock_timestamp() - created_at)::float8`

func scanClaim(row pgx.CollectableRow) (claim, error) {
	var (
		c   claim
		age float64
	)
	err := row.Scan(&c.transfer, &c.instruction.Direction, &c.instruction.Ref, &c.instruction.Amount,
		&c.instruction.Currency, &c.fence, &c.attempts, &age)
	c.age = time.Duration(age * float64(time.Second))
	return c, err
}

// claimOne takes a payment that is due and that nobody holds. From here on the
// bank may have heard of it, so its outcome is unknown until the bank says.
func (s *Settler) claimOne(ctx context.Context, transfer uuid.UUID) (claim, bool, error) {
	const take = `UPDATE payments SET state = 'unknown', fence = fence + 1, attempts = attempts + 1,
			lease_until = clock_timestamp() + $2, next_at = clock_timestamp() + $2, updated_at = clock_timestamp()
		WHERE transfer_id = $1 AND next_at <= clock_timestamp()
			AND (lease_until IS NULL OR lease_until <= clock_timestamp())
		RETURNING ` + claimColumns
	rows, err := s.pool.Query(ctx, take, transfer, s.config.Lease)
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

// claimOverdue takes at most limit payments that should have been looked at
// `grace` ago. SKIP LOCKED: two janitors never wait for, or take, the same row.
func (s *Settler) claimOverdue(ctx context.Context, limit int) ([]claim, error) {
	const take = `WITH overdue AS (
			SELECT transfer_id AS id FROM payments
			WHERE next_at <= clock_timestamp() - $1::interval
				AND (lease_until IS NULL OR lease_until <= clock_timestamp())
			ORDER BY next_at LIMIT $2
			FOR NO KEY UPDATE SKIP LOCKED)
		UPDATE payments SET state = 'unknown', fence = fence + 1, attempts = attempts + 1,
			lease_until = clock_timestamp() + $3, next_at = clock_timestamp() + $3, updated_at = clock_timestamp()
		FROM overdue WHERE transfer_id = overdue.id
		RETURNING ` + claimColumns
	rows, err := s.pool.Query(ctx, take, s.config.Grace, limit, s.config.Lease)
	if err != nil {
		return nil, fmt.Errorf("claim overdue payments: %w", err)
	}
	claims, err := pgx.CollectRows(rows, scanClaim)
	if err != nil {
		return nil, fmt.Errorf("claim overdue payments: %w", err)
	}
	return claims, nil
}

// renew moves the lease on and tells whether the claim still stands.
func (s *Settler) renew(ctx context.Context, c claim) (bool, error) {
	const renew = `UPDATE payments SET lease_until = clock_timestamp() + $3, next_at = clock_timestamp() + $3
		WHERE transfer_id = $1 AND fence = $2 AND next_at IS NOT NULL`
	tag, err := s.pool.Exec(ctx, renew, c.transfer, c.fence, s.config.Lease)
	if err != nil {
		return false, fmt.Errorf("renew the lease of payment %s: %w", c.transfer, err)
	}
	return tag.RowsAffected() == 1, nil
}

// postpone gives the claim back and says when to look again.
func (s *Settler) postpone(ctx context.Context, c claim, delay time.Duration, why string) error {
	const postpone = `UPDATE payments SET lease_until = NULL, next_at = clock_timestamp() + $3, last_error = left($4, 500),
			updated_at = clock_timestamp()
		WHERE transfer_id = $1 AND fence = $2 AND next_at IS NOT NULL`
	if _, err := s.pool.Exec(ctx, postpone, c.transfer, c.fence, delay, why); err != nil {
		return fmt.Errorf("postpone payment %s: %w", c.transfer, err)
	}
	return nil
}

// review leaves the payment to an operator; its hold stays.
func (s *Settler) review(ctx context.Context, c claim, why string) error {
	const review = `UPDATE payments SET state = 'needs_review', lease_until = NULL, next_at = NULL,
			last_error = left($3, 500), updated_at = clock_timestamp()
		WHERE transfer_id = $1 AND fence = $2 AND next_at IS NOT NULL`
	if _, err := s.pool.Exec(ctx, review, c.transfer, c.fence, why); err != nil {
		return fmt.Errorf("put payment %s up for review: %w", c.transfer, err)
	}
	return nil
}
