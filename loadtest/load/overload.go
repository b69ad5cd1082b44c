package main

import (
	"context"
	"time"
)

// Names of the phases of overload.
const (
	peak      = "peak, closed"
	overload3 = "3 x peak, open"
	calm      = "half of peak, open, before"
	recovered = "half of peak, open, right after"
)

// overload finds the peak, asks for half of it, for three times that, and at once for
// half of it again.
func overload(ctx context.Context, b *bench) error {
	make := func(int) caller { return payments(b.address(), anyPair(b.users)) }
	best, err := b.measure(ctx, peak, load{callers: b.connections, length: b.duration, make: make}, true)
	if err != nil {
		return err
	}
	half := load{callers: b.connections, rate: best.PerSecond / 2, length: 10 * time.Second, make: make}
	if _, err := b.measureCold(ctx, calm, half, true); err != nil {
		return err
	}
	// Enough callers that it is the server who says no, and not the generator that
	// has nobody left to ask.
	const callers = 1000
	flood := load{callers: callers, rate: 3 * best.PerSecond, length: 2 * b.duration, make: make}
	if _, err := b.measure(ctx, overload3, flood, true); err != nil {
		return err
	}
	if _, err := b.measureCold(ctx, recovered, half, true); err != nil {
		return err
	}
	b.ratio(overload3, peak, 0.8)
	return nil
}
