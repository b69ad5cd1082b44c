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
	errStarved = errors.New("the hash worker waits for the CPU")
)

// limits of a child. Tests shorten them.
type limits struct {
	check   time.Duration // between two looks at a child's CPU time
	starved time.Duration // of work at idle priority, after which the share of the CPU is judged; half as long at the next
	stalled time.Duration // without CPU time at the highest priority, until the child is killed
	cpu     time.Duration // CPU time of one hash, until the child is killed
}

var defaultLimits = limits{
	check: 100 * time.Millisecond, starved: time.Second, stalled: 15 * time.Second, cpu: time.Minute,
}

// child is a running hash-worker process. It has one user at a time.
type child struct {
	cmd      *exec.Cmd
	stdin    *os.File
	stdout   *os.File
	log      *slog.Logger
	priority priority
	answers  chan []byte
	stopped  atomic.Bool   // it was asked to end
	ending   atomic.Bool   // it is ending or has ended: it takes no more jobs
	exited   chan struct{} // closed when it has ended and was waited for
	err      error         // how it ended; valid once gone is closed
	retire   *time.Timer   // ends it when it has been free for long; the Worker's
	started  time.Time
	freed    time.Time // when it was done with its last job
	span     span
}

// span is a time in which a child worked without a pause, and its CPU time before it.
type span struct {
	began time.Time
	cpu   time.Duration
}

// maxPause is the time without a job after which a span is over.
const maxPause = 100 * time.Millisecond

// resume begins a new span unless the child goes on with the next job of a queue.
func (c *child) resume() {
	now := time.Now()
	if cpu, known := cpuTime(c.cmd.Process.Pid); !known || now.Sub(c.freed) > maxPause {
		c.span = span{now, cpu}
	}
}

// starved tells whether the child got less than a third of a CPU while it worked, as
// soon as it has worked for long enough to tell. At the highest priority it never is.
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
	if enough := took / 3; cpu-c.span.cpu < enough {
		return true
	}
	c.span = span{now, cpu}
	return false
}

// startChild returns a child that has greeted. ctx bounds the start alone.
func startChild(ctx context.Context, config Config, p priority) (_ *child, err error) {
	program := config.Program
	if program == "" {
		if program, err = self(); err != nil {
			return nil, err
		}
	}
	c := &child{
		cmd: exec.Command(program, config.Arguments...), //nolint:noctx // it outlives ctx, which is for its start
		log: config.Logger, priority: p, answers: make(chan []byte, 1), exited: make(chan struct{}),
		started: time.Now(),
	}
	c.cmd.Args[0] = "kizod"
	c.cmd.SysProcAttr = attributes()
	// The environment of kizod may hold secrets: the child gets none of it.
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

// greet waits for the child's greeting and gives it its priority. The child greets
// before it lowers its priority, so that a busy machine does not delay the start.
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
		return fmt.Errorf("it greets with %.40q", frame)
	}
	if err := c.stdout.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	return writeFrame(c.stdin, encodePriority(c.priority))
}

// listen passes answers on until the child closes its output or breaks the protocol.
func (c *child) listen() {
	defer func() {
		c.reap()
		if !c.stopped.Load() {
			c.log.Warn("a hash worker has ended by itself", "exit", c.exit())
		}
	}()
	for {
		frame, err := readFrame(c.stdout)
		if err != nil {
			return
		}
		select {
		case c.answers <- frame:
		default: // an answer without a request
			return
		}
	}
}

// reap kills the process if it still runs, and waits for it.
func (c *child) reap() {
	c.kill()
	c.err = c.cmd.Wait()
	_ = c.stdin.Close()
	_ = c.stdout.Close()
	close(c.exited)
}

// hash does a job; see wait for the errors.
func (c *child) hash(job auth.HashJob, l limits) ([]byte, error) {
	c.resume()
	if err := c.send(job); err != nil {
		return nil, err
	}
	return c.wait(job, l)
}

// send gives the child a job. The pipe holds it even if the child does not read.
func (c *child) send(job auth.HashJob) error {
	if err := writeFrame(c.stdin, encodeRequest(job)); err != nil {
		c.kill()
		return fmt.Errorf("%w: %w", errDied, err)
	}
	return nil
}

// wait returns the digest of the job that was sent. It fails with errStarved when the
// child should be replaced by one of higher priority, with errDied when it has ended,
// and with errHung when it was killed since it made no progress.
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
				return nil, fmt.Errorf("the hash worker answers with %d bytes", len(digest))
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

// exit says how the process ended, and waits until it has.
func (c *child) exit() string {
	<-c.exited
	if c.err != nil {
		return c.err.Error()
	}
	return "exit status 0"
}

// stop lets the process end once its job is done.
func (c *child) stop() {
	c.stopped.Store(true)
	_ = c.stdin.Close()
}

// end stops the process, and kills it if it has not ended after a short time.
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

// replace ends a child whose job another one takes. It does not wait for the end: a
// process needs CPU time to die as well, and this one gets none.
func (c *child) replace() {
	c.stopped.Store(true)
	c.kill()
}

// kill ends the process at once; listen reaps it.
func (c *child) kill() {
	c.ending.Store(true)
	_ = c.cmd.Process.Kill()
}
