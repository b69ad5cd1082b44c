package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/ledger"
)

// Phases over HTTP.
const (
	paymentsAlone = "payments alone"

	httpPairs   = "HTTP"
	hotReceiver = "HTTP hot receiver"
	hotSender   = "HTTP hot sender"
)

// capacity measures the same callers on plain SQL, on the ledger and over HTTP.
func capacity(ctx context.Context, b *bench) error {
	plain, err := openPlain(ctx, b.rig.OwnerURL(), min(b.connections, 150), b.options.users)
	if err != nil {
		return err
	}
	defer plain.pool.Close()
	k := &books{name: rig.Database, url: b.rig.AppURL(), owners: make([]ledger.UserID, len(b.users))}
	for i, u := range b.users {
		k.owners[i] = u.ID
	}
	const plainAlone, ledgerAlone = "plain SQL", "ledger alone"
	err = k.with(ctx, ledger.Config{OnBatch: b.onBatch}, func(l *ledger.Ledger) error {
		return b.takeTurns(ctx, b.chosen(append([]turn{
			{plainAlone, "plain SQL", "", func(int) caller { return plain.caller(ctx, anyPair) }},
			{ledgerAlone, "transfer", "", func(int) caller { return k.caller(ctx, l, anyPair) }},
		}, b.httpTurns()...)), b.measure)
	})
	b.ratio(httpPairs, plainAlone, 2.5)
	b.ratio(httpPairs, ledgerAlone, 0.7)
	b.httpRatios()
	return errors.Join(err, plain.check(ctx))
}

// httpOnly measures the phases of capacity over HTTP.
func httpOnly(ctx context.Context, b *bench) error {
	err := b.takeTurns(ctx, b.chosen(b.httpTurns()), b.measure)
	b.httpRatios()
	return err
}

// pay makes transfers over HTTP.
func (b *bench) pay(p pair) func(int) caller {
	return func(int) caller { return payments(b.address(), b.users, p) }
}

func (b *bench) httpTurns() []turn {
	return []turn{
		{httpPairs, "transfer", "", b.pay(anyPair)}, {hotReceiver, "transfer", "", b.pay(toFirst)}, {hotSender, "transfer", "", b.pay(fromFirst)},
	}
}

func (b *bench) httpRatios() {
	b.ratio(hotReceiver, httpPairs, 0.9)
	b.ratio(hotSender, httpPairs, 0.9)
}

// overload finds the peak, sends half of it, three times as much, and at once half of it
// again.
func overload(ctx context.Context, b *bench) error {
	const peak, tripled = "peak, closed", "3 x peak, open"
	best, err := b.measure(ctx, peak, "transfer", load{callers: b.connections, length: b.duration, make: b.pay(anyPair)})
	if err != nil {
		return err
	}
	half := load{callers: b.connections, rate: best.PerSecond() / 2, length: 10 * time.Second, make: b.pay(anyPair)}
	if _, err := b.measureCold(ctx, "half of peak, open, before", "transfer", half); err != nil {
		return err
	}
	// Enough callers that the server sheds requests before the generator runs out of callers.
	flood := load{callers: 1000, rate: 3 * best.PerSecond(), length: 2 * b.duration, make: b.pay(anyPair)}
	before, err := b.slowTransfers(ctx)
	if err != nil {
		return err
	}
	flooded, err := b.measure(ctx, tripled, "transfer", flood)
	if err != nil {
		return err
	}
	after, err := b.slowTransfers(ctx)
	if err != nil {
		return err
	}
	if _, err := b.measureCold(ctx, "half of peak, open, right after", "transfer", half); err != nil {
		return err
	}
	b.ratio(tripled, peak, 0.8)
	b.report.check(tripled+": accepted requests that were in kizod for more than 150 ms", after-before, "≤", 0)
	b.report.Notes = append(b.report.Notes, fmt.Sprintf("%s, from sending an accepted request to its answer: p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms",
		tripled, flooded.ServedIn.P50, flooded.ServedIn.P99, flooded.ServedIn.P999, flooded.ServedIn.Max))
	return nil
}

// hashRate measures how many right passwords per second kizod accepts when it does
// nothing else.
func (b *bench) hashRate(ctx context.Context, length time.Duration) (*Phase, error) {
	const callers = 4 // more would only wait
	right := func(n int) caller { return signIns(b.address(), n, callers, b.users) }
	return b.measure(ctx, "what can be hashed", "log-in", load{callers: callers, length: length, make: right})
}

// driveBeside makes a load while work runs, and adds it to the report.
func (b *bench) driveBeside(ctx context.Context, l load, name, step string, work func() error) error {
	var t *tally
	var driving sync.WaitGroup
	before := b.rig.Gauge(ctx)
	driving.Go(func() { t = l.drive(ctx) })
	err := work()
	driving.Wait()
	b.expect(step, t)
	p := newPhase(name, step, t)
	p.Spent = b.rig.Gauge(ctx).Since(before)
	_, failure := b.add(ctx, p, t)
	return errors.Join(err, failure)
}

// storm pays at a steady rate and adds wrong passwords. It measures first what can be
// hashed, and last the effect of a process that only uses CPU time at the priority of the
// hashing: what the machine's scheduler costs, apart from Kizo.
func storm(ctx context.Context, b *bench) error {
	const stormy, beside = "payments in the storm", "payments beside a process that uses CPU time"
	hashed, err := b.hashRate(ctx, 10*time.Second)
	if err != nil {
		return err
	}
	pay := load{callers: 50, rate: b.rate, length: b.duration, make: b.pay(anyPair)}
	if _, err := b.measure(ctx, paymentsAlone, "transfer", pay); err != nil {
		return err
	}
	b.logf("the storm: %.0f wrong passwords per second", b.factor*hashed.PerSecond())
	flood := load{
		callers: 5000, // more than the hash queue holds, or no request would be shed
		rate:    b.factor * hashed.PerSecond(), length: 2*b.duration + 5*time.Second,
		make: func(n int) caller { return guesses(b.address(), n, b.users) },
	}
	pay.length = 2 * b.duration
	err = b.driveBeside(ctx, flood, "wrong passwords, the storm", "wrong password", func() error {
		_, err := b.measure(ctx, stormy, "transfer", pay)
		return err
	})
	if err != nil {
		return err
	}
	pay.length = b.duration
	if _, err := b.measure(ctx, "payments alone, afterwards", "transfer", pay); err != nil {
		return err
	}
	stop, err := b.startBusy(1, useCPUIdle)
	if err != nil {
		return err
	}
	defer stop()
	if _, err := b.measure(ctx, beside, "transfer", pay); err != nil {
		return err
	}
	b.latencyRatio(stormy, paymentsAlone, 1.2)
	b.latencyRatio(stormy, beside, 1.2)
	return nil
}

// idle restarts kizod on the existing database, and leaves it without load.
func idle(ctx context.Context, b *bench) error {
	const starts, rest = 5, 10 * time.Second
	table := Table{Header: []string{"Drained, started and ready again", "ms"}}
	for i := range starts {
		began := time.Now()
		if err := b.rig.Restart(ctx, b.config.KizodArgs...); err != nil {
			return err
		}
		table.add(fmt.Sprintf("restart %d", i+1), time.Since(began).Milliseconds(), "%d")
	}
	rig.Pause(ctx, rest)
	table.add(fmt.Sprintf("MiB resident after %s without load", rest), float64(b.rig.Gauge(ctx).RSS)/(1<<20), "%.1f")
	b.report.Tables = append(b.report.Tables, table)
	return ctx.Err()
}
