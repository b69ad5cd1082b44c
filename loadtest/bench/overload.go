package main

import (
	"context"
	"time"
)

// Names of the phases of overload.
const (
	peak      = "peak, closed"
	overload3 = "3 x peak, open"
	before    = "half of peak, open, before"
	recovered = "half of peak, open, right after"
)

// overload finds the peak, sends half of it, three times as much, and at once half of it
// again.
func overload(ctx context.Context, b *bench) error {
	pay := func(int) caller { return payments(b.address(), b.users, anyPair) }
	best, err := b.measure(ctx, peak, "transfer", load{callers: b.connections, length: b.duration, make: pay})
	if err != nil {
		return err
	}
	half := load{callers: b.connections, rate: best.PerSecond() / 2, length: 10 * time.Second, make: pay}
	if _, err := b.measureCold(ctx, before, "transfer", half); err != nil {
		return err
	}
	// Enough callers that the server sheds requests before the generator runs out of callers.
	const callers = 1000
	flood := load{callers: callers, rate: 3 * best.PerSecond(), length: 2 * b.duration, make: pay}
	if _, err := b.measure(ctx, overload3, "transfer", flood); err != nil {
		return err
	}
	if _, err := b.measureCold(ctx, recovered, "transfer", half); err != nil {
		return err
	}
	b.ratio(overload3, peak, 0.8)
	return nil
}
