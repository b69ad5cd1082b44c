package embedded

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

func TestKilledParent(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	cmd := startHelper(t, dir)
	instance, running, err := Attach(dir)
	if err != nil || !running {
		t.Fatalf("the helper's server is not found: %v", err)
	}
	exec1(t, instance.URL("kizo", OwnerRole), `CREATE TABLE kept AS SELECT 42 AS n`)

	_, err = StartPostgres(t.Context(), PostgresConfig{Dir: dir})
	if inUse, ok := errors.AsType[*InUseError](err); !errors.Is(err, ErrInUse) || !ok || inUse.PID != cmd.Process.Pid {
		t.Fatalf("the helper is process %d; got %v", cmd.Process.Pid, err)
	}
	if _, err := StartRedis(t.Context(), RedisConfig{Dir: dir}); !errors.Is(err, ErrInUse) && haveRedis() {
		t.Errorf("a second Redis: %v", err)
	}

	testkit.Must(t, cmd.Process.Kill())
	cmd.Wait()
	pg := start(t, PostgresConfig{Dir: dir})
	if n := query[int](t, pg.URL("kizo", OwnerRole), `SELECT n FROM kept`); n != 42 {
		t.Errorf("after the kill the table holds %d", n)
	}
	redis, err := StartRedis(t.Context(), RedisConfig{Dir: dir})
	testkit.Must(t, err)
	testkit.Must(t, redis.Stop(t.Context()))
}

// A server that outlived its parent, as on systems without a signal for that, is stopped by the
// next start.
func TestOrphan(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	testkit.Must(t, start(t, PostgresConfig{Dir: dir}).Stop(t.Context()))
	orphan, id := startOrphan(t, dir)

	var log strings.Builder
	pg := start(t, PostgresConfig{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	<-orphan.done
	if !strings.Contains(log.String(), fmt.Sprint(orphan.pid())) {
		t.Errorf("the log does not name the orphan: %q", &log)
	}
	query[int](t, pg.URL("postgres", AdminRole), `SELECT 1`)
	if owner, ok := ownerOf(filepath.Join(dir, "pgdata")); ok && owner.uid != id.uid {
		t.Errorf("the data has another owner: %v, %v", owner, id)
	}
}

// startOrphan runs a postgres on dir without a lock and without postgres.json.
func startOrphan(t *testing.T, dir string) (*child, identity) {
	t.Helper()
	data := filepath.Join(dir, "pgdata")
	id, err := serviceUser()
	testkit.Must(t, err)
	inst, err := findPostgres(t.Context(), "", data, 0)
	testkit.Must(t, err)
	cmd := exec.Command(inst.postgres(), "-D", data, "-c", "listen_addresses=", "-c", "unix_socket_directories="+data)
	cmd.Dir = data
	stderr, err := cmd.StderrPipe()
	testkit.Must(t, err)
	orphan, err := startChild(cmd, id, 0)
	testkit.Must(t, err)
	t.Cleanup(func() { orphan.signal(syscall.SIGKILL); <-orphan.done })
	ready := make(chan struct{})
	go func() {
		text, buffer := "", make([]byte, 4096)
		for {
			n, err := stderr.Read(buffer)
			if text += string(buffer[:n]); strings.Contains(text, "ready to accept connections") {
				close(ready)
				io.Copy(io.Discard, stderr)
				return
			}
			if err != nil {
				t.Errorf("the orphan did not start: %s", text)
				close(ready)
				return
			}
		}
	}()
	<-ready
	return orphan, id
}

// A stale postmaster.pid has the pid of an unrelated process, which postgres would by itself take
// for another server.
func TestStalePIDOfAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	testkit.Must(t, start(t, PostgresConfig{Dir: dir}).Stop(t.Context()))
	crashed, id := startOrphan(t, dir)
	crashed.signal(syscall.SIGKILL)
	<-crashed.done

	unrelated := exec.Command("sleep", "600")
	unrelated.SysProcAttr = &syscall.SysProcAttr{Credential: id.credential()}
	testkit.Must(t, unrelated.Start())
	t.Cleanup(func() { unrelated.Process.Kill(); unrelated.Wait() })
	path := filepath.Join(dir, "pgdata", "postmaster.pid")
	text, err := os.ReadFile(path)
	testkit.Must(t, err)
	_, rest, _ := strings.Cut(string(text), "\n")
	testkit.Must(t, os.WriteFile(path, fmt.Appendf(nil, "%d\n%s", unrelated.Process.Pid, rest), 0o600))

	start(t, PostgresConfig{Dir: dir})
	if !alive(unrelated.Process.Pid) {
		t.Error("the unrelated process was killed")
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(tempDir(t), "new")
	lock, err := Lock(dir)
	testkit.Must(t, err)
	_, err = Lock(dir)
	if inUse, ok := errors.AsType[*InUseError](err); !ok || inUse.PID != os.Getpid() || inUse.Dir != dir {
		t.Errorf("got %v", err)
	}
	// A caller that holds the lock can start a server, and still holds the lock when it has
	// stopped.
	testkit.Must(t, start(t, PostgresConfig{Dir: dir, Lock: lock}).Stop(t.Context()))
	if _, err := Lock(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v", err)
	}
	testkit.Must(t, lock.Unlock())
	lock, err = Lock(dir)
	testkit.Must(t, err)
	testkit.Must(t, lock.Unlock())
}
