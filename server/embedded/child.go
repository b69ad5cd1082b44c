package embedded

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// child is a process that this package has started.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has exited
	err  error         // of the exit; valid after done is closed
}

// startChild starts the command as the identity, in a process group of its own, so that Ctrl-C at
// the terminal reaches only the parent, which stops its children in order. The child gets the
// signal onParentDeath when this process dies.
func startChild(cmd *exec.Cmd, id identity, onParentDeath syscall.Signal, env ...string) (*child, error) {
	cmd.SysProcAttr = processAttributes(onParentDeath)
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Credential = id.credential()
	cmd.Env = append(childEnvironment(), env...)
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// On Linux the death signal is sent when the thread ends that started the child. So that
		// thread is kept until the child has exited.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return c, nil
}

// childEnvironment returns the environment of a child. It has no variables that change how a
// server behaves (PG*, LC_*), and none of the parent's secrets.
func childEnvironment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// signal sends a signal. It ignores the error if the child has exited already.
func (c *child) signal(sig syscall.Signal) { _ = c.cmd.Process.Signal(sig) }

// step is a signal and how long to wait for the exit that it causes.
type step struct {
	signal syscall.Signal
	wait   time.Duration
}

// end sends one signal after another until the child has exited. When ctx ends, it stops waiting
// for the current step and still takes the later ones, so that no child is left running.
func (c *child) end(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		c.signal(s.signal)
		if c.exitsWithin(ctx, s.wait) {
			return nil
		}
		ctx = context.Background() // the waits of the later steps are short
	}
	return fmt.Errorf("%s (process %d) does not exit", c.cmd.Path, c.pid())
}

func (c *child) exitsWithin(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-c.done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// ready polls until probe succeeds, the child exits, or ctx ends. The error ends with the text of
// logTail, the last lines of the child's log.
func (c *child) ready(ctx context.Context, probe func(context.Context) error, logTail func() string) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("%s exited at start: %w\n%s", c.cmd.Path, c.exitError(), logTail())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last: %w)\n%s", c.cmd.Path, ctx.Err(), err, logTail())
		case <-ticker.C:
		}
	}
}

// exitError returns the error of a child that has exited without being stopped.
func (c *child) exitError() error {
	if c.err != nil {
		return c.err
	}
	return fmt.Errorf("exit status 0")
}

// tail returns the last 2 KiB that were written to the file after offset.
func tail(path string, offset int64) string {
	const maxSize = 2 << 10
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size()-offset > maxSize {
		offset = info.Size() - maxSize
	}
	text := make([]byte, maxSize)
	n, _ := file.ReadAt(text, offset)
	return strings.TrimSpace(string(text[:n]))
}
