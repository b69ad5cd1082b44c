package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is a child of this run: it is ended by its handle and dies with us.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; to be read after done

	mu     sync.Mutex
	killed time.Time // when we sent it SIGKILL
	asked  bool      // we told it to end
}

// spawn starts a program. What it prints is appended to the file.
func spawn(program string, args, env []string, output string) (*process, error) {
	file, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", program, err)
	}
	defer file.Close()                                                            // the child has its own
	p := &process{cmd: exec.Command(program, args...), done: make(chan struct{})} //nolint:noctx,gosec // it ends by its handle, and is ours
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, file, file
	p.cmd.SysProcAttr = diesWithParent()
	started := make(chan error)
	go func() {
		// "The parent" whose death the kernel watches is the thread that starts.
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

// environment is what a child needs of ours, and its own settings.
func environment(settings ...string) []string {
	env := []string{"TZ=UTC"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, settings...)
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal tells whether the signal found it alive.
func (p *process) signal(s syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.alive() {
		return false
	}
	p.asked = p.asked || s == syscall.SIGKILL || s == syscall.SIGTERM
	if s == syscall.SIGKILL {
		p.killed = time.Now()
	}
	return p.cmd.Process.Signal(s) == nil
}

func (p *process) wasAsked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// killedAt is when we killed it; zero if we did not.
func (p *process) killedAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}

// end stops it in good order if it can be, and in any case.
func (p *process) end(grace time.Duration) {
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// selfKilled tells whether it died of a SIGKILL that was not ours: a named point
// that was told to kill.
func (p *process) selfKilled() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL && !p.wasAsked()
}
