package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

func keep(t *testing.T, s *sessionStore, c client.Credentials) {
	t.Helper()
	err := s.Update(t.Context(), func(client.Credentials) (client.Credentials, error) { return c, nil })
	testkit.Must(t, err)
}

func TestSessionBelongsToOneServer(t *testing.T) {
	state := filepath.Join(t.TempDir(), "kizo")
	one, two := newFileStore(state, "http://127.0.0.1:7420"), newFileStore(state, "http://127.0.0.1:7421")
	keep(t, one, client.Credentials{AccessToken: "a", RefreshToken: "r"})
	if held, err := one.Load(t.Context()); err != nil || held.AccessToken != "a" {
		t.Errorf("%+v, %v", held, err)
	}
	if held, err := two.Load(t.Context()); err != nil || held.AccessToken != "" {
		t.Errorf("%+v, %v", held, err)
	}
	keep(t, one, client.Credentials{})
	if _, err := os.Stat(one.sessionPath()); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

// TestWhatAKilledProcessReservedIsRemoved: only the reservations of this server are removed.
func TestWhatAKilledProcessReservedIsRemoved(t *testing.T) {
	state := filepath.Join(t.TempDir(), "kizo")
	one, two := newFileStore(state, "http://127.0.0.1:7420"), newFileStore(state, "http://127.0.0.1:7421")
	keep(t, one, client.Credentials{AccessToken: "a", RefreshToken: "r"})
	for _, s := range []*sessionStore{one, two} {
		if _, err := reserve(s.sessionPath(), maxSession); err != nil { // and then the process was killed
			t.Fatal(err)
		}
	}
	keep(t, one, client.Credentials{AccessToken: "b", RefreshToken: "r"})
	if left, _ := filepath.Glob(filepath.Join(one.dir(), newContent(one.sessionPath()))); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(two.dir(), newContent(two.sessionPath()))); len(left) != 1 {
		t.Errorf("of another server: %v", left)
	}
}

func TestReadableSessionIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files there have access lists, not modes")
	}
	state := filepath.Join(t.TempDir(), "kizo")
	s := newFileStore(state, "http://127.0.0.1:7420")
	keep(t, s, client.Credentials{AccessToken: "a"})
	for path, want := range map[string]os.FileMode{s.sessionPath(): 0o600, s.dir(): 0o700, state: 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}

	testkit.Must(t, os.Chmod(s.sessionPath(), 0o640))
	if _, err := s.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "chmod go= ") {
		t.Errorf("readable by the group: %v", err)
	}

	elsewhere := filepath.Join(t.TempDir(), "elsewhere.json")
	testkit.Must(t, os.Chmod(s.sessionPath(), 0o600))
	if err := os.Rename(s.sessionPath(), elsewhere); err != nil {
		t.Fatal(err)
	}
	testkit.Must(t, os.Symlink(elsewhere, s.sessionPath()))
	if _, err := s.Load(t.Context()); err == nil {
		t.Error("a symbolic link was followed")
	}
	err := s.Update(t.Context(), func(c client.Credentials) (client.Credentials, error) {
		t.Error("asked for tokens that could not be kept")
		return c, nil
	})
	if err == nil {
		t.Error("a symbolic link was written through")
	}
}

// TestTenProcessesRefreshOnce: ten processes find at the same time that their token has expired. If
// two of them used the refresh token, the server would end the session.
func TestTenProcessesRefreshOnce(t *testing.T) {
	const processes = 10
	var (
		mu        sync.Mutex
		waiting   int
		all       = make(chan struct{})
		refreshes = map[string]int{}
	)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/wallets", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer new" {
			fmt.Fprint(w, `{"items":[]}`)
			return
		}
		mu.Lock()
		if waiting++; waiting == processes {
			close(all)
		}
		mu.Unlock()
		<-all
		answerProblem(w, http.StatusUnauthorized, client.TokenExpired)
	})
	mux.HandleFunc("POST /v1/auth/refresh", func(w http.ResponseWriter, r *http.Request) {
		var body openapi.Refresh
		_ = json.NewDecoder(r.Body).Decode(&body)
		mu.Lock()
		defer mu.Unlock()
		refreshes[body.RefreshToken]++
		_ = json.NewEncoder(w).Encode(openapi.Tokens{AccessToken: "new", RefreshToken: "next", ExpiresIn: 900})
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	dir := t.TempDir()
	keep(t, newFileStore(filepath.Join(dir, "kizo"), server.URL),
		client.Credentials{AccessToken: "old", RefreshToken: "first", ExpiresAt: time.Now().Add(time.Hour)})
	var group sync.WaitGroup
	for range processes {
		command := exec.CommandContext(t.Context(), "kizo", "wallet", "list", "--server", server.URL)
		command.Env = append(os.Environ(), "XDG_STATE_HOME="+dir, "XDG_CONFIG_HOME="+dir, "KIZO_TOKEN=")
		group.Go(func() {
			if out, err := command.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	group.Wait()
	if fmt.Sprint(refreshes) != "map[first:1]" {
		t.Errorf("refresh tokens used: %v", refreshes)
	}
}

func answerProblem(w http.ResponseWriter, status int, code client.ProblemCode) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(client.Problem{Code: code, Status: status, Detail: string(code)})
}

// newFileStore returns the session of a server in a file of a state directory.
func newFileStore(state, server string) *sessionStore {
	s := newSessionStore(state, server)
	s.vault = &fileVault{s.sessionPath()}
	return s
}
