package rig

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/JDevAman/kizo/internal/freeport"
)

// Process is a child of this process. It ends with this process at the latest.
type Process struct {
	cmd    *exec.Cmd
	output string // file of what it prints
	done   chan struct{}
	err    error // how it ended; valid after done

	mu     sync.Mutex
	killed time.Time // when Signal sent SIGKILL
	asked  bool      // Signal sent SIGKILL or SIGTERM
}

// Spawn starts a program. Its output is appended to a file.
func Spawn(program string, args, env []string, output string) (*Process, error) {
	return spawn(program, args, env, output, diesWithParent())
}

// SpawnSession is Spawn in a session, and so a scheduling group, of its own.
func SpawnSession(program string, args, env []string, output string) (*Process, error) {
	return spawn(program, args, env, output, inOwnSession())
}

func spawn(program string, args, env []string, output string, attributes *syscall.SysProcAttr) (*Process, error) {
	file, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", program, err)
	}
	defer file.Close()                                                                            // the child has its own
	p := &Process{cmd: exec.Command(program, args...), output: output, done: make(chan struct{})} //nolint:noctx // End stops it
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, file, file
	p.cmd.SysProcAttr = attributes
	started := make(chan error)
	go func() {
		// The parent whose death the kernel watches is the thread that starts the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return p, nil
}

// ChildEnvironment is what a child needs of this process's environment, and its own settings.
func ChildEnvironment(settings ...string) []string {
	env := []string{"TZ=UTC"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, settings...)
}

// PID is the id of the process, which another process may get once it has ended;
// 0 if p is nil.
func (p *Process) PID() int {
	if p == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err waits for the end of the process and returns how it ended.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// CPU waits for the end of the process and returns the CPU time that it and its children used.
func (p *Process) CPU() time.Duration {
	<-p.done
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// Alive reports whether the process is running.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal and reports whether the process was running. A nil process is not.
func (p *Process) Signal(s syscall.Signal) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.Alive() {
		return false
	}
	p.asked = p.asked || s == syscall.SIGKILL || s == syscall.SIGTERM
	if s == syscall.SIGKILL {
		p.killed = time.Now()
	}
	return p.cmd.Process.Signal(s) == nil
}

// WasAsked reports whether Signal sent SIGTERM or SIGKILL.
func (p *Process) WasAsked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// KilledAt is when Signal sent SIGKILL; zero if it did not.
func (p *Process) KilledAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}

// End sends SIGTERM, and SIGKILL if the process has not ended after grace.
func (p *Process) End(grace time.Duration) {
	p.Signal(syscall.SIGCONT)
	if !p.Signal(syscall.SIGTERM) {
		return
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Signal(syscall.SIGKILL)
		<-p.done
	}
}

// Kill sends SIGKILL and waits until the process has ended.
func (p *Process) Kill() {
	if p.Signal(syscall.SIGKILL) {
		<-p.done
	}
}

// SelfKilled reports whether the process was killed by a failpoint: by a SIGKILL that
// Signal did not send.
func (p *Process) SelfKilled() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL && !p.WasAsked()
}

// Tail returns the end of a log, or why it cannot be read.
func Tail(path string) string {
	contents, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(contents[max(0, len(contents)-1500):]))
}

// Main runs a command with the arguments of this process until it ends or is interrupted.
// It exits with status 1 after an error.
func Main(name string, command func(ctx context.Context, args []string, out io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Note writes a line about the progress of a run, with the time.
func Note(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "%s  %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// Poll calls done at intervals until it returns true or an error, or ctx ends.
func Poll(ctx context.Context, interval time.Duration, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if Pause(ctx, interval); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// Pause waits, unless ctx ends first.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Build compiles kizod from this tree.
func Build(ctx context.Context, binary string, flags ...string) error {
	return BuildCommand(ctx, "kizod", binary, flags...)
}

// BuildCommand compiles a command of this tree, such as kizo.
func BuildCommand(ctx context.Context, name, binary string, flags ...string) error {
	args := append([]string{"build"}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", binary, "github.com/JDevAman/kizo/cmd/"+name)...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, output)
	}
	return nil
}

// Ready is what kizod writes into its ready file.
type Ready struct {
	URL      string `json:"url"`
	OpsURL   string `json:"ops_url"`
	PprofURL string `json:"pprof_url"`
	PID      int    `json:"pid"`
}

// WaitReady waits until this process has written its ready file.
func (p *Process) WaitReady(ctx context.Context, path string) (ready Ready, err error) {
	err = p.await(ctx, 2*time.Millisecond, func() bool {
		contents, err := os.ReadFile(path)
		return err == nil && json.Unmarshal(contents, &ready) == nil && ready.PID == p.PID()
	})
	return ready, err
}

// WaitAnswering waits until GET url is answered.
func (p *Process) WaitAnswering(ctx context.Context, url string) error {
	return p.await(ctx, 10*time.Millisecond, func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return false
		}
		response, err := http.DefaultClient.Do(request)
		return err == nil && response.Body.Close() == nil
	})
}

// await polls until the process is ready. It is an error if the process ends before.
func (p *Process) await(ctx context.Context, interval time.Duration, ready func() bool) error {
	err := Poll(ctx, interval, func() (bool, error) {
		if !p.Alive() {
			return false, errors.New("it has exited")
		}
		return ready(), nil
	})
	if err != nil {
		return fmt.Errorf("%s %s is not ready: %w\n%s", p.cmd.Args[0], p.cmd.Args[1], err, Tail(p.output))
	}
	return nil
}

// FreeAddress returns a loopback address with a port on which nothing listens.
func FreeAddress() (string, error) {
	port, err := freeport.Reserve()
	if err != nil {
		return "", err
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil
}
