package rig

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
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
	RSS       int64         `json:"rss_bytes"`    // of kizod and its children, now
}

// Gauge reads the counters. A restart of kizod resets its time.
func (r *Rig) Gauge() Gauge {
	table := processes()
	g := Gauge{
		At: time.Now(), Machine: machineCPU(), Generator: ownCPU(),
		Kizod: table.cpu(r.kizod.PID()), Postgres: table.cpu(r.postgres.Pid()), Bank: table.cpu(r.bank.PID()),
	}
	if r.redis != nil {
		g.Redis = table.cpu(r.redis.Pid())
	}
	for _, p := range table.tree(r.kizod.PID()) {
		g.RSS += p.rss
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
		At: g.At, Elapsed: g.Elapsed + sign*o.Elapsed, RSS: max(g.RSS, o.RSS),
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
	for each := range processes().tree(pid) {
		// proc_pid_clear_refs(5): 5 resets the peak resident set size
		_ = os.WriteFile(procFile(each, "clear_refs"), []byte("5"), 0)
	}
	return func() (bytes int64) {
		for each := range processes().tree(pid) {
			bytes += peakRSS(each)
		}
		return bytes
	}
}

func procFile(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// peakRSS is VmHWM of a process; 0 where there is none.
func peakRSS(pid int) int64 {
	status, _ := os.ReadFile(procFile(pid, "status"))
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, _, _ := strings.Cut(rest, "kB")
	return number(strings.TrimSpace(kib)) << 10
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

// proc is an entry of the process table.
type proc struct {
	parent int
	cpu    time.Duration // with children that have ended
	rss    int64         // bytes
}

type table map[int]proc

func processes() table {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	all := make(table, len(stats))
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// proc(5): pid (comm) state ppid … 14 utime, 15 stime, 16 cutime, 17 cstime …
		// 24 rss; comm may contain blanks, so count from its end.
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 22 {
			continue
		}
		ticks := number(fields[11]) + number(fields[12]) + number(fields[13]) + number(fields[14])
		all[int(number(filepath.Base(filepath.Dir(path))))] = proc{
			parent: int(number(fields[1])), cpu: time.Duration(ticks) * tick, rss: number(fields[21]) * int64(os.Getpagesize()),
		}
	}
	return all
}

// tree returns a process and its descendants, by pid.
func (t table) tree(root int) map[int]proc {
	found := make(map[int]proc)
	for pid, p := range t {
		for at, depth := pid, 0; at > 1 && depth < 100; at, depth = t[at].parent, depth+1 {
			if at == root {
				found[pid] = p
				break
			}
		}
	}
	return found
}

func (t table) cpu(root int) (used time.Duration) {
	for _, p := range t.tree(root) {
		used += p.cpu
	}
	return used
}

// machineCPU is the CPU time of all processes of the machine.
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

// loadAverage is the machine's load average over one minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
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
