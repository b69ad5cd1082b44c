package settle

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/ledger"
)

// Payment is a row of the table payments as operators see it.
type Payment struct {
	Transfer    uuid.UUID
	Owner       ledger.UserID // of the wallet
	Instruction bank.Instruction
	State       ledger.PaymentState
	Attempts    int
	Fence       int64
	NextAt      time.Time // zero if no attempt is planned
	LeaseUntil  time.Time // zero if no worker has claimed it
	BankRef     string
	LastError   string
	TraceID     string // of the request that created the payment; "" if it had no trace
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

const paymentColumns = `transfer_id, (SELECT t.owner FROM transfers t WHERE t.id = payments.transfer_id), external_ref, direction, amount, currency, state, attempts, fence,
	next_at, lease_until, bank_ref, last_error, trace, created_at, updated_at`

func scanPayment(row pgx.CollectableRow) (p Payment, err error) {
	var (
		next, lease *time.Time
		traced      string
	)
	err = row.Scan(&p.Transfer, &p.Owner, &p.Instruction.Ref, &p.Instruction.Direction, &p.Instruction.Amount,
		&p.Instruction.Currency, &p.State, &p.Attempts, &p.Fence, &next, &lease, &p.BankRef, &p.LastError,
		&traced, &p.CreatedAt, &p.UpdatedAt)
	if next != nil {
		p.NextAt = *next
	}
	if lease != nil {
		p.LeaseUntil = *lease
	}
	named, _ := trace.Parse(traced)
	p.TraceID = named.TraceID()
	return p, err
}

// Payment returns the payment of one transfer. It fails with [ErrNoPayment].
func (s *Settler) Payment(ctx context.Context, transfer uuid.UUID) (Payment, error) {
	const find = `SELECT ` + paymentColumns + ` FROM payments WHERE transfer_id = $1`
	rows, err := s.pool.Query(ctx, find, transfer)
	if err != nil {
		return Payment{}, fmt.Errorf("read payment %s: %w", transfer, err)
	}
	p, err := pgx.CollectExactlyOneRow(rows, scanPayment)
	if errors.Is(err, pgx.ErrNoRows) {
		return Payment{}, ErrNoPayment
	}
	if err != nil {
		return Payment{}, fmt.Errorf("read payment %s: %w", transfer, err)
	}
	return p, nil
}

// Payments lists at most limit payments, newest first. An empty state means all states, an empty
// cursor the first page. next is the cursor of the following page, "" on the last page. An
// invalid cursor is [ErrCursor].
func (s *Settler) Payments(ctx context.Context, state ledger.PaymentState, cursor string, limit int) (page []Payment, next string, err error) {
	const list = `SELECT ` + paymentColumns + ` FROM payments
		WHERE transfer_id < $1 AND ($2 = '' OR state = $2) ORDER BY transfer_id DESC LIMIT $3`
	before := uuid.Max
	if cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(cursor)
		if err == nil {
			before, err = uuid.FromBytes(raw)
		}
		if err != nil {
			return nil, "", ErrCursor
		}
	}
	rows, err := s.pool.Query(ctx, list, before, string(state), limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list payments: %w", err)
	}
	page, err = pgx.CollectRows(rows, scanPayment)
	if err != nil {
		return nil, "", fmt.Errorf("list payments: %w", err)
	}
	if len(page) > limit {
		page = page[:limit]
		last := page[limit-1].Transfer
		next = base64.RawURLEncoding.EncodeToString(last[:])
	}
	return page, next, nil
}

