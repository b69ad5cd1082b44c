package embedded

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// initdb makes a cluster in dir/pgdata. It makes it in a temporary directory first and renames
// that, so that a killed initdb leaves no incomplete cluster.
func initdb(ctx context.Context, inst Installation, dir string, id identity) error {
	temp, err := os.MkdirTemp(dir, "pgdata.initdb-") // 0700
	if err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	defer os.RemoveAll(temp) // has no effect after the rename
	if err := id.own(temp); err != nil {
		return err
	}
	var output bytes.Buffer
	cmd := exec.Command(inst.initdb(), "--pgdata", temp, "--username", AdminRole,
		"--encoding", "UTF8", "--no-locale", "--data-checksums",
		"--auth-local", "trust", "--auth-host", "reject", "--no-instructions")
	cmd.Dir = temp // the working directory of this process may be one that the identity cannot enter
	cmd.Stdout, cmd.Stderr = &output, &output
	c, err := startChild(cmd, id, syscall.SIGTERM)
	if err != nil {
		return err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		_ = c.end(ctx, step{syscall.SIGTERM, 3 * time.Second}, step{syscall.SIGKILL, 3 * time.Second})
		return fmt.Errorf("initdb: %w", ctx.Err())
	}
	if c.err != nil {
		return fmt.Errorf("initdb: %w\n%s", c.err, strings.TrimSpace(output.String()))
	}
	if err := os.Rename(temp, filepath.Join(dir, dataName)); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	return syncDir(dir)
}

// removeIncomplete deletes the temporary directories of killed initdb processes. The caller holds
// the lock.
func removeIncomplete(dir string) {
	left, _ := filepath.Glob(filepath.Join(globEscape(dir), "pgdata.initdb-*"))
	for _, path := range left {
		os.RemoveAll(path)
	}
}

func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// syncDir makes a rename in dir survive a power failure.
func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}
