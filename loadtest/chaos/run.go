package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// run makes one fault run. It returns a result if the audit could be made. An error means that the
// run itself failed, which says nothing about Kizo.
func run(ctx context.Context, o options) (_ *result, err error) {
	o = o.withDefaults()
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
	h.note("everything is running, %d users have money; faults for %s", o.users, o.duration)
	r := &result{options: o, system: h, found: found, history: w.history, began: time.Now(), faultsFor: o.duration}
	if err := faults(ctx, h, w, users); err != nil {
		return nil, err
	}
	h.note("all faults have ended; resolving unknown outcomes")
	if err := r.settle(ctx, w); err != nil {
		return nil, err
	}
	h.note("auditing")
	r.lateSettlements = h.lateSettlements() // while the logs exist
	r.repeated, r.failedRequests = w.repeated.Load(), w.failed.Load()
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
			var page walletPage
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
	var err error
	if s := h.options.scenario; s != nil {
		err = s.inject(breaking, h, w)
	} else {
		err = newNemesis(h).run(breaking)
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
