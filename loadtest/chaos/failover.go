package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// failovers are scenarios on the cluster of deploy/ha: its primaries are killed, and kizod follows.
var failovers = []scenario{
	{
		name: "postgres", what: "The primary PostgreSQL is killed, with its host and alone in turn, half a second after its replication was stopped",
		adjust: func(o *options) { o.cluster, o.standby = true, synchronous },
		inject: func(ctx context.Context, h *system) error { return h.failPostgres(ctx, 500*time.Millisecond) }, rows: failoverRows,
	},
	{
		// Longer than the ledger waits for a COMMIT. Wallets are not read: reads show what is on
		// the primary alone (docs/operations.md).
		name: "stalled", what: "The same, ten seconds after its replication was stopped",
		adjust: func(o *options) {
			o.cluster, o.standby, o.noReads, o.failovers = true, synchronous, true, min(o.failovers, 3)
		},
		inject: func(ctx context.Context, h *system) error { return h.failPostgres(ctx, 10*time.Second) }, rows: failoverRows,
	},
	{
		name: "redis", what: "The primary Redis is killed; half of the operations are deposits and withdrawals",
		adjust: func(o *options) { o.cluster, o.standby, o.bankHeavy = true, synchronous, true },
		inject: failRedis, rows: redisRows,
	},
	{
		name: "asynchronous", what: "The control, which must lose payments: as postgres, with an asynchronous standby",
		adjust: func(o *options) {
			o.cluster, o.standby, o.loses, o.failovers = true, asynchronous, true, min(o.failovers, 2)
		},
		inject: func(ctx context.Context, h *system) error { return h.failPostgres(ctx, time.Second) }, rows: controlRows,
	},
}

// standby is how the standbys of the cluster replicate.
type standby int

const (
	asynchronous standby = iota
	synchronous
)

const (
	// failoverWithin is the target for the time from the loss of a primary until the next payment
	// is acknowledged.
	failoverWithin = 15 * time.Second
	// failoverCalm is the time under load before each failover.
	failoverCalm = 5 * time.Second
)

// failure is the loss of a primary.
type failure struct {
	what   string
	healed time.Time // until this time there was no fault
	at     time.Time // just before it was killed
	dead   time.Time // just after
}

// failPostgres kills the primary as often as the options say. Before, it stops the replication for
// a while, as a slow network does.
func (h *system) failPostgres(ctx context.Context, stopped time.Duration) error {
	for i := range h.options.failovers {
		rig.Pause(ctx, failoverCalm)
		host, err := h.cluster.primary(ctx)
		if err != nil {
			return err
		}
		healed := time.Now()
		if err := h.cluster.stopReplication(ctx); err != nil {
			return err
		}
		rig.Pause(ctx, stopped)
		name := fmt.Sprintf("%s%d", []string{"patroni", "postgres"}[i%2], host)
		what := fmt.Sprintf("%s %d", []string{"the host of PostgreSQL", "PostgreSQL alone"}[i%2], host)
		if err := h.kill(ctx, name, what, healed); err != nil {
			return err
		}
		if err := h.awaitAccepted(ctx); err != nil {
			return err
		}
		if strings.HasPrefix(name, "patroni") {
			if err := h.cluster.run(ctx, "start", name); err != nil {
				return err
			}
		}
		if err := h.cluster.await(ctx); err != nil {
			return err
		}
	}
	rig.Pause(ctx, failoverCalm)
	return ctx.Err()
}

// kill kills a primary.
func (h *system) kill(ctx context.Context, name, what string, healed time.Time) error {
	h.note("failover %d: kill %s", len(h.failures)+1, what)
	f := failure{what: what, healed: healed, at: time.Now()}
	err := h.cluster.run(ctx, "kill", name)
	f.dead = time.Now()
	h.failures = append(h.failures, f)
	h.faultLog.count("failover")
	return err
}

// awaitAccepted waits until an operation that began after the last failure is acknowledged.
func (h *system) awaitAccepted(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clusterWithin)
	defer cancel()
	last := h.failures[len(h.failures)-1]
	err := rig.Poll(ctx, 100*time.Millisecond, func() (bool, error) {
		_, known := h.history.acceptedAfter(last)
		return known, nil
	})
	if err != nil {
		return fmt.Errorf("no payment was acknowledged after %s was killed: %w", last.what, err)
	}
	return nil
}

// acceptedAfter returns how long after a failure the first operation that began later was
// acknowledged.
func (h *history) acceptedAfter(f failure) (waited time.Duration, known bool) {
	from, dead := f.at.Sub(h.began), f.dead.Sub(h.began)
	for _, o := range h.operations() {
		for _, a := range o.tries() {
			if a.Began > dead && a.Outcome == accepted && (!known || a.Ended-from < waited) {
				waited, known = a.Ended-from, true
			}
		}
	}
	return waited, known
}

