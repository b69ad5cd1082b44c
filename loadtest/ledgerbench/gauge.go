package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
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
		goCPU: ownCPU(), pgCPU: treeCPU(b.pg.Pid()), machineCPU: machineCPU(),
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

func ownCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// tick is USER_HZ, which is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// treeCPU is what a postmaster, its children, and those that have ended have
// used; 0 where there is no /proc.
func treeCPU(postmaster int) time.Duration {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var ticks int64
	for _, path := range stats {
		text, err := os.ReadFile(path) // a path of /proc
		if err != nil {
			continue // ended meanwhile
		}
		// proc(5): pid (comm) state ppid … 14 utime, 15 stime, 16 cutime, 17 cstime;
		// comm may hold blanks, so count from behind it.
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 15 {
			continue
		}
		pid, parent := filepath.Base(filepath.Dir(path)), fields[1]
		switch strconv.Itoa(postmaster) {
		case pid:
			ticks += number(fields[11]) + number(fields[12]) + number(fields[13]) + number(fields[14])
		case parent:
			ticks += number(fields[11]) + number(fields[12])
		}
	}
	return time.Duration(ticks) * tick
}

// machineCPU is how long the processors were busy for anybody.
func machineCPU() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal …
	if len(fields) < 9 {
		return 0
	}
	var ticks int64
	for i, field := range fields[1:9] {
		if i != 3 && i != 4 { // neither idle nor waiting for a disk
			ticks += number(field)
		}
	}
	return time.Duration(ticks) * tick
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

// load is the machine's load average over one minute, to judge a figure by.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// measureSync is the median time of making 8 KiB durable on the file system that
// the database is going to use: the least that a commit costs.
func measureSync(dir string) (time.Duration, error) {
	file, err := os.Create(filepath.Join(dir, "sync")) // our own directory
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close(); _ = os.Remove(file.Name()) }()
	page := make([]byte, 8192)
	times := make([]time.Duration, 0, 101)
	for range cap(times) {
		began := time.Now()
		if _, err := file.WriteAt(page, 0); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
