package main

import (
	"bytes"
	"cmp"
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){
		"kizo":              main,
		"interrupted-twice": interruptTwice,
		"credential-helper": credentialHelper,
	})
}

// suite starts the server of the scripts when the first script needs it, and stops it at the end.
type suite struct{ m *testing.M }

func (s suite) Run() int {
	defer stopKizod()
	return s.m.Run()
}

// world runs kizo without a process: with its own files, environment and output.
type world struct {
	t        *testing.T
	dir      string
	env      map[string]string
	out, err bytes.Buffer
	terminal bool
	width    int // of the terminal; 100 if zero
	now      time.Time
	real     bool // the time is that of the clock
	stdin    string
	secrets  []string // the answers to password prompts
	readLine func(ctx context.Context, prompt string) (string, error)
}

func newWorld(t *testing.T, server *httptest.Server) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, dir: dir, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), env: map[string]string{
		"HOME":            dir,
		"XDG_STATE_HOME":  filepath.Join(dir, "state"),
		"XDG_CONFIG_HOME": filepath.Join(dir, "config"),
	}}
	if server != nil {
		w.env["KIZO_SERVER"] = server.URL
		w.env["KIZO_TOKEN"] = "token"
	}
	t.Chdir(dir)
	return w
}

func (w *world) app(args ...string) *app {
	w.out.Reset()
	w.err.Reset()
	io := &streams{In: strings.NewReader(w.stdin), Out: &w.out, Err: &w.err, OutTerminal: w.terminal, Width: cmp.Or(w.width, 100)}
	io.ReadLine = w.readLine
	if w.secrets != nil {
		io.ReadSecrets = func(context.Context, ...string) ([]string, error) { return w.secrets, nil }
	}
	return &app{io: io, args: args, json: asksForJSON(args), changed: new(atomic.Bool),
		env: func(name string) string { return w.env[name] },
		now: func() time.Time {
			if w.real {
				return time.Now()
			}
			return w.now
		},
	}
}

// kizo runs a command and returns its exit code.
func (w *world) kizo(args ...string) int {
	w.t.Helper()
	return w.app(args...).execute(w.t.Context())
}

func (w *world) expect(code int, args ...string) {
	w.t.Helper()
	if got := w.kizo(args...); got != code {
		w.t.Fatalf("kizo %q ended with %d, want %d\nstdout: %s\nstderr: %s", args, got, code, &w.out, &w.err)
	}
}

func (w *world) write(path, content string) string {
	w.t.Helper()
	path = filepath.Join(w.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}
