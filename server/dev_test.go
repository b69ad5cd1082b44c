package server_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

func startDev(t *testing.T, c server.DevConfig) *server.Dev {
	t.Helper()
	d, err := server.StartDev(t.Context(), c)
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, d.Close()) })
	return d
}

func TestDev(t *testing.T) {
	t.Parallel()
	c := server.DevConfig{Dir: pgtest.TempDir(t)}
	d := startDev(t, c)
	alice, bob := signUp(t, d.URL(), "alice"), signUp(t, d.URL(), "bob")
	alice.mustPost("/v1/deposits", usd(100_00))
	alice.mustPost("/v1/transfers", usdTo(30_00, "@bob"))
	bob.mustPost("/v1/withdrawals", usd(10_00))
	alice.wantBalance(70_00, 0)
	bob.wantBalance(20_00, 0)
	entries, err := sim.ReadJournal(filepath.Join(c.Dir, "bank", "journal.jsonl"))
	if err != nil || len(entries) != 2 {
		t.Errorf("the journal of the bank: %+v, %v", entries, err)
	}

	// A second Dev on the same data fails, names the process that uses it, and disturbs nothing.
	_, err = server.StartDev(t.Context(), c)
	if !errors.Is(err, embedded.ErrInUse) {
		t.Fatalf("a second Dev on the same data: %v", err)
	}
	testkit.Contains(t, err.Error(), c.Dir, fmt.Sprint(os.Getpid()))
	alice.wantBalance(70_00, 0)

	// Money, users and sessions survive a restart.
	testkit.Must(t, d.Close())
	testkit.Must(t, d.Close())
	began := time.Now()
	d = startDev(t, c)
	t.Logf("started on existing data in %v", time.Since(began).Round(time.Millisecond))
	alice.url, bob.url = d.URL(), d.URL()
	alice.wantBalance(70_00, 0)
	logIn(t, d.URL(), "bob").wantBalance(20_00, 0)
	bob.mustPost("/v1/transfers", usdTo(20_00, "@alice"))
	alice.wantBalance(90_00, 0)
}

func TestDevWithoutRedis(t *testing.T) {
	t.Parallel()
	d := startDev(t, server.DevConfig{Dir: pgtest.TempDir(t), RedisInProcess: true})
	alice := signUp(t, d.URL(), "alice")
	alice.mustPost("/v1/deposits", usd(100_00))
	alice.mustPost("/v1/withdrawals", usd(40_00))
	alice.wantBalance(60_00, 0)
}

// When PostgreSQL ends, Wait returns an error that names PostgreSQL's log. Close still stops
// everything, and the data can be used again.
func TestDevFailsWithItsPostgres(t *testing.T) {
	t.Parallel()
	c := server.DevConfig{Dir: pgtest.TempDir(t)}
	d := startDev(t, c)
	alice := signUp(t, d.URL(), "alice")
	alice.mustPost("/v1/deposits", usd(100_00))
	instance, running, err := embedded.Attach(c.Dir)
	if err != nil || !running {
		t.Fatalf("running: %v, %v", running, err)
	}
	testkit.Must(t, syscall.Kill(instance.PID, syscall.SIGQUIT))
	soon, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err = d.Wait(soon); err == nil {
		t.Fatal("Wait returned no error")
	}
	testkit.Contains(t, err.Error(), "PostgreSQL has ended", filepath.Join(c.Dir, "postgres.log"))
	began := time.Now()
	testkit.Must(t, d.Close())
	t.Logf("closed without its database in %v", time.Since(began).Round(time.Millisecond))

	d = startDev(t, c)
	logIn(t, d.URL(), "alice").wantBalance(100_00, 0)
}

func TestFailedDevStartLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(pgtest.TempDir(t), "data")
	_, err := server.StartDev(t.Context(), server.DevConfig{Dir: dir, BankPreset: "sunny"})
	if err == nil {
		t.Fatal("it started")
	}
	testkit.Contains(t, err.Error(), "sunny", "calm, classic or hell")
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an invalid preset is refused only after the data directory was made: %v", err)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer taken.Close()
	_, err = server.StartDev(t.Context(), server.DevConfig{Dir: dir, Listen: taken.Addr().String()})
	if err == nil {
		t.Fatal("it started")
	}
	testkit.Contains(t, err.Error(), "--listen", taken.Addr().String())
	// Everything that it had started was stopped: the directory is unlocked.
	if _, running, err := embedded.Attach(dir); running || err != nil {
		t.Errorf("PostgreSQL runs: %v, %v", running, err)
	}
	lock, err := embedded.Lock(dir)
	testkit.Must(t, err)
	testkit.Must(t, lock.Unlock())
}

// The mode and contents of a private directory that holds other files are not changed.
func TestDevLeavesPrivateDirectoryUnchanged(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root runs PostgreSQL as another user")
	}
	dir := filepath.Join(pgtest.TempDir(t), "private")
	testkit.Must(t, os.Mkdir(dir, 0o700))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "diary"), nil, 0o600))
	for range 2 { // the first attempt must not prepare the directory for the second
		_, err := server.StartDev(t.Context(), server.DevConfig{Dir: dir})
		if _, ok := errors.AsType[*embedded.UnreachableError](err); !ok {
			t.Fatalf("got %v", err)
		}
		testkit.Contains(t, err.Error(), dir, "cannot enter", "/var/lib/kizo", "chmod")
	}
	info, err := os.Stat(dir)
	testkit.Must(t, err)
	entries, err := os.ReadDir(dir)
	testkit.Must(t, err)
	if info.Mode().Perm() != 0o700 || len(entries) != 1 {
		t.Errorf("the mode is now %v, the contents are %v", info.Mode(), entries)
	}
}

// A Dev does not start on data whose secrets file is missing, and makes no new secrets.
func TestDevRefusesDataWithoutSecrets(t *testing.T) {
	t.Parallel()
	dir := pgtest.TempDir(t)
	d, err := server.StartDev(t.Context(), server.DevConfig{Dir: dir, RedisInProcess: true})
	testkit.Must(t, err)
	_, pepper := d.SecretIDs()
	testkit.Must(t, d.Close())
	file := filepath.Join(dir, "secrets", "secrets.json")
	testkit.Must(t, os.Remove(file))
	d, err = server.StartDev(t.Context(), server.DevConfig{Dir: dir, RedisInProcess: true})
	if err == nil {
		_ = d.Close()
		t.Fatal("it started")
	}
	testkit.Contains(t, err.Error(), file, "pepper "+pepper, "backup")
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a secrets file was made: %v", err)
	}
}
