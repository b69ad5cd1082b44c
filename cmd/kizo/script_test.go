package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/JDevAman/kizo/internal/testkit"
)

// TestScripts runs testdata/script against one kizod dev. A script has these variables and
// commands:
//
//	$USER1, $USER2   handles that no other script has; the file password has their password
//	$LOSSY           the address of a proxy that loses the answers to transfers
//	as 1             the following commands are those of user 1 (or 2), with their own state
//	exits CODE kizo  runs a command that must end with this exit code
//	field NAME VAR   stores a member of the JSON object that was printed last in a variable;
//	                 if it was a list, of its first object
//	examples NAME…   runs the examples in the help of a command in a shell, each of which must
//	                 succeed
//	totp SECRET FILE writes the code that an authenticator app shows now
//	names FILE       replaces USER2 in a file by that user's handle
func TestScripts(t *testing.T) {
	kizod, err := startKizod()
	testkit.Must(t, err)
	lossy := losesAnswers(t, kizod.URL)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			number := scriptsSoFar.Add(1)
			env.Setenv("KIZO_SERVER", kizod.URL)
			env.Setenv("KIZOD", filepath.Join(kizod.dir, "kizod"))
			env.Setenv("KIZOD_DATA", filepath.Join(kizod.dir, "data"))
			env.Setenv("USER1", fmt.Sprintf("ada%d", number))
			env.Setenv("USER2", fmt.Sprintf("bob%d", number))
			env.Setenv("TZ", "UTC")
			env.Setenv("ESC", "\x1b")
			env.Setenv("LOSSY", lossy.URL)
			becomeUser(env.Setenv, env.WorkDir, "1")
			return os.WriteFile(filepath.Join(env.WorkDir, "password"), []byte("correct horse battery\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"as":       func(ts *testscript.TestScript, _ bool, args []string) { becomeUser(ts.Setenv, ts.MkAbs("."), args[0]) },
			"exits":    exits,
			"field":    field,
			"examples": examples,
			"names":    names,
			"totp":     writeCode,
		},
	})
}

// losesAnswers returns a proxy that forwards everything and closes the connection in place of an
// answer to a transfer.
func losesAnswers(t *testing.T, server string) *httptest.Server {
	target, err := url.Parse(server)
	testkit.Must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.Method == http.MethodPost && r.Request.URL.Path == "/v1/transfers" {
			return errors.New("lost")
		}
		return nil
	}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	lossy := httptest.NewServer(proxy)
	t.Cleanup(lossy.Close)
	return lossy
}

// scriptsSoFar numbers the users, because with -count a script runs more than once on one server.
var scriptsSoFar atomic.Int64

func becomeUser(setenv func(name, value string), dir, user string) {
	setenv("XDG_STATE_HOME", filepath.Join(dir, "user"+user, "state"))
	setenv("XDG_CONFIG_HOME", filepath.Join(dir, "user"+user, "config"))
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var ended *exec.ExitError
	code := 0
	if errors.As(err, &ended) {
		code = ended.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func examples(ts *testscript.TestScript, _ bool, args []string) {
	command, rest, err := newRootCommand(&app{io: &streams{Out: io.Discard, Err: io.Discard}}).Find(args)
	if err != nil || len(rest) > 0 || command.Example == "" {
		ts.Fatalf("%q has no examples", args)
	}
	for line := range strings.Lines(command.Example) {
		if err := ts.Exec("sh", "-e", "-c", strings.TrimSpace(line)); err != nil {
			ts.Fatalf("%s: %v", strings.TrimSpace(line), err)
		}
	}
}

func writeCode(ts *testscript.TestScript, _ bool, args []string) {
	code, err := totp.GenerateCode(args[0], time.Now())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(code+"\n"), 0o600))
}

