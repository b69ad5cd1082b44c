package rig

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Entry is a kind of transfer and its state.
type Entry struct{ Kind, State string }

// Sum is a number of transfers and their total amount.
type Sum struct {
	Count int64 `json:"count"`
	Minor int64 `json:"minor"` // minor units of all currencies: a load uses one
}

// Add returns the sum of both.
func (s Sum) Add(t Sum) Sum { return Sum{s.Count + t.Count, s.Minor + t.Minor} }

// Books are all transfers in the database at one moment. A posted transfer counts
// with the amount that was posted, any other with the amount that was requested.
type Books map[Entry]Sum

// Books counts the transfers. It reads the whole table.
func (r *Rig) Books(ctx context.Context) (Books, error) {
	const count = `SELECT kind, state, count(*), sum(CASE state WHEN 'posted' THEN posted_amount ELSE amount END)::bigint
		FROM transfers GROUP BY kind, state`
	rows, err := r.pool.Query(ctx, count)
	if err != nil {
		return nil, fmt.Errorf("count the transfers: %w", err)
	}
	books := make(Books)
	var e Entry
	var s Sum
	_, err = pgx.ForEachRow(rows, []any{&e.Kind, &e.State, &s.Count, &s.Minor}, func() error {
		books[e] = s
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count the transfers: %w", err)
	}
	return books, nil
}

// Since returns what was added after earlier books. A transfer that was pending then
// and has ended since counts negatively as pending.
func (b Books) Since(earlier Books) Books {
	since := make(Books, len(b))
	for e, s := range b {
		since[e] = s
	}
	for e, s := range earlier {
		since[e] = since[e].Add(Sum{-s.Count, -s.Minor})
	}
	return since
}

// Posted returns the posted transfers of a kind: transfer, deposit or withdrawal.
func (b Books) Posted(kind string) Sum { return b[Entry{kind, "posted"}] }

// WaitSettled waits until no payment is open. A payment that needs an operator's
// review is an error, and so is the end of ctx.
func (r *Rig) WaitSettled(ctx context.Context) error {
	const open = `SELECT count(*) FILTER (WHERE next_at IS NOT NULL), count(*) FILTER (WHERE state = 'needs_review')
		FROM payments WHERE next_at IS NOT NULL OR state = 'needs_review'`
	var pending, review int64
	err := Poll(ctx, 50*time.Millisecond, func() (bool, error) {
		if err := r.pool.QueryRow(ctx, open).Scan(&pending, &review); err != nil {
			return false, err
		}
		if review > 0 {
			return false, fmt.Errorf("%d payments need an operator's review", review)
		}
		return pending == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait until no payment is open (%d are): %w", pending, err)
	}
	return nil
}
