package pgtest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/JDevAman/kizo/server/embedded"
)

const tempPrefix = "kizo-test-"

// TempDir is like t.TempDir, for directories of servers: the user that they run as under root can
// enter it, and its path is short enough for a unix socket.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := tempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the directory of the test: %v", err)
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
	return dir, os.Chmod(dir, 0o711) // may be entered, not listed
}

// removeLeftovers removes the directories of killed test binaries: those that are an hour old and
// not locked. On systems where a server outlives its parent, the removal stops the server.
func removeLeftovers() {
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
