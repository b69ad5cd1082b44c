package rig

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Entry is a sort of transfer: what the ledger was asked for, and what came of it.
type Entry struct{ Kind, State string }

// Sum is so many transfers of so much money together.
type Sum struct {
	Count int64 `json:"count"`
	Minor int64 `json:"minor"` // of all currencies: a load uses one
}

// Books are all transfers that stand in the database at one moment. What was
// posted counts with the amount that was posted, anything else with what it was
// to be.
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

// Since is what came after earlier books. What was pending then and has ended
// since is less of what is pending and more of what is posted.
func (b Books) Since(earlier Books) Books {
	since := make(Books, len(b))
	for e, s := range b {
		since[e] = Sum{s.Count - earlier[e].Count, s.Minor - earlier[e].Minor}
	}
	for e, s := range earlier {
		if _, there := b[e]; !there {
			since[e] = Sum{-s.Count, -s.Minor}
		}
	}
	return since
}

// Posted is the money of a kind that has moved: transfer, deposit, withdrawal.
func (b Books) Posted(kind string) Sum { return b[Entry{kind, "posted"}] }

// Settled is all money that has moved: every posted transfer has its postings,
// and no other has any.
func (b Books) Settled() (all Sum) {
	for e, s := range b {
		if e.State == "posted" {
			all.Count, all.Minor = all.Count+s.Count, all.Minor+s.Minor
		}
	}
	return all
}

// WaitSettled waits until no payment is open any more, and no longer than ctx
// allows. A payment that was left to an operator is an error: nobody comes here.
func (r *Rig) WaitSettled(ctx context.Context) error {
	const open = `SELECT count(*) FILTER (WHERE next_at IS NOT NULL), count(*) FILTER (WHERE state = 'needs_review')
		FROM payments WHERE next_at IS NOT NULL OR state = 'needs_review'`
	for {
		var pending, review int64
		if err := r.pool.QueryRow(ctx, open).Scan(&pending, &review); err != nil {
			return fmt.Errorf("count open payments: %w", err)
		}
		if review > 0 {
			return fmt.Errorf("%d payments were left to an operator", review)
		}
		if pending == 0 {
			return nil
		}
		if Pause(ctx, 50*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("%d payments are still open: %w", pending, ctx.Err())
		}
	}
}
