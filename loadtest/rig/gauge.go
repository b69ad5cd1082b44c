package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// Gauge is a reading of counters; the difference of two is what was used between them.
// CPU times are of a process with its children; 0 where there is no /proc.
type Gauge struct {
	At        time.Time     `json:"at"`
	Elapsed   time.Duration `json:"elapsed_ns"` // set by Since
	Kizod     time.Duration `json:"kizod_ns"`
	Postgres  time.Duration `json:"postgres_ns"`
	Redis     time.Duration `json:"redis_ns"`
	Bank      time.Duration `json:"bank_ns"`
	Generator time.Duration `json:"generator_ns"` // this process
	Machine   time.Duration `json:"machine_ns"`   // all processes
	WAL       int64         `json:"wal_bytes"`    // that PostgreSQL has written
	RSS       int64         `json:"rss_bytes"`    // of kizod and its children, now
}

// Gauge reads the counters. A restart of kizod resets its time.
func (r *Rig) Gauge(ctx context.Context) Gauge {
	table := processes()
	g := Gauge{
		At: time.Now(), Machine: machineCPU(), Generator: ownCPU(),
		Kizod: table.cpu(r.kizod.PID()) + table.cpu(r.second.PID()), Postgres: table.cpu(r.postgres.Pid()), Bank: table.cpu(r.bank.PID()),
	}
	const position = `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`
	_ = r.pool.QueryRow(ctx, position).Scan(&g.WAL) // without an answer, kizod's requests fail too
	if r.redis != nil {
		g.Redis = table.cpu(r.redis.Pid())
	}
	for _, p := range table.tree(r.kizod.PID()) {
		g.RSS += int64(p.ResidentMemory())
	}
	return g
}

// Since returns what was used after an earlier reading.
func (g Gauge) Since(earlier Gauge) Gauge {
	d := g.plus(earlier, -1)
	d.Elapsed, d.RSS = g.At.Sub(earlier.At), g.RSS
	return d
}

// Plus returns what was used in two intervals together.
func (g Gauge) Plus(other Gauge) Gauge { return g.plus(other, 1) }

func (g Gauge) plus(o Gauge, sign time.Duration) Gauge {
	return Gauge{
		At: g.At, WAL: g.WAL + int64(sign)*o.WAL, Elapsed: g.Elapsed + sign*o.Elapsed, RSS: max(g.RSS, o.RSS),
		Kizod: g.Kizod + sign*o.Kizod, Postgres: g.Postgres + sign*o.Postgres, Redis: g.Redis + sign*o.Redis,
		Bank: g.Bank + sign*o.Bank, Generator: g.Generator + sign*o.Generator, Machine: g.Machine + sign*o.Machine,
	}
}

// WatchRSS resets the peak of kizod's memory; the function that it returns reads the
// peak since then, in bytes. Linux keeps it, so that watching costs nothing. Processes
// of the tree reach their peaks at different times, so the sum may be more than was ever
// used at once.
func (r *Rig) WatchRSS() (peak func() int64) {
	pid := r.kizod.PID()
	for _, p := range processes().tree(pid) {
		// proc_pid_clear_refs(5): 5 resets the peak resident set size
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.Proc.PID), []byte("5"), 0)
	}
	return func() (bytes int64) {
		for _, p := range processes().tree(pid) {
			if status, err := p.NewStatus(); err == nil {
				bytes += int64(status.VmHWM)
			}
		}
		return bytes
	}
}

// ownCPU is the CPU time that this process has used.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// tick is USER_HZ, which is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// proc is a process, with its stat as of now.
type proc struct {
	procfs.Proc
	procfs.ProcStat
}

// table contains the processes of the machine by pid. It is empty where there is no /proc.
type table map[int]proc

func processes() table {
	all := make(table)
	list, _ := procfs.AllProcs()
	for _, p := range list {
		if stat, err := p.Stat(); err == nil { // it has not ended
			all[p.PID] = proc{p, stat}
		}
	}
	return all
}

// tree returns a process and its descendants.
func (t table) tree(root int) (found []proc) {
	for _, p := range t {
		for at, depth := p, 0; at.PPID > 0 && depth < 100; at, depth = t[at.PPID], depth+1 {
			if at.Proc.PID == root {
				found = append(found, p)
				break
			}
		}
	}
	return found
}

// cpu is the time of a process, its descendants, and those of them that have ended.
func (t table) cpu(root int) (used time.Duration) {
	for _, p := range t.tree(root) {
		used += time.Duration(int(p.UTime)+int(p.STime)+p.CUTime+p.CSTime) * tick
	}
	return used
}

// machineCPU is the CPU time of all processes of the machine.
func machineCPU() time.Duration {
	system, err := procfs.NewDefaultFS()
	if err != nil {
		return 0
	}
	stat, err := system.Stat()
	if err != nil {
		return 0
	}
	c := stat.CPUTotal // neither idle nor waiting for a disk
	return time.Duration((c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ + c.Steal) * float64(time.Second))
}

// syncTime is the median time of making 8 KiB durable on the file system of a
// directory: the lower bound of a commit's cost.
func syncTime(dir string) (time.Duration, error) {
	file, err := os.Create(filepath.Join(dir, "sync"))
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

// Quantile of sorted durations; 0 of none.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
