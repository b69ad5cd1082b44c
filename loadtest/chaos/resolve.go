package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/bank/sim"
)

const (
	resolveWithin = 60 * time.Second
	quickly       = 8 * time.Second  // the same, if one unknown outcome is enough to fail
	stuckAfter    = 10 * time.Second // after the payment was due, and after the heal
	longestDelay  = 35 * time.Second // maximum delay between two attempts of settlement, with a margin
	maxReplays    = 3000             // number of keys with a known outcome that are sent again
	reconcileSoon = 40 * time.Second // a few of the janitor's readings of the bank's statement
)

// resolve repeats every operation with an unknown outcome, with its key, until the outcome is
// known. It also repeats some operations with a known outcome: the answer must be the same.
func (w *workload) resolve(ctx context.Context) (resolved, replays int) {
	var open, known []*operation
	for _, o := range w.history.operations() {
		switch v := o.conclusion(); {
		case v.Outcome == unknown:
			open = append(open, o)
		case v.definite():
			known = append(known, o)
		}
	}
	dice := rand.New(rand.NewPCG(w.options.seed, 0x5e)) //nolint:gosec // a seed repeats it
	dice.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
	known = known[:min(len(known), maxReplays)]
	within := resolveWithin
	if w.options.failFast {
		within = quickly
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var asked atomic.Int64
	_ = rig.Parallel(ctx, 16, len(open), func(ctx context.Context, i int) error {
		return rig.Poll(ctx, 100*time.Millisecond, func() (bool, error) {
			return open[i].conclusion().definite() || w.client.send(ctx, w.history, open[i]).definite(), nil
		})
	})
	_ = rig.Parallel(ctx, 16, len(known), func(ctx context.Context, i int) error {
		asked.Add(1)
		w.client.send(ctx, w.history, known[i])
		return nil
	})
	return len(open), int(asked.Load())
}

// openPayment is a payment that has not ended, with times of the database's clock.
type openPayment struct {
	ID       uuid.UUID
	Due, Now time.Time // when a worker should have claimed it
	Text     string
}

const openPayments = `SELECT transfer_id AS id, greatest(next_at, created_at) AS due, clock_timestamp() AS now, row_to_json(p)::text AS text
	FROM payments p WHERE state IN ('pending', 'unknown')`

// awaitTerminal waits until every payment has ended or needs review. A payment that is still open
// stuckAfter after it was due is stuck: it is a violation, and awaitTerminal does not wait for it.
func (r *result) awaitTerminal(ctx context.Context, conn *pgx.Conn) error {
	deadline := make(map[uuid.UUID]time.Time)
	stuck := make(map[uuid.UUID]bool)
	return rig.Poll(ctx, 100*time.Millisecond, func() (bool, error) {
		open, err := rows[openPayment](ctx, conn, openPayments)
		if err != nil {
			return false, err
		}
		waiting := 0
		for _, p := range open {
			if _, seen := deadline[p.ID]; !seen {
				deadline[p.ID] = later(p.Due, p.Now).Add(stuckAfter)
				if p.Due.After(p.Now.Add(longestDelay)) {
					deadline[p.ID] = time.Time{} // too far in the future to wait for
				}
			}
			switch {
			case !p.Now.After(deadline[p.ID]):
				waiting++
			case !stuck[p.ID]:
				stuck[p.ID] = true
				r.found.add("stuck", "payment is open %s after it was due, or is due in more than %s, although every fault has ended: %s", stuckAfter, longestDelay, p.Text)
			}
		}
		r.terminalAfter = time.Since(r.healed)
		return waiting == 0, nil
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// awaitReconciled waits until the janitors have compared the whole statement with the books.
// Every line must be matched, except those whose payment needs review.
func (r *result) awaitReconciled(ctx context.Context, conn *pgx.Conn) error {
	const left = `SELECT (SELECT COALESCE(max(seq), 0) FROM statement_lines), count(*) FILTER (WHERE l.state = 'matched'),
			count(*) FILTER (WHERE l.state = 'open' AND p.state = 'needs_review'),
			count(*) FILTER (WHERE l.state = 'open' AND p.state IS DISTINCT FROM 'needs_review'), count(*) FILTER (WHERE l.state = 'differs')
		FROM statement_lines l LEFT JOIN payments p ON p.external_ref = l.external_ref`
	journal, err := sim.ReadJournal(r.system.bank.journal())
	if err != nil {
		return err
	}
	began := time.Now()
	return rig.Poll(ctx, 200*time.Millisecond, func() (bool, error) {
		var read, matched, inReview, waiting, differing int
		if err := conn.QueryRow(ctx, left).Scan(&read, &matched, &inReview, &waiting, &differing); err != nil {
			return false, fmt.Errorf("look at the statement: %w", err)
		}
		r.lines = map[string]int{"matched": matched, "open": inReview}
		switch {
		case differing > 0:
			r.found.add("statement", "%d lines differ from the books although the bank's journal does not", differing)
		case read == len(journal) && waiting == 0:
		case time.Since(began) > reconcileSoon:
			r.found.add("statement", "%s after every payment had ended, %d of %d lines were read and %d not compared", reconcileSoon, read, len(journal), waiting)
		default:
			return false, nil
		}
		return true, nil
	})
}
