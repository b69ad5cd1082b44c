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

// child is a process that this package started and waits for.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has exited
	err  error         // how; to be read after done
}

// startChild starts the command as the identity, in a process group of its own
// (Ctrl-C at the terminal is for the parent, which then stops its children in
// order), to get onParentDeath when this process dies.
func startChild(cmd *exec.Cmd, id identity, onParentDeath syscall.Signal, env ...string) (*child, error) {
	cmd.SysProcAttr = processAttributes(onParentDeath)
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Credential = id.credential()
	cmd.Env = append(childEnvironment(), env...)
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// On Linux "the parent" of the death signal is the thread that
		// started the child. So that thread is kept until the child is gone.
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

// childEnvironment leaves out what would change a server's behaviour (PG*,
// LC_*) and what is none of its business (secrets of the parent).
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

// signal is an error-free kill: a child that is gone needs none.
func (c *child) signal(sig syscall.Signal) { _ = c.cmd.Process.Signal(sig) }

// step is a signal and how long to wait for its effect.
type step struct {
	signal syscall.Signal
	wait   time.Duration
}

// end sends one signal after the other until the child is gone. When ctx ends
// the waiting of a step is cut short, but the later steps are still taken: a
// child is never left behind.
func (c *child) end(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		c.signal(s.signal)
		if c.gone(ctx, s.wait) {
			return nil
		}
		ctx = context.Background() // the rest is harsh, and short
	}
	return fmt.Errorf("%s (process %d) does not end", c.cmd.Path, c.pid())
}

func (c *child) gone(ctx context.Context, wait time.Duration) bool {
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

// ready polls until probe succeeds, the child exits, or ctx ends. logTail is
// what the error shows of the child's own words.
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
			return fmt.Errorf("%s ended at start: %w\n%s", c.cmd.Path, c.exitError(), logTail())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last: %w)\n%s", c.cmd.Path, ctx.Err(), err, logTail())
		case <-ticker.C:
		}
	}
}

// exitError is for a child that has exited though nobody told it to.
func (c *child) exitError() error {
	if c.err != nil {
		return c.err
	}
	return fmt.Errorf("exit status 0")
}

// tail is the end of what was written to the file after offset.
func tail(path string, offset int64) string {
	const most = 2 << 10
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size()-offset > most {
		offset = info.Size() - most
	}
	text := make([]byte, most)
	n, _ := file.ReadAt(text, offset)
	return strings.TrimSpace(string(text[:n]))
}
