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
	"syscall"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// kizod is the path of the binary that the tests start.
var kizod string

// kizodBuilt is an environment variable with the path of a kizod that is already built.
const kizodBuilt = "KIZO_TEST_KIZOD"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kizod-test-")
	switch kizod = os.Getenv(kizodBuilt); {
	case err != nil:
	case kizod != "": // another run of these tests has started this one
		os.RemoveAll(dir)
	default:
		defer os.RemoveAll(dir)
		kizod = filepath.Join(dir, "kizod")
		build := exec.Command("go", "build", "-ldflags", "-X main.version=v1.2.3-test", "-o", kizod, ".")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build kizod:", err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	pgtest.Main(m, migrations.Apply)
}

// process is a kizod that a test has started. It ends with the test.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  outputBuffer
	done chan struct{}
}

// outputBuffer collects stdout and stderr of a process.
type outputBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *outputBuffer) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *outputBuffer) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs kizod with no other environment than env.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return startCommand(t, env, exec.Command(kizod, args...))
}

// startWithDescriptors runs kizod with that limit of file descriptors.
func startWithDescriptors(t *testing.T, descriptors int, env []string, args ...string) *process {
	t.Helper()
	script := fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, descriptors)
	return startCommand(t, env, exec.Command("sh", append([]string{"-c", script, kizod}, args...)...))
}

func startCommand(t *testing.T, env []string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + os.TempDir()}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	testkit.Must(t, p.cmd.Start())
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // tests read its state
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s printed:\n%s", strings.Join(cmd.Args, " "), p.out.String())
		}
	})
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	testkit.Must(p.t, p.cmd.Process.Signal(s))
}

// ends waits for the process and returns its exit code, or -1 after a signal.
func (p *process) ends() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(40 * time.Second):
		p.t.Fatalf("it does not exit:\n%s", p.out.String())
		return 0
	}
}

// stops sends SIGTERM and waits for the end.
func (p *process) stops() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		p.t.Errorf("after SIGTERM it exits with %d:\n%s", code, p.out.String())
	}
}

// crashes sends SIGKILL and waits for the end.
func (p *process) crashes() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.done
}

// ready waits for the ready file of this process.
func (p *process) ready(file string) readiness {
	p.t.Helper()
	var r readiness
	testkit.Eventually(p.t, "it is ready", func() bool {
		select {
		case <-p.done:
			p.t.Fatalf("it exited at start:\n%s", p.out.String())
		default:
		}
		text, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(text, &r) == nil && r.PID == p.cmd.Process.Pid
	})
	return r
}

// run runs a command to its end.
func run(t *testing.T, env []string, args ...string) (code int, output string) {
	t.Helper()
	p := start(t, env, args...)
	return p.ends(), p.out.String()
}

// dev is a running `kizod dev`.
type dev struct {
	*process
	readiness
	data string
}

// startDev starts `kizod dev` on free ports.
func startDev(t *testing.T, data string, args ...string) *dev {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	args = append([]string{
		"dev", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--ready-file", file,
	}, args...)
	p := start(t, nil, args...)
	t.Cleanup(func() { // runs before the directory is removed
		_ = p.cmd.Process.Kill()
		<-p.done
		childrenEnd(t, data)
	})
	return &dev{p, p.ready(file), data}
}

func childrenEnd(t *testing.T, data string) {
	t.Helper()
	testkit.Eventually(t, "PostgreSQL has ended", func() bool {
		_, running, err := embedded.Attach(data)
		if running || err != nil {
			return false
		}
		lock, err := embedded.Lock(data)
		if errors.Is(err, os.ErrNotExist) {
			return true
		}
		return err == nil && lock.Unlock() == nil
	})
}
