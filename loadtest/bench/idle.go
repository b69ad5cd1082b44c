package main

import (
	"context"
	"fmt"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

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
	table.add(fmt.Sprintf("MiB resident after %s without load", rest), float64(b.rig.Gauge().RSS)/(1<<20), "%.1f")
	b.report.Tables = append(b.report.Tables, table)
	return ctx.Err()
}
