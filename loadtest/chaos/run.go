package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/bank/sim"
)

// run makes one fault run. It returns a result if the audit could be made. An error means that the
// run itself failed, which says nothing about Kizo.
func run(ctx context.Context, o options) (_ *result, err error) {
	found := newFindings()
	h, err := startSystem(ctx, o, found)
	defer h.close()
	if err != nil {
		return nil, err
	}
	c := newClient(h)
	users, err := signUp(ctx, c, o.users+1)
	if err != nil {
		return nil, err
	}
	w := &workload{client: c, history: newHistory(), users: users[:o.users], options: o}
	if err := w.fund(ctx); err != nil {
		return nil, err
	}
	if o.scenario != nil && o.scenario.name == "rolling" {
		c.base, w.plain = h.balancer.url(), true
		w.fresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	h.history = w.history
	h.note("everything is running, %d users have money; faults for %s", o.users, o.duration)
	r := &result{options: o, system: h, found: found, history: w.history, load: w, began: time.Now(), evidence: &evidence{books: &books{}}}
	if err := faults(ctx, h, w, users); err != nil {
		return nil, err
	}
	if o.failover { // takes as long as the failovers do
		r.options.duration = time.Since(r.began).Truncate(time.Second)
	}
	h.note("all faults have ended; resolving unknown outcomes")
	if err := r.settle(ctx, w); err != nil {
		return nil, err
	}
	h.note("auditing")
	r.lateSettlements = h.lateSettlements() // while the logs exist
	return r, r.audit(ctx)
}

// fund gives all users but the last two money, before the first fault.
func (w *workload) fund(ctx context.Context) error {
	for _, u := range w.users[:len(w.users)-2] {
		o := bankTransfer(deposit, u, 500_000)
		w.history.add(o)
		if a := w.client.send(ctx, w.history, o); a.Outcome != accepted {
			return fmt.Errorf("the first deposit was not accepted: %s", o)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin/3)
	defer cancel()
	funded := func() (bool, error) { // whether all deposits have been settled
		for _, u := range w.users[:len(w.users)-2] {
			var page openapi.WalletList
			if err := w.client.must(ctx, "GET", "/v1/wallets", u.token(), nil, &page); err != nil {
				return false, err
			}
			if len(page.Items) != 1 || page.Items[0].Balance == 0 {
				return false, nil
			}
		}
		return true, nil
	}
	if err := rig.Poll(ctx, 50*time.Millisecond, funded); err != nil {
		return fmt.Errorf("wait for the first deposits: %w", err)
	}
	return nil
}

// faults runs the clients beside the nemesis, or beside the scenario, and ends all faults.
func faults(ctx context.Context, h *system, w *workload, users []*user) error {
	acting, enough := context.WithCancel(ctx)
	defer enough()
	var clients sync.WaitGroup
	clients.Go(func() { w.run(acting) })
	clients.Go(func() { keepSignedIn(acting, w.client, w.users) })
	clients.Go(func() { visit(acting, w.client, users[len(users)-1]) })
	breaking, done := context.WithCancel(ctx)
	defer done()
	if h.options.failFast {
		go func() {
			select {
			case <-h.found.first:
				done()
			case <-breaking.Done():
			}
		}()
	}
	inject := newNemesis(h).run
	if h.options.scenario != nil {
		inject = h.options.scenario.inject
	}
	err := h.bank.restart(h.options.preset)
	if err == nil {
		err = inject(breaking, h)
	}
	enough()
	err = errors.Join(err, h.heal(ctx))
	clients.Wait()
	return errors.Join(err, ctx.Err())
}

// settle waits until every outcome is known and every payment has ended.
func (r *result) settle(ctx context.Context, w *workload) error {
	r.healed = time.Now()
	w.client.base = ""
	conn, err := pgx.Connect(ctx, r.system.adminURL())
	if err != nil {
		return fmt.Errorf("look at the payments: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var resolving sync.WaitGroup
	resolving.Go(func() { r.unresolved, r.replays = w.resolve(ctx) })
	err = r.awaitTerminal(ctx, conn)
	resolving.Wait()
	if err != nil {
		return err
	}
	if err := r.awaitTerminal(ctx, conn); err != nil { // resolve may have opened further payments
		return err
	}
	return r.awaitReconciled(ctx, conn)
}

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
		var open []openPayment
		if err := read(ctx, conn, openPayments, &open); err != nil {
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
