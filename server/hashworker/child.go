package hashworker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/JDevAman/kizo/server/auth"
)

var (
	errDied    = errors.New("the hash worker died")
	errStalled = errors.New("the hash worker made no progress")
	errStarved = errors.New("the hash worker gets too little CPU time")
)

// limits are the time limits of a child. Tests shorten them.
type limits struct {
	check   time.Duration // interval between two checks of a child's CPU time
	starved time.Duration // work before the CPU share is checked; half of it at low priority
	stalled time.Duration // without CPU time at the highest priority before the child is killed
	cpu     time.Duration // CPU time of one hash before the child is killed
}

var defaultLimits = limits{
	check: 100 * time.Millisecond, starved: time.Second, stalled: 15 * time.Second, cpu: time.Minute,
}

// child is a running hash-worker process. One caller uses it at a time.
type child struct {
	cmd      *exec.Cmd
	stdin    *os.File
	stdout   *os.File
	log      *slog.Logger
	priority priority
	answers  chan []byte
	stopped  atomic.Bool   // this process has stopped or killed it
	ending   atomic.Bool   // it has been killed, and takes no more jobs
	exited   chan struct{} // closed when it has ended and was reaped
	err      error         // the error of Wait; valid once exited is closed
	retire   *time.Timer   // stops it when it has been free for too long; belongs to the Worker
	started  time.Time
	freed    time.Time // when its last job was done
	span     span
}

// span is a period in which a child worked without a pause.
type span struct {
	began time.Time
	cpu   time.Duration // CPU time of the child when the span began
}

// maxPause is the longest time without a job within a span.
const maxPause = 100 * time.Millisecond

// resume begins a new span, unless the child continues with the next job of a queue.
func (c *child) resume() {
	now := time.Now()
	if cpu, known := cpuTime(c.cmd.Process.Pid); !known || now.Sub(c.freed) > maxPause {
		c.span = span{now, cpu}
	}
}

// starved reports whether the child got less than a tenth of a CPU in the current span.
// It is false while the span is too short, and always at the highest priority.
func (c *child) starved(l limits) bool {
	if c.priority == priorityNormal {
		return false
	}
	now := time.Now()
	took := now.Sub(c.span.began)
	if took <= l.starved>>c.priority {
		return false
	}
	cpu, _ := cpuTime(c.cmd.Process.Pid)
	if cpu-c.span.cpu < took/10 {
		return true
	}
	c.span = span{now, cpu}
	return false
}

// startChild starts a child and waits for its greeting. ctx bounds the start, not the
// life of the child.
func startChild(ctx context.Context, config Config, p priority) (_ *child, err error) {
	program := config.Program
	if program == "" {
		if program, err = self(); err != nil {
			return nil, err
		}
	}
	c := &child{
		cmd: exec.Command(program, config.Arguments...), //nolint:noctx // it outlives ctx, which bounds only the start
		log: config.Logger, priority: p, answers: make(chan []byte, 1), exited: make(chan struct{}),
		started: time.Now(),
	}
	c.cmd.Args[0] = "kizod"
	c.cmd.SysProcAttr = attributes()
	// The environment of kizod may contain secrets, so the child does not inherit it.
	c.cmd.Env = []string{"GOMAXPROCS=1"}
	childIn, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer childIn.Close()
	stdout, childOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close())
	}
	defer childOut.Close()
	c.cmd.Stdin, c.cmd.Stdout, c.stdin, c.stdout = childIn, childOut, stdin, stdout
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(err, stdin.Close(), stdout.Close())
	}
	if err := c.greet(ctx); err != nil {
		c.reap()
		return nil, fmt.Errorf("start %s: %w (%s)", program, err, c.exit())
	}
	go c.listen()
	return c, nil
}

// greet waits for the greeting of the child, and then sends its priority. The child sends
// the greeting before it lowers its priority, so that a busy machine does not delay the start.
func (c *child) greet(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.stdout.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	frame, err := readFrame(c.stdout)
	switch {
	case err != nil:
		return fmt.Errorf("wait for the greeting: %w", err)
	case string(frame) != greeting:
		return fmt.Errorf("unexpected greeting %.40q", frame)
	}
	if err := c.stdout.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	return writeFrame(c.stdin, encodePriority(c.priority))
}

// listen receives digests until the child closes its output or violates the protocol.
func (c *child) listen() {
	defer func() {
		c.reap()
		if !c.stopped.Load() {
			c.log.Warn("a hash worker has ended unexpectedly", "exit", c.exit())
		}
	}()
	for {
		frame, err := readFrame(c.stdout)
		if err != nil {
			return
		}
		select {
		case c.answers <- frame:
		default: // a digest without a request
			return
		}
	}
}

// reap kills the process if it still runs, and waits until it has ended.
func (c *child) reap() {
	c.kill()
	c.err = c.cmd.Wait()
	_ = c.stdin.Close()
	_ = c.stdout.Close()
	close(c.exited)
}

// hash computes the hash of a job; see wait for the errors.
func (c *child) hash(job auth.HashJob, l limits) ([]byte, error) {
	c.resume()
	if err := c.send(job); err != nil {
		return nil, err
	}
	return c.wait(job, l)
}

// send sends a job to the child. It does not block if the child does not read: the job
// fits into the pipe.
func (c *child) send(job auth.HashJob) error {
	if err := writeFrame(c.stdin, encodeRequest(job)); err != nil {
		c.kill()
		return fmt.Errorf("%w: %w", errDied, err)
	}
	return nil
}

// wait returns the digest of the job that was sent. The error is errStarved if the child
// should be replaced by one of higher priority, errDied if it has ended, and errStalled if
// wait has killed it because it made no progress.
func (c *child) wait(job auth.HashJob, l limits) ([]byte, error) {
	cpuBegan, _ := cpuTime(c.cmd.Process.Pid)
	progressed, used := time.Now(), time.Duration(0)
	check := time.NewTicker(l.check)
	defer check.Stop()
	for {
		select {
		case digest := <-c.answers:
			if len(digest) != job.Length {
				c.kill()
				return nil, fmt.Errorf("the hash worker returned a digest of %d bytes", len(digest))
			}
			return digest, nil
		case <-c.exited:
			return nil, errDied
		case <-check.C:
		}
		now, before := time.Now(), used
		cpu, _ := cpuTime(c.cmd.Process.Pid)
		if used = cpu - cpuBegan; used > before {
			progressed = now
		}
		switch {
		case c.starved(l):
			return nil, errStarved
		case now.Sub(progressed) > l.stalled, used > l.cpu:
			c.kill()
			return nil, errStalled
		}
	}
}

// exit waits until the process has ended, and returns its exit status.
func (c *child) exit() string {
	<-c.exited
	if c.err != nil {
		return c.err.Error()
	}
	return "exit status 0"
}

// stop closes stdin, so that the process ends when its current job is done.
func (c *child) stop() {
	c.stopped.Store(true)
	_ = c.stdin.Close()
}

// end stops the process, and kills it if it has not ended within endTimeout.
func (c *child) end() {
	c.stop()
	timeout := time.NewTimer(endTimeout)
	defer timeout.Stop()
	select {
	case <-c.exited:
	case <-timeout.C:
		c.kill()
	}
}

// replace kills a child whose job another child repeats. It does not wait for the end: a
// process needs CPU time to end as well, and this one gets too little.
func (c *child) replace() {
	c.stopped.Store(true)
	c.kill()
}

// kill kills the process; listen reaps it.
func (c *child) kill() {
	c.ending.Store(true)
	_ = c.cmd.Process.Kill()
}
