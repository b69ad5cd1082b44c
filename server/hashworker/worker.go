package hashworker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/JDevAman/kizo/server/auth"
)

// Config of a Worker; all but Arguments has a default.
type Config struct {
	Program          string        // this very program if ""
	Arguments        []string      // that make it call Serve
	Idle             time.Duration // without a job, until a child ends: a minute
	Logger           *slog.Logger
	OnPriorityRaised func(priority string) // a job had to go to a child of this priority; may be nil
}

const (
	idleTimeout   = time.Minute
	raisedTimeout = 5 * time.Second // without a job, until a child of raised priority ends
	raisedLife    = time.Minute     // of a child of raised priority: the machine may have become quiet
	// startTimeout is generous: starting a process is the first thing that a busy machine does slowly.
	startTimeout = 10 * time.Second
	endTimeout   = 2 * time.Second
	// startPause is the wait after a failed start; until then hashes are done in this process.
	startPause = 30 * time.Second
)

// Worker hashes in child processes, one for each caller at a time. It starts them when
// they are needed, and starts another one when one has died. Where no child can be
// started it hashes in this process: slower payments are better than no sign-ins. Safe
// for concurrent use; its callers bound how many children there are.
type Worker struct {
	config Config
	log    *slog.Logger
	limits limits

	mu       sync.Mutex
	free     []*child // without a job; the one used last comes last and is used next
	busy     map[*child]bool
	notUntil time.Time // the next start
	closed   bool
}

var _ auth.Hasher = (*Worker)(nil)

// New returns a Worker, which has started nothing yet. It must be closed.
func New(c Config) *Worker {
	c.Idle = cmp.Or(c.Idle, idleTimeout)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.OnPriorityRaised == nil {
		c.OnPriorityRaised = func(string) {}
	}
	return &Worker{config: c, log: c.Logger, limits: defaultLimits, busy: make(map[*child]bool)}
}

// Hash does the job in a child. If the child dies meanwhile the job goes to another
// one, once.
func (w *Worker) Hash(job auth.HashJob) ([]byte, error) {
	var failed error
	for range 2 {
		c, err := w.acquire()
		if err != nil {
			return job.Argon2id(), nil //nolint:nilerr // without children, hashes are done in this process
		}
		digest, err := w.hashIn(c, job)
		if err == nil {
			return digest, nil
		}
		if failed = err; !errors.Is(err, errDied) {
			break
		}
	}
	w.log.Error("a password was not hashed", "error", failed)
	return nil, fmt.Errorf("hash a password: %w", failed)
}

// hashIn does the job in c, or in children of higher priority that take the place of c
// when it does not get the CPU. It releases the child that it ends with.
func (w *Worker) hashIn(c *child, job auth.HashJob) ([]byte, error) {
	for {
		digest, err := c.hash(job, w.limits)
		if !errors.Is(err, errStarved) {
			w.release(c)
			return digest, err
		}
		raised, err := w.start(c.priority + 1)
		c.replace()
		w.release(c)
		if err != nil {
			return job.Argon2id(), nil //nolint:nilerr // without children, hashes are done in this process
		}
		w.config.OnPriorityRaised(raised.priority.String())
		c = raised
	}
}

// PIDs of the children.
func (w *Worker) PIDs() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var pids []int
	for _, c := range w.free {
		pids = append(pids, c.cmd.Process.Pid)
	}
	for c := range w.busy {
		pids = append(pids, c.cmd.Process.Pid)
	}
	return pids
}

// acquire returns a free child, or starts one.
func (w *Worker) acquire() (*child, error) {
	w.mu.Lock()
	for len(w.free) > 0 {
		last := len(w.free) - 1
		c := w.free[last]
		w.free = w.free[:last]
		c.retire.Stop()
		if !c.ending.Load() {
			w.busy[c] = true
			w.mu.Unlock()
			return c, nil
		}
	}
	w.mu.Unlock()
	return w.start(priorityIdle)
}

var errNoChild = errors.New("no hash worker")

// start starts a child that its caller has acquired.
func (w *Worker) start(p priority) (*child, error) {
	w.mu.Lock()
	wait := w.closed || time.Now().Before(w.notUntil)
	w.mu.Unlock()
	if wait {
		return nil, errNoChild
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c, err := startChild(ctx, w.config, p)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.notUntil = time.Now().Add(startPause)
		w.log.Warn("no hash worker can be started: passwords are hashed in this process", "error", err, "next_start_in", startPause)
		return nil, err
	case w.closed:
		c.stop()
		return nil, errNoChild
	}
	w.log.Debug("hash worker started", "pid", c.cmd.Process.Pid, "priority", p.String())
	w.busy[c] = true
	return c, nil
}

// release makes a child free for the next job; a dead one is dropped.
func (w *Worker) release(c *child) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.busy, c)
	if c.ending.Load() {
		return
	}
	c.freed = time.Now()
	if w.closed || c.priority > priorityIdle && c.freed.Sub(c.started) > raisedLife {
		c.stop()
		return
	}
	timeout := w.config.Idle
	if c.priority > priorityIdle {
		timeout = min(timeout, raisedTimeout)
	}
	w.free = append(w.free, c)
	c.retire = time.AfterFunc(timeout, func() { w.retire(c) })
}

// retire ends a child that has had no job for long.
func (w *Worker) retire(c *child) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.free, c); i >= 0 {
		w.free = slices.Delete(w.free, i, i+1)
		c.stop()
	}
}

// Close ends the children, within two seconds. Later hashes are done in this process.
func (w *Worker) Close() error {
	w.mu.Lock()
	w.closed = true
	ending := w.free
	for c := range w.busy {
		ending = append(ending, c)
	}
	w.free = nil
	w.mu.Unlock()
	var group sync.WaitGroup
	for _, c := range ending {
		group.Go(c.end)
	}
	group.Wait()
	return nil
}
