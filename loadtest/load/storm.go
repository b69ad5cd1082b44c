package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/hashworker"
)

// Names of the phases of storm.
const (
	hashing   = "what can be hashed"
	quiet     = "payments alone"
	stormy    = "payments in the storm"
	wrongOnes = "wrong passwords, the storm"
	quietOnce = "payments alone, afterwards"
	besides   = "payments beside a bare spinner"
)

// storm pays at a steady rate and lets wrong passwords in beside it. What can be
// hashed is measured first, and last what a process costs that only keeps a processor
// busy, as low as the hashing is: what the machine's scheduler takes, and not Kizo.
func storm(ctx context.Context, b *bench) error {
	wrong := func(n int) caller { return guesses(b.address(), n, b.users) }
	const enough = 4 // callers: more only wait
	right := func(n int) caller { return signIns(b.address(), n, enough, b.users) }
	capacity, err := b.measure(ctx, hashing, load{callers: enough, length: 10 * time.Second, make: right}, false)
	if err != nil {
		return err
	}
	pay := load{callers: 50, rate: b.rate, length: b.duration, make: func(int) caller { return payments(b.address(), anyPair(b.users)) }}
	if _, err := b.measure(ctx, quiet, pay, true); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "the storm: %.0f wrong passwords a second\n", b.factor*capacity.PerSecond)
	const callers = 2000 // more than wait in the queue for hashing, or none is left to be refused
	flood := load{callers: callers, rate: b.factor * capacity.PerSecond, length: 2*b.duration + 5*time.Second, make: wrong}
	var guessed *tally
	var guessing sync.WaitGroup
	before := b.rig.Gauge()
	guessing.Go(func() { guessed = flood.drive(ctx) })
	pay.length = 2 * b.duration
	_, err = b.measure(ctx, stormy, pay, true)
	guessing.Wait()
	p := newPhase(wrongOnes, guessed, b.rig.Gauge().Since(before), 0)
	b.report.Phases = append(b.report.Phases, p)
	fmt.Fprintln(b.out, p)
	if err != nil {
		return err
	}
	pay.length = b.duration
	if _, err := b.measure(ctx, quietOnce, pay, true); err != nil {
		return err
	}
	if err := b.spinning(func() error {
		_, err := b.measure(ctx, besides, pay, true)
		return err
	}); err != nil {
		return err
	}
	b.latencyRatio(stormy, quiet, 1.2)
	b.latencyRatio(stormy, besides, 1.2)
	if guessed.count[failed] > 0 {
		return fmt.Errorf("%d log-ins failed, the first: %w", guessed.count[failed], guessed.err)
	}
	return nil
}

// spin is the argument that makes this program a spinner.
const spin = "spin"

func (b *bench) spinning(do func() error) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	spinner, err := rig.SpawnSession(self, []string{spin}, nil, b.rig.Path("spinner.log"))
	if err != nil {
		return err
	}
	defer spinner.End(time.Second)
	return do()
}

// beSpinner keeps one processor busy until somebody ends it; it ends with its parent,
// and when no run can be as long.
func beSpinner() {
	runtime.GOMAXPROCS(1)
	hashworker.LowerPriority()
	for end := time.Now().Add(longest); time.Now().Before(end); {
		continue
	}
	os.Exit(0)
}
