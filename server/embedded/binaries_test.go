package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
)

// fakeInstallation makes a directory with a postgres that only supports --version.
func fakeInstallation(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s'\n", version)
	for _, name := range []string{"postgres", "initdb"} {
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	return dir
}

func TestFindPostgres(t *testing.T) {
	new, old := fakeInstallation(t, "97.1 (Debian 97.1-2)"), fakeInstallation(t, "9.6.24")
	t.Setenv("PATH", new+":/usr/bin:/bin")

	inst, err := findPostgres(t.Context(), "", "", 0)
	if err != nil || inst.BinDir != new || inst.Major != 97 {
		t.Errorf("the server on PATH comes first: %v, %v", inst, err)
	}
	_, err = findPostgres(t.Context(), old, "", 0)
	notFound, ok := errors.AsType[*NotFoundError](err)
	if !ok || len(notFound.TooOld) != 1 {
		t.Errorf("too old: %v", err)
	}
	empty := t.TempDir()
	_, err = findPostgres(t.Context(), empty, "", 0)
	if !errors.As(err, &notFound) || !strings.Contains(err.Error(), empty) {
		t.Errorf("an empty --postgres-bin: %v", err)
	}
	_, err = findPostgres(t.Context(), new, "/data", 96)
	if version, ok := errors.AsType[*VersionError](err); !ok || version.Have[0].Major != 97 {
		t.Errorf("data of another version: %v", err)
	}
	for _, command := range []string{"apt install", "dnf install", "brew install"} {
		if !strings.Contains((&NotFoundError{}).Error(), command) {
			t.Errorf("%q is not in the error", command)
		}
	}
}

// The error for a server whose version cannot be read says why, and not that there is no server.
func TestUnreadableVersionIsReported(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		want   string
	}{
		"hangs":  {"exec sleep 600", "did not end within"},
		"fails":  {"echo 'libpq.so.5: no such file' >&2; exit 127", "libpq.so.5: no such file"},
		"prints": {"echo hello", "not a PostgreSQL version"},
	} {
		dir := fakeInstallation(t, "15.1")
		testkit.Must(t, os.WriteFile(filepath.Join(dir, "postgres"), []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := findPostgres(ctx, dir, "", 0)
		cancel()
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "apt install") || strings.Contains(err.Error(), "no PostgreSQL") {
			t.Errorf("%s: the error says that there is no server: %v", name, err)
		}
	}
	slow := fakeInstallation(t, "15.1")
	testkit.Must(t, os.WriteFile(filepath.Join(slow, "postgres"), []byte("#!/bin/sh\nsleep 5.5; echo 'postgres (PostgreSQL) 15.1'\n"), 0o755))
	if inst, err := findPostgres(t.Context(), slow, "", 0); err != nil || inst.Major != 15 {
		t.Errorf("after more than 5 s: %+v, %v", inst, err)
	}
}

func TestParseVersion(t *testing.T) {
	for line, want := range map[string]int{
		"postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n": 15,
		"postgres (PostgreSQL) 18beta1":                          18,
		"postgres (PostgreSQL) 9.6.24":                           9,
		"postgres (EnterpriseDB) x":                              0,
		"":                                                       0,
	} {
		if got, err := parseVersion(line); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", line, got, err)
		}
	}
}