// PaymentsOf returns the payments of these transfers. Those without one are missing from the
// result.
func (s *Settler) PaymentsOf(ctx context.Context, transfers []uuid.UUID) (map[uuid.UUID]Payment, error) {
	const find = `SELECT ` + paymentColumns + ` FROM payments WHERE transfer_id = ANY($1)`
	rows, err := s.pool.Query(ctx, find, transfers)
	if err != nil {
		return nil, fmt.Errorf("read payments: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanPayment)
	if err != nil {
		return nil, fmt.Errorf("read payments: %w", err)
	}
	payments := make(map[uuid.UUID]Payment, len(found))
	for _, p := range found {
		payments[p.Transfer] = p
	}
	return payments, nil
}

// Resolution is an operator's decision about a payment that needs review.
type Resolution string

// The decisions of an operator.
const (
	ResolveExecuted Resolution = "executed"
	ResolveRejected Resolution = "rejected"
	ResolveAsk      Resolution = "ask" // attempt the payment again
)

// operatorNote is the detail of a log entry that an operator's decision caused.
const operatorNote = "decided by an operator"

// Resolve carries out an operator's decision about a payment that needs review. If the decision
// is wrong, reconciliation finds a discrepancy. It fails with [ErrNoPayment] or [ErrNotInReview],
// or with an error of the ledger.
func (s *Settler) Resolve(ctx context.Context, transfer uuid.UUID, r Resolution) (Payment, error) {
	const ask = `UPDATE payments SET state = 'unknown', next_at = clock_timestamp(), updated_at = clock_timestamp()
		WHERE transfer_id = $1 AND state = 'needs_review' RETURNING attempts`
	// A new fence, so that no earlier claim can settle the payment.
	const take = `UPDATE payments SET fence = fence + 1, updated_at = clock_timestamp()
		WHERE transfer_id = $1 AND state = 'needs_review' RETURNING fence`
	if r == ResolveAsk {
		var attempts int
		err := s.pool.QueryRow(ctx, ask, transfer).Scan(&attempts)
		if errors.Is(err, pgx.ErrNoRows) {
			return Payment{}, s.reviewError(ctx, transfer)
		}
		if err != nil {
			return Payment{}, fmt.Errorf("make payment %s due: %w", transfer, err)
		}
		s.config.Enqueue(transfer, attempts+1)
		return s.Payment(ctx, transfer)
	}
	var fence int64
	err := s.pool.QueryRow(ctx, take, transfer).Scan(&fence)
	if errors.Is(err, pgx.ErrNoRows) {
		return Payment{}, s.reviewError(ctx, transfer)
	}
	if err != nil {
		return Payment{}, fmt.Errorf("claim payment %s: %w", transfer, err)
	}
	_, err = s.ledger.Settle(ctx, ledger.Settlement{
		Transfer: transfer, Fence: fence, Executed: r == ResolveExecuted, Note: operatorNote,
	})
	if err != nil {
		return Payment{}, err
	}
	return s.Payment(ctx, transfer)
}

// reviewError returns why a payment cannot be resolved.
func (s *Settler) reviewError(ctx context.Context, transfer uuid.UUID) error {
	if _, err := s.Payment(ctx, transfer); err != nil {
		return err
	}
	return ErrNotInReview
}

// Findings counts what needs an operator's attention, each up to 10,000.
type Findings struct {
	Overdue       int // payments due for longer than the janitor needs to claim them
	NeedsReview   int
	Discrepancies int // open ones
}

// Findings reads the counts, each from an index of its own.
func (s *Settler) Findings(ctx context.Context) (Findings, error) {
	const count = `SELECT
		(SELECT count(*) FROM (SELECT FROM payments WHERE next_at < clock_timestamp() - $1::interval LIMIT 10000) o),
		(SELECT count(*) FROM (SELECT FROM payments WHERE state = 'needs_review' LIMIT 10000) r),
		(SELECT count(*) FROM (SELECT FROM discrepancies
			WHERE NOT EXISTS (SELECT FROM closed_discrepancies WHERE discrepancy_id = id) LIMIT 10000) d)`
	var f Findings
	overdue := s.config.Grace + 2*s.config.Interval // the next round of the janitor should have claimed it
	if err := s.pool.QueryRow(ctx, count, overdue).Scan(&f.Overdue, &f.NeedsReview, &f.Discrepancies); err != nil {
		return f, fmt.Errorf("count what needs attention: %w", err)
	}
	return f, nil
}

// LogEntry is one entry of the log of a payment. migrations/0002_settlement.sql lists the kinds.
type LogEntry struct {
	At      time.Time
	Attempt int
	Kind    string
	Detail  string
}

// Log returns the results of all attempts at a payment, oldest first, at most 1000.
func (s *Settler) Log(ctx context.Context, transfer uuid.UUID) ([]LogEntry, error) {
	const list = `SELECT at, attempt, kind, detail FROM payment_log WHERE transfer_id = $1 ORDER BY id LIMIT 1000`
	rows, err := s.pool.Query(ctx, list, transfer)
	if err != nil {
		return nil, fmt.Errorf("read the log of payment %s: %w", transfer, err)
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LogEntry])
	if err != nil {
		return nil, fmt.Errorf("read the log of payment %s: %w", transfer, err)
	}
	return entries, nil
}
