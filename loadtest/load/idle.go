package main

import (
	"context"
	"fmt"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// idle starts kizod again on the database that is there, and lets it rest.
func idle(ctx context.Context, b *bench) error {
	const starts, rest = 5, 10 * time.Second
	for range starts {
		began := time.Now()
		if err := b.rig.Restart(ctx, b.kizodArgs...); err != nil {
			return err
		}
		b.report.ReadyMs = append(b.report.ReadyMs, time.Since(began).Milliseconds())
	}
	rig.Pause(ctx, rest)
	b.report.IdleRSS = b.rig.Gauge().RSS
	fmt.Fprintf(b.out, "drained, started and ready again in %d ms; %.1f MiB after %s of rest\n", b.report.ReadyMs, float64(b.report.IdleRSS)/(1<<20), rest)
	return ctx.Err()
}
