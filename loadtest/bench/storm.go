package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Names of the phases of storm.
const (
	hashing     = "what can be hashed"
	quiet       = "payments alone"
	stormy      = "payments in the storm"
	wrongOnes   = "wrong passwords, the storm"
	quietAgain  = "payments alone, afterwards"
	besideUsers = "payments beside a process that uses CPU time"
)

const hashCallers = 4 // more would only wait

// hashRate measures how many right passwords per second kizod accepts when it does
// nothing else.
func (b *bench) hashRate(ctx context.Context, length time.Duration) (*Phase, error) {
	right := func(n int) caller { return signIns(b.address(), n, hashCallers, b.users) }
	return b.measure(ctx, hashing, "log-in", load{callers: hashCallers, length: length, make: right})
}

// storm pays at a steady rate and adds wrong passwords. It measures first what can be
// hashed, and last the effect of a process that only uses CPU time at the priority of the
// hashing: what the machine's scheduler costs, apart from Kizo.
func storm(ctx context.Context, b *bench) error {
	hashed, err := b.hashRate(ctx, 10*time.Second)
	if err != nil {
		return err
	}
	pay := load{callers: 50, rate: b.rate, length: b.duration, make: func(int) caller { return payments(b.address(), b.users, anyPair) }}
	if _, err := b.measure(ctx, quiet, "transfer", pay); err != nil {
		return err
	}
	b.logf("the storm: %.0f wrong passwords per second", b.factor*hashed.PerSecond())
	const callers = 2000 // more than the hash queue holds, or no request would be shed
	flood := load{
		callers: callers, rate: b.factor * hashed.PerSecond(), length: 2*b.duration + 5*time.Second,
		make: func(n int) caller { return guesses(b.address(), n, b.users) },
	}
	var guessed *tally
	var guessing sync.WaitGroup
	earlier := b.rig.Gauge()
	guessing.Go(func() { guessed = flood.drive(ctx) })
	pay.length = 2 * b.duration
	_, err = b.measure(ctx, stormy, "transfer", pay)
	guessing.Wait()
	p := newPhase(wrongOnes, "wrong password", guessed)
	p.Spent = b.rig.Gauge().Since(earlier)
	if _, failure := b.add(ctx, p, guessed); err != nil || failure != nil {
		return errors.Join(err, failure)
	}
	pay.length = b.duration
	if _, err := b.measure(ctx, quietAgain, "transfer", pay); err != nil {
		return err
	}
	stop, err := b.startBusy(1, lowestPriority)
	if err != nil {
		return err
	}
	defer stop()
	if _, err := b.measure(ctx, besideUsers, "transfer", pay); err != nil {
		return err
	}
	b.latencyRatio(stormy, quiet, 1.2)
	b.latencyRatio(stormy, besideUsers, 1.2)
	return nil
}