func names(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.ReplaceAll(ts.ReadFile(args[0]), "USER2", ts.Getenv("USER2"))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

func field(ts *testscript.TestScript, _ bool, args []string) {
	text := []byte(ts.ReadFile("stdout"))
	var object map[string]any
	if list := []map[string]any{}; json.Unmarshal(text, &list) == nil && len(list) > 0 {
		object = list[0]
	} else if err := json.Unmarshal(text, &object); err != nil {
		ts.Fatalf("stdout is no JSON object: %v", err)
	}
	value, present := object[args[0]]
	if !present {
		ts.Fatalf("no %s in %v", args[0], object)
	}
	ts.Setenv(args[1], fmt.Sprint(value))
}

// kizodProcess is the server of the scripts.
type kizodProcess struct {
	URL string `json:"url"`

	dir     string
	command *exec.Cmd
	ended   chan struct{} // closed when the process has ended
}

var (
	kizodOnce    sync.Once
	kizodRunning *kizodProcess
	errKizod     error
)

func startKizod() (*kizodProcess, error) {
	kizodOnce.Do(func() { errKizod = newKizod() })
	return kizodRunning, errKizod
}

// ownKizod starts a kizod that the test may stop and start again, and returns its program.
func ownKizod(t *testing.T) (kizod *kizodProcess, binary string) {
	t.Helper()
	if _, err := startKizod(); err != nil { // it builds the program
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "kizo-own-")
	testkit.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	testkit.Must(t, os.Chmod(dir, 0o755))
	binary = filepath.Join(kizodRunning.dir, "kizod")
	kizod = &kizodProcess{dir: dir}
	t.Cleanup(kizod.stop)
	testkit.Must(t, kizod.start(binary))
	return kizod, binary
}

// newKizod builds kizod and waits until it can serve.
func newKizod() error {
	dir, err := os.MkdirTemp("", "kizo-scripts-")
	if err != nil {
		return err
	}
	kizodRunning = &kizodProcess{dir: dir} // from here on it must be stopped
	// Started as root, kizod runs its PostgreSQL as another user, who needs access to the data.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "kizod"), "../kizod").CombinedOutput(); err != nil {
		return fmt.Errorf("build kizod: %w\n%s", err, out)
	}
	return kizodRunning.start(filepath.Join(dir, "kizod"))
}

// start runs a kizod on the data in p.dir and waits until it can serve.
func (p *kizodProcess) start(binary string) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	ready := filepath.Join(p.dir, "ready", "kizod.json")
	if err := os.MkdirAll(filepath.Dir(ready), 0o700); err != nil {
		return err
	}
	if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a run that was killed
		return err
	}
	if err := watcher.Add(filepath.Dir(ready)); err != nil {
		return err
	}
	p.URL = ""
	p.command = exec.Command(binary, "dev", "--data", filepath.Join(p.dir, "data"),
		"--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--ready-file", ready)
	// A file, not a pipe: processes that a killed kizod leaves behind would keep the pipe open, and
	// Wait would wait for it.
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.command.Stdout, p.command.Stderr = log, log
	if err := p.command.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	p.ended = ended
	go func(command *exec.Cmd) {
		_ = command.Wait()
		close(ended)
	}(p.command)
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case <-watcher.Events:
			// A half-written file is not JSON yet; another event follows.
			if text, err := os.ReadFile(ready); err == nil && json.Unmarshal(text, p) == nil && p.URL != "" {
				return nil
			}
		case <-ended:
			logged, _ := os.ReadFile(p.log())
			return fmt.Errorf("kizod dev ended before it could serve: %v\n%s", p.command.ProcessState, logged)
		case <-timeout:
			return errors.New("kizod dev cannot serve after two minutes")
		}
	}
}

func (p *kizodProcess) log() string { return filepath.Join(p.dir, "kizod.log") }

func stopKizod() {
	p := kizodRunning
	if p == nil {
		return
	}
	p.stop()
	if os.Getenv("KIZO_TEST_LOG") != "" {
		logged, _ := os.ReadFile(p.log())
		fmt.Fprintln(os.Stderr, strings.TrimSpace(string(logged)))
	}
	_ = os.RemoveAll(p.dir)
}

// stop stops kizod with a signal and waits until it has ended.
func (p *kizodProcess) stop() {
	if p.command == nil || p.command.Process == nil {
		return
	}
	_ = p.command.Process.Signal(os.Interrupt)
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.kill()
	}
}

// kill kills kizod, as a crash would.
func (p *kizodProcess) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}