// failRedis kills the primary Redis as often as the options say.
func failRedis(ctx context.Context, h *system) error {
	for range h.options.failovers {
		host, err := h.cluster.awaitRedis(ctx)
		if err != nil {
			return err
		}
		rig.Pause(ctx, failoverCalm)
		name := fmt.Sprintf("redis%d", host)
		if err := h.kill(ctx, name, name, time.Now()); err != nil {
			return err
		}
		within, cancel := context.WithTimeout(ctx, clusterWithin)
		err = rig.Poll(within, 100*time.Millisecond, func() (bool, error) {
			info, err := h.cluster.sentinel(host).Master(within, "kizo").Result()
			return err == nil && info["port"] != fmt.Sprint(h.cluster.port+40+host), nil
		})
		cancel()
		if err != nil {
			return fmt.Errorf("wait until the Sentinels choose another Redis: %w", err)
		}
		if err := h.cluster.run(ctx, "start", name); err != nil {
			return err
		}
	}
	_, err := h.cluster.awaitRedis(ctx)
	rig.Pause(ctx, failoverCalm)
	return err
}

// paymentGaps returns how long after each failure the next payment was acknowledged.
func (r *result) paymentGaps() (gaps []time.Duration) {
	for _, f := range r.system.failures {
		gap, known := r.history.acceptedAfter(f)
		if !known {
			gap = clusterWithin
		}
		gaps = append(gaps, gap)
	}
	return gaps
}

// queueGaps returns how long after each failure a worker claimed a payment that was opened later.
// Workers learn of payments from Redis alone.
func (r *result) queueGaps() (gaps []time.Duration) {
	for _, f := range r.system.failures {
		opened := make(map[string]bool)
		gap := clusterWithin
		for _, l := range r.books.log {
			switch {
			case l.At.Before(f.dead):
			case l.OldState == nil:
				opened[l.Transfer.String()] = true
			case opened[l.Transfer.String()] && strings.HasPrefix(l.Who, "worker") && l.At.Sub(f.at) < gap:
				gap = l.At.Sub(f.at)
			}
		}
		gaps = append(gaps, gap)
	}
	return gaps
}

func list(gaps []time.Duration) string {
	var text []string
	for _, g := range gaps {
		text = append(text, fmt.Sprintf("%.1f", g.Seconds()))
	}
	return strings.Join(text, " ")
}

// gapRow has the 95th percentile: of ten, the longest.
func gapRow(what string, gaps []time.Duration) row {
	sorted := slices.Sorted(slices.Values(gaps))
	p95 := rig.Quantile(sorted, .95)
	return figure(what+", s, p95", "%s, %.1f", list(gaps), p95.Seconds()).goal(p95 <= failoverWithin, "p95 ≤ 15 s")
}

// acknowledged returns the operations that were acknowledged per second in the calm before the
// failures.
func (r *result) acknowledged() (perSecond float64) {
	const length = failoverCalm - time.Second
	n := 0
	for _, f := range r.system.failures {
		to := f.healed.Sub(r.history.began)
		for _, o := range r.operations {
			if at := o.conclusion(); at.Outcome == accepted && at.Ended > to-length && at.Ended <= to {
				n++
			}
		}
	}
	return float64(n) / max(length.Seconds()*float64(len(r.system.failures)), 1)
}

func (r *result) failoversRow() row {
	return figure("failovers", "%d", len(r.system.failures)).goal(len(r.system.failures) == r.options.failovers, "%d", r.options.failovers)
}

// moneyRows say what was acknowledged and is not in the books, and what is in the books more often
// than it was asked for.
func (r *result) moneyRows() []row {
	_, counts := r.found.all()
	lost, doubled := counts["history: lost"], counts["history: unrequested"]+counts["balances"]+counts["bank"]
	rate := r.acknowledged()
	return []row{
		figure("acknowledged payments/s before the failovers", "%.0f", rate).goal(rate >= 100, "≥ 100"),
		figure("acknowledged, lost", "%d, %d", r.outcomes[accepted], lost).goal(lost == 0, "0 lost"),
		figure("duplicated, or with a wrong effect", "%d", doubled).goal(doubled == 0, "0"),
	}
}

func failoverRows(r *result) []row {
	return append([]row{r.failoversRow(), gapRow("kill to the next acknowledged payment", r.paymentGaps())}, r.moneyRows()...)
}

func redisRows(r *result) []row {
	return append([]row{
		r.failoversRow(), gapRow("kill to the next acknowledged payment", r.paymentGaps()),
		gapRow("kill to the next payment that a worker got from the queue", r.queueGaps()),
	}, r.moneyRows()...)
}

// controlRows are those of the control, which shows that the checks notice lost payments.
func controlRows(r *result) []row {
	_, counts := r.found.all()
	lost := counts["history: lost"]
	return []row{r.failoversRow(), figure("acknowledged, lost", "%d, %d", r.outcomes[accepted], lost).goal(lost > 0, "some lost")}
}
