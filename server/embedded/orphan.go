package embedded

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopOrphans stops the server processes that still use dataDir. The caller holds the lock, so the
// process that started them has ended.
func stopOrphans(ctx context.Context, dataDir string, log *slog.Logger) error {
	postmaster := postmasterPID(dataDir)
	steps := []step{
		{syscall.SIGINT, 20 * time.Second}, // fast shutdown: the next start needs no recovery
		{syscall.SIGQUIT, 7 * time.Second}, // immediate shutdown; PostgreSQL gives its children 5 s
		{syscall.SIGKILL, 5 * time.Second},
	}
	for _, s := range steps {
		pids := clusterProcesses(dataDir, postmaster)
		if len(pids) == 0 {
			return nil
		}
		log.Warn("stopping a PostgreSQL that outlived its parent", "pids", pids, "signal", s.signal.String(), "data", dataDir)
		if slices.Contains(pids, postmaster) && s.signal != syscall.SIGKILL {
			pids = []int{postmaster} // the postmaster stops its children
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, s.signal) // an error means that the process has ended
		}
		if err := waitForNone(ctx, dataDir, postmaster, s.wait); err != nil {
			return err
		}
	}
	if pids := clusterProcesses(dataDir, postmaster); len(pids) > 0 {
		return fmt.Errorf("PostgreSQL processes %v use %s and do not exit", pids, dataDir)
	}
	return nil
}

// waitForNone returns when no process is left or wait has passed. It returns an error only if ctx
// has ended.
func waitForNone(ctx context.Context, dataDir string, postmaster int, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for len(clusterProcesses(dataDir, postmaster)) > 0 && time.Now().Before(deadline) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for an earlier PostgreSQL on %s to end: %w", dataDir, ctx.Err())
		}
	}
	return nil
}

// postmasterPID returns the pid that the last server on dataDir has written, or 0.
func postmasterPID(dataDir string) int {
	file, err := os.Open(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return 0
	}
	defer file.Close()
	line, _ := bufio.NewReader(file).ReadString('\n')
	pid, _ := strconv.Atoi(strings.TrimSpace(line))
	return max(pid, -pid) // a single-user server writes it negative
}
