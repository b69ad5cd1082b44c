package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/bank/sim"
)

const (
	resolveWithin = 60 * time.Second
	quickly       = 8 * time.Second  // the same, where one thing that stays unknown is enough
	stuckAfter    = 10 * time.Second // beyond when it was due, and beyond the heal
	longestDelay  = 35 * time.Second // that settlement may put between two attempts, and a little
	maxReplays    = 3000             // of keys whose outcome is known
	reconcileSoon = 40 * time.Second // a few of the janitor's looks at the bank's statement
)

// resolve asks for everything that is unknown, with its key, until it is known. It
// also asks for some of what is known: the answer has to be the same as ever.
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
	each(open, 16, func(o *operation) {
		for !o.conclusion().definite() && ctx.Err() == nil {
			if a := w.client.send(ctx, w.history, o); !a.definite() {
				rig.Pause(ctx, 100*time.Millisecond)
			}
		}
	})
	each(known, 16, func(o *operation) {
		if ctx.Err() == nil {
			asked.Add(1)
			w.client.send(ctx, w.history, o)
		}
	})
	return len(open), int(asked.Load())
}

func each(operations []*operation, at int, do func(*operation)) {
	queue := make(chan *operation)
	var working sync.WaitGroup
	for range at {
		working.Go(func() {
			for o := range queue {
				do(o)
			}
		})
	}
	for _, o := range operations {
		queue <- o
	}
	close(queue)
	working.Wait()
}

// openPayment is one that has no end yet, and how late it is by the database's clock.
type openPayment struct {
	id       uuid.UUID
	state    string
	attempts int
	due      time.Time // when a worker should have claimed it
	now      time.Time
	text     string
}

const openPayments = `SELECT transfer_id, state, attempts, greatest(next_at, created_at), clock_timestamp(), row_to_json(p)::text
	FROM payments p WHERE state IN ('pending', 'unknown')`

// awaitTerminal waits until every payment has ended or is up for review. One that
// is still open so long after it was due is stuck, and waited for no longer.
func (r *result) awaitTerminal(ctx context.Context, conn *pgx.Conn) error {
	deadline := make(map[uuid.UUID]time.Time)
	stuck := make(map[uuid.UUID]bool)
	for {
		rows, err := conn.Query(ctx, openPayments)
		if err != nil {
			return fmt.Errorf("look for open payments: %w", err)
		}
		open, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p openPayment, err error) {
			return p, row.Scan(&p.id, &p.state, &p.attempts, &p.due, &p.now, &p.text)
		})
		if err != nil {
			return fmt.Errorf("look for open payments: %w", err)
		}
		waiting := 0
		for _, p := range open {
			if _, seen := deadline[p.id]; !seen {
				from := p.due
				if p.now.After(from) {
					from = p.now
				}
				deadline[p.id] = from.Add(stuckAfter)
				if from.After(p.now.Add(longestDelay)) {
					deadline[p.id] = time.Time{} // no use to wait for that
				}
			}
			switch {
			case !p.now.After(deadline[p.id]):
				waiting++
			case !stuck[p.id]:
				stuck[p.id] = true
				r.found.add("stuck", "payment is open %s after it was due, or is due in more than %s, all being well: %s", stuckAfter, longestDelay, p.text)
			}
		}
		if waiting == 0 {
			r.terminalAfter = time.Since(r.healed)
			return nil
		}
		if rig.Pause(ctx, 100*time.Millisecond); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// awaitReconciled waits until the janitors have compared the whole statement with
// the books: each line is matched, but for those whose payment is in review.
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
	for {
		var read, matched, inReview, waiting, differing int
		if err := conn.QueryRow(ctx, left).Scan(&read, &matched, &inReview, &waiting, &differing); err != nil {
			return fmt.Errorf("look at the statement: %w", err)
		}
		r.lines = map[string]int{"matched": matched, "open": inReview}
		switch {
		case differing > 0:
			r.found.add("statement", "%d lines differ from the books although the bank's journal does not", differing)
			return nil
		case read == len(journal) && waiting == 0:
			r.reconciledAfter = time.Since(r.healed)
			return nil
		case time.Since(began) > reconcileSoon:
			r.found.add("statement", "%s after all was terminal, %d of %d lines were read and %d not compared", reconcileSoon, read, len(journal), waiting)
			return nil
		}
		if rig.Pause(ctx, 200*time.Millisecond); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
