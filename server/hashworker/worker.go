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

// Config configures a Worker. Arguments is required.
type Config struct {
	Program   string        // path of the child's program; this program if ""
	Arguments []string      // command-line arguments with which the program calls Serve
	Idle      time.Duration // time without a job until a child ends; 0 means one minute
	Logger    *slog.Logger  // nil discards

	// OnPriorityRaised is called when a job is repeated in a child of higher priority, with
	// "low" or "normal". It may be nil.
	OnPriorityRaised func(priority string)
}

const (
	idleTimeout   = time.Minute
	raisedTimeout = 5 * time.Second // time without a job until a child of raised priority ends
	raisedLife    = time.Minute     // life of a child of raised priority: the machine may be idle by then
	// startTimeout is generous, because a busy machine starts processes slowly.
	startTimeout = 10 * time.Second
	endTimeout   = 2 * time.Second
	// startPause is the delay after a failed start. Until then, this process computes the
	// hashes itself.
	startPause = 30 * time.Second
)

// Worker computes hashes in child processes, and implements [auth.Hasher]. It starts a
// child when a caller needs one and none is free, and replaces a child that has died. If no
// child can be started, it hashes in this process: slower payments are better than no
// log-ins. Safe for concurrent use. There is at most one child for each concurrent caller.
type Worker struct {
	config Config
	log    *slog.Logger
	limits limits

	mu       sync.Mutex
	free     []*child // children without a job; the last one was used last and is used next
	busy     map[*child]bool
	notUntil time.Time // no child is started before this time
	closed   bool
}

var _ auth.Hasher = (*Worker)(nil)

// New returns a Worker. It starts no child until the first hash. The caller must call
// Close.
func New(c Config) *Worker {
	c.Idle = cmp.Or(c.Idle, idleTimeout)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.OnPriorityRaised == nil {
		c.OnPriorityRaised = func(string) {}
	}
	return &Worker{config: c, log: c.Logger, limits: defaultLimits, busy: make(map[*child]bool)}
}

// Hash computes the hash of a job in a child. If the child dies, Hash repeats the job in
// another one, once. An error says nothing about the password.
func (w *Worker) Hash(job auth.HashJob) ([]byte, error) {
	var failed error
	for range 2 {
		c, err := w.acquire()
		if err != nil {
			return auth.InProcess{}.Hash(job) // without a child, this process hashes
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

// hashIn computes the hash in c. If c gets too little CPU time, a child of higher priority
// replaces it. hashIn releases the child that it used last.
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
			return auth.InProcess{}.Hash(job) // without a child, this process hashes
		}
		w.config.OnPriorityRaised(raised.priority.String())
		c = raised
	}
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

// start starts a child, which is busy until its caller releases it.
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
		w.log.Warn("cannot start a hash worker; passwords are hashed in this process", "error", err, "next_start_in", startPause)
		return nil, err
	case w.closed:
		c.stop()
		return nil, errNoChild
	}
	w.log.Debug("hash worker started", "pid", c.cmd.Process.Pid, "priority", p.String())
	w.busy[c] = true
	return c, nil
}

// release makes a child available for the next job, unless it is ending.
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

// retire stops a child that has had no job for too long.
func (w *Worker) retire(c *child) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.free, c); i >= 0 {
		w.free = slices.Delete(w.free, i, i+1)
		c.stop()
	}
}

// Close ends the children, within about two seconds. Later hashes are computed in this
// process. It returns nil.
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
