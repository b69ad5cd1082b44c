package pgtest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/JDevAman/kizo/server/embedded"
)

const tempPrefix = "kizo-test-"

// TempDir is like t.TempDir, for directories that servers run in: the user
// whom they run as under root can enter it, and its path is short enough for
// a unix socket.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := tempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the test's directory: %v", err)
		}
	})
	return dir
}

func tempDir() (string, error) {
	dir, err := os.MkdirTemp("", tempPrefix)
	if err != nil {
		return "", err
	}
	if os.Geteuid() != 0 {
		return dir, nil
	}
	return dir, os.Chmod(dir, 0o711) // to pass through, not to list
}

// sweep removes what killed test binaries left: an hour old, and locked by
// nobody. On systems where their server lives on, it is stopped by that.
func sweep() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+"*"))
	for _, dir := range left {
		info, err := os.Stat(filepath.Join(dir, "pgdata"))
		if err != nil || time.Since(info.ModTime()) < time.Hour {
			continue
		}
		if lock, err := embedded.Lock(dir); err == nil {
			os.RemoveAll(dir)
			lock.Unlock()
		}
	}
}
