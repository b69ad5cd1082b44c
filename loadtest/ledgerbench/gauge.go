package main

import (
	"context"
	"fmt"
	"time"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// reading is what the counters say at one time; the difference of two is what a
// phase has spent.
type reading struct {
	at                time.Time
	elapsed           time.Duration // set by minus
	goCPU, pgCPU      time.Duration
	machineCPU        time.Duration // busy, all processes; 0 where /proc is missing
	wal               int64         // bytes
	batches, commands int64
	committing        time.Duration
}

func (b *bench) gauge(ctx context.Context) (reading, error) {
	r := reading{
		goCPU: rig.OwnCPU(), pgCPU: rig.TreeCPU(b.pg.Pid()), machineCPU: rig.MachineCPU(),
		batches: b.batches.Load(), commands: b.commands.Load(), committing: time.Duration(b.committing.Load()),
	}
	const position = `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`
	if err := b.pool.QueryRow(ctx, position).Scan(&r.wal); err != nil {
		return r, fmt.Errorf("read the WAL position: %w", err)
	}
	r.at = time.Now()
	return r, nil
}

func (r reading) minus(earlier reading) reading {
	return reading{
		at: r.at, elapsed: r.at.Sub(earlier.at),
		goCPU: r.goCPU - earlier.goCPU, pgCPU: r.pgCPU - earlier.pgCPU, machineCPU: r.machineCPU - earlier.machineCPU,
		wal: r.wal - earlier.wal, batches: r.batches - earlier.batches, commands: r.commands - earlier.commands,
		committing: r.committing - earlier.committing,
	}
}

func (r reading) plus(other reading) reading {
	return reading{
		elapsed: r.elapsed + other.elapsed,
		goCPU:   r.goCPU + other.goCPU, pgCPU: r.pgCPU + other.pgCPU, machineCPU: r.machineCPU + other.machineCPU,
		wal: r.wal + other.wal, batches: r.batches + other.batches, commands: r.commands + other.commands,
		committing: r.committing + other.committing,
	}
}
