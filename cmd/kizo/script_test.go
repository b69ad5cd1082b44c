package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/script against a real server, one kizod dev for all of them. In a script
//
//	$USER1, $USER2   handles that no other script has; the password of both is in file password
//	as 1             makes the commands that follow those of the first user (1 or 2), on a state of its own
//	exits CODE kizo  runs a command that must end with this exit code
//	field NAME VAR   puts a member of the JSON object that was printed last, or of the first in a list, into a variable
func TestScripts(t *testing.T) {
	kizod, err := startKizod()
	if err != nil {
		t.Fatal(err)
	}
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
			becomeUser(env.Setenv, env.WorkDir, "1")
			return os.WriteFile(filepath.Join(env.WorkDir, "password"), []byte("correct horse battery\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"as":    func(ts *testscript.TestScript, _ bool, args []string) { becomeUser(ts.Setenv, ts.MkAbs("."), args[0]) },
			"exits": exits,
			"field": field,
		},
	})
}

// scriptsSoFar numbers the users: with -count, the server sees a script more than once.
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
	ended   chan error
	log     bytes.Buffer // read only after it has ended
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

// newKizod builds kizod and waits until it can serve.
func newKizod() error {
	dir, err := os.MkdirTemp("", "kizo-scripts-")
	if err != nil {
		return err
	}
	p := &kizodProcess{dir: dir, ended: make(chan error, 1)}
	// Started as root, kizod runs its PostgreSQL as somebody else, who has to get at the data.
	if err := os.Chmod(p.dir, 0o755); err != nil {
		return err
	}
	binary := filepath.Join(p.dir, "kizod")
	if out, err := exec.Command("go", "build", "-o", binary, "../kizod").CombinedOutput(); err != nil {
		return fmt.Errorf("build kizod: %w\n%s", err, out)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	ready := filepath.Join(p.dir, "ready", "kizod.json")
	if err := os.Mkdir(filepath.Dir(ready), 0o700); err != nil {
		return err
	}
	if err := watcher.Add(filepath.Dir(ready)); err != nil {
		return err
	}
	p.command = exec.Command(binary, "dev", "--data", filepath.Join(p.dir, "data"),
		"--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--ready-file", ready)
	p.command.Stdout, p.command.Stderr = &p.log, &p.log
	if err := p.command.Start(); err != nil {
		return err
	}
	go func() { p.ended <- p.command.Wait() }()
	kizodRunning = p // from here on it has to be stopped
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case <-watcher.Events:
			// A half-written file is not JSON yet; another event follows.
			if text, err := os.ReadFile(ready); err == nil && json.Unmarshal(text, p) == nil && p.URL != "" {
				return nil
			}
		case err := <-p.ended:
			p.ended <- err
			return fmt.Errorf("kizod dev ended before it could serve: %w\n%s", err, &p.log)
		case <-timeout:
			return errors.New("kizod dev cannot serve after two minutes")
		}
	}
}

func stopKizod() {
	p := kizodRunning
	if p == nil {
		return
	}
	_ = p.command.Process.Signal(os.Interrupt)
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		_ = p.command.Process.Kill()
		<-p.ended
	}
	if os.Getenv("KIZO_TEST_LOG") != "" {
		fmt.Fprintln(os.Stderr, strings.TrimSpace(p.log.String()))
	}
	_ = os.RemoveAll(p.dir)
}
