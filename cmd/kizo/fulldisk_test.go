//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// rotator is a server that accepts each refresh token once, and ends the session at the second use.
type rotator struct {
	*httptest.Server
	mu     sync.Mutex
	number int // of the refresh token that is valid
	life   int // of an access token, in seconds
	trades int // refreshes, sign-ups and log-ins that it answered
}

func newRotator(t *testing.T) *rotator {
	t.Helper()
	s := &rotator{number: 1, life: 900}
	mux := http.NewServeMux()
	grant := func(w http.ResponseWriter) {
		s.number++
		_ = json.NewEncoder(w).Encode(openapi.Tokens{AccessToken: fmt.Sprintf("access-%d", s.number),
			RefreshToken: fmt.Sprintf("refresh-%d", s.number), ExpiresIn: s.life, User: client.User{Handle: "ada"}})
	}
	mux.HandleFunc("POST /v1/auth/refresh", func(w http.ResponseWriter, r *http.Request) {
		var body openapi.Refresh
		_ = json.NewDecoder(r.Body).Decode(&body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.trades++
		if body.RefreshToken != fmt.Sprintf("refresh-%d", s.number) {
			answerProblem(w, http.StatusUnauthorized, client.RefreshTokenReused)
			return
		}
		grant(w)
	})
	for _, path := range []string{"login", "signup"} {
		mux.HandleFunc("POST /v1/auth/"+path, func(w http.ResponseWriter, _ *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.trades++
			grant(w)
		})
	}
	mux.HandleFunc("POST /v1/auth/logout", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /v1/wallets", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"items":[]}`) })
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *rotator) traded() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trades
}

// fullDisk is a state directory that has no space left until free is called.
type fullDisk struct {
	state string
	fill  func()
	free  func()
	kizo  func(args ...string) *exec.Cmd
}

// smallFileSystem is a full file system. Only root can mount one.
func smallFileSystem(t *testing.T) *fullDisk {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "small")
	testkit.Must(t, os.Mkdir(dir, 0o700))
	if err := unix.Mount("kizo-test", dir, "tmpfs", 0, "size=128k,mode=0700"); err != nil {
		t.Skipf("a file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	filler := filepath.Join(dir, "filler")
	fill := func() {
		file, err := os.Create(filler)
		testkit.Must(t, err)
		defer file.Close()
		for size := 4096; size > 0; {
			_, err := file.Write(make([]byte, size))
			switch {
			case errors.Is(err, unix.ENOSPC):
				size /= 2
			case err != nil:
				t.Fatal(err)
			}
		}
	}
	free := func() {
		testkit.Must(t, os.Remove(filler))
	}
	return &fullDisk{dir, fill, free, func(args ...string) *exec.Cmd { return exec.CommandContext(t.Context(), "kizo", args...) }}
}

// fileSizeLimit limits the files that the process writes to a kilobyte, as a quota would.
func fileSizeLimit(t *testing.T) *fullDisk {
	t.Helper()
	limited := false
	return &fullDisk{t.TempDir(), func() { limited = true }, func() { limited = false }, func(args ...string) *exec.Cmd {
		if !limited {
			return exec.CommandContext(t.Context(), "kizo", args...)
		}
		return exec.CommandContext(t.Context(), "bash", append([]string{"-c", `ulimit -f 0; exec kizo "$@"`, "kizo"}, args...)...)
	}}
}

// TestFullDiskLosesNoToken: no space is left when a token must be refreshed. The client must not
// send the refresh token before it can store the new one; with space again, the same session
// continues.
func TestFullDiskLosesNoToken(t *testing.T) {
	for name, make := range map[string]func(*testing.T) *fullDisk{"full file system": smallFileSystem, "file size limit": fileSizeLimit} {
		t.Run(name, func(t *testing.T) {
			server := newRotator(t)
			disk := make(t)
			kizo := func(stdin string, args ...string) (string, error) {
				t.Helper()
				command := disk.kizo(append(args, "--server", server.URL)...)
				command.Env = append(os.Environ(), "XDG_STATE_HOME="+disk.state, "XDG_CONFIG_HOME="+t.TempDir(), "KIZO_TOKEN=")
				command.Stdin = strings.NewReader(stdin)
				out, err := command.CombinedOutput()
				return string(out), err
			}
			store := newFileStore(filepath.Join(disk.state, "kizo"), server.URL)
			keep(t, store, client.Credentials{AccessToken: "access-1", RefreshToken: "refresh-1", ExpiresAt: time.Now().Add(-time.Minute)})

			disk.fill()
			for _, args := range [][]string{{"wallet", "list"}, {"login", "ada", "--password-stdin"},
				{"signup", "--email", "ada@example.com", "--handle", "ada", "--name", "Ada", "--password-stdin"}} {
				out, err := kizo("correct horse battery\n", args...)
				if err == nil || !strings.Contains(out, "could not be stored") || server.traded() != 0 {
					t.Errorf("kizo %s without space: %d tokens asked for, %v, %s", args[0], server.traded(), err, out)
				}
			}
			if held, err := store.Load(t.Context()); err != nil || held.RefreshToken != "refresh-1" {
				t.Errorf("the stored session is %+v, %v", held, err)
			}
			disk.free()
			if out, err := kizo("", "wallet", "list"); err != nil {
				t.Errorf("with space again: %v, %s", err, out)
			}
			if left, _ := filepath.Glob(filepath.Join(store.dir(), ".new-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			disk.fill()
			if out, err := kizo("", "logout"); err != nil {
				t.Errorf("logging out without space: %v, %s", err, out)
			}
			if _, err := os.Stat(store.sessionPath()); !os.IsNotExist(err) {
				t.Errorf("the session is still there: %v", err)
			}
		})
	}
}

// TestFullDiskMovesNoUnrecordedMoney: a command that cannot be recorded is not sent.
func TestFullDiskMovesNoUnrecordedMoney(t *testing.T) {
	server := newFakeServer(t, answerTransfer(http.StatusCreated, client.Posted, "lunch"))
	disk := smallFileSystem(t)
	kizo := func(args ...string) (string, int) {
		t.Helper()
		command := disk.kizo(append(args, "--server", server.URL)...)
		command.Env = append(os.Environ(), "XDG_STATE_HOME="+disk.state, "XDG_CONFIG_HOME="+t.TempDir(), "KIZO_TOKEN=token")
		out, _ := command.CombinedOutput()
		return string(out), command.ProcessState.ExitCode()
	}
	if out, code := kizo("transfer", "@bob", "12.50", "USD"); code != exitDone {
		t.Fatalf("exit code %d, %s", code, out)
	}
	disk.fill()
	// The rest of the last block may still hold a few intents, and then no more.
	memo := strings.Repeat("x", 100)
	refused := ""
	for range 60 {
		out, code := kizo("transfer", "@bob", "12.50", "USD", "-m", memo)
		if code == exitDone {
			continue
		}
		refused = out
		if code != exitFailure || !strings.Contains(out, "nothing was sent") {
			t.Fatalf("exit code %d, %s", code, out)
		}
		break
	}
	if refused == "" {
		t.Fatal("the disk was never full")
	}
	server.mu.Lock()
	before := len(server.seen)
	server.mu.Unlock()
	kizo("transfer", "@bob", "12.50", "USD", "-m", memo)
	server.mu.Lock()
	defer server.mu.Unlock()
	if len(server.seen) != before {
		t.Error("it was sent without being recorded")
	}
	disk.free()
}
