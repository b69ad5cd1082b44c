package rig

import (
	"cmp"
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Environment is what figures depend on besides Kizo.
type Environment struct {
	At         time.Time         `json:"at"`
	CPU        string            `json:"cpu"`
	CPUs       int               `json:"cpus"`
	MemoryMiB  int64             `json:"memory_mib"`
	Kernel     string            `json:"kernel"`
	Go         string            `json:"go"`
	PostgreSQL string            `json:"postgresql"`
	Redis      string            `json:"redis"`
	Commit     string            `json:"commit"` // of this tree, with -dirty if it was changed
	Fsync      time.Duration     `json:"fsync_ns"`
	Load       string            `json:"load"` // average over one minute
	Bank       string            `json:"bank"` // preset
	Kizod      []string          `json:"kizod,omitempty"`
	Settings   map[string]string `json:"postgres_settings"`
}

// settings of PostgreSQL that speed and durability depend on.
var settings = []string{
	"fsync", "full_page_writes", "synchronous_commit", "wal_sync_method", "wal_compression",
	"shared_buffers", "max_wal_size", "checkpoint_timeout", "max_connections",
}

// Environment describes the machine and this rig. It writes 100 small pages to
// time the disk.
func (r *Rig) Environment(ctx context.Context) (Environment, error) {
	e := Environment{
		At: time.Now().UTC(), CPU: field("/proc/cpuinfo", "model name"), CPUs: runtime.NumCPU(), Kernel: contents("/proc/sys/kernel/osrelease"),
		Go: runtime.Version(), Redis: redisVersion(ctx), Commit: commit(ctx),
		Bank: r.config.BankPreset, Kizod: slices.Concat(r.args, r.config.Env), Settings: make(map[string]string),
	}
	e.Load, _, _ = strings.Cut(contents("/proc/loadavg"), " ")
	kib, _ := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	e.MemoryMiB = kib / 1024
	if info, err := buildinfo.ReadFile(r.binary); err == nil {
		e.Go = info.GoVersion
	}
	var err error
	if e.Fsync, err = syncTime(r.dir); err != nil {
		return e, fmt.Errorf("time the disk: %w", err)
	}
	conn, err := pgx.Connect(ctx, r.AdminURL()) // the application may not read some of the settings
	if err != nil {
		return e, fmt.Errorf("read the settings of PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	const show = `SELECT name, COALESCE(current_setting(name, true), '') FROM unnest($1::text[]) name`
	shown := slices.Concat(settings, slices.Collect(maps.Keys(r.config.PostgresSettings)), []string{"server_version"})
	rows, err := conn.Query(ctx, show, shown)
	if err != nil {
		return e, fmt.Errorf("read the settings of PostgreSQL: %w", err)
	}
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		e.Settings[name] = value
		return nil
	})
	if err != nil {
		return e, fmt.Errorf("read the settings of PostgreSQL: %w", err)
	}
	e.PostgreSQL = e.Settings["server_version"]
	delete(e.Settings, "server_version")
	return e, nil
}

// WriteMarkdown writes the environment as a list.
func (e Environment) WriteMarkdown(w io.Writer) {
	fmt.Fprintf(w, "- %d × %s, %d MiB, Linux %s; load %s at the start\n", e.CPUs, e.CPU, e.MemoryMiB, e.Kernel, e.Load)
	fmt.Fprintf(w, "- kizod %s (%s), PostgreSQL %s, Redis %s, mock bank %s\n", e.Commit, e.Go, e.PostgreSQL, e.Redis, e.Bank)
	if len(e.Kizod) > 0 {
		fmt.Fprintf(w, "- kizod serve %s\n", strings.Join(e.Kizod, " "))
	}
	fmt.Fprintf(w, "- one fsync takes %s", e.Fsync.Round(time.Microsecond))
	for _, name := range slices.Sorted(maps.Keys(e.Settings)) {
		fmt.Fprintf(w, "; %s %s", name, e.Settings[name])
	}
	fmt.Fprintf(w, "\n- %s\n", e.At.Format(time.RFC3339))
}

// field returns the first value of a name in a file of "name: value" lines, or "unknown".
func field(path, name string) string {
	for line := range strings.Lines(contents(path)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// contents returns the text of a file, or "unknown".
func contents(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// output returns what a program prints, or "unknown" if it fails.
func output(ctx context.Context, program string, args ...string) string {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func redisVersion(ctx context.Context) string {
	_, version, _ := strings.Cut(output(ctx, "redis-server", "--version"), " v=")
	version, _, _ = strings.Cut(version, " ")
	return cmp.Or(version, "unknown")
}

func commit(ctx context.Context) string {
	return filepath.Base(output(ctx, "git", "describe", "--always", "--dirty", "--exclude", "*"))
}
