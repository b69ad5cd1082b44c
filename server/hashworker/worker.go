package hashworker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/JDevAman/kizo/server/auth"
)

// Config of a Worker; all but Arguments has a default.
type Config struct {
	Program   string   // this very program if ""
	Arguments []string // that make it call Serve
	Slots     int      // hashes at a time: 1
	Idle      time.Duration
	Logger    *slog.Logger
}

const (
	idleFor = time.Minute
	// startWithin is generous: it is the first thing that a busy machine does slowly.
	startWithin = 10 * time.Second
	// hashWithin tells a child that hangs from one that is starved by payments.
	hashWithin = 15 * time.Second
	endWithin  = 2 * time.Second
	// startAgain is the wait after a start that failed; until then hashing goes on here.
	startAgain = 30 * time.Second
)

// Worker hashes in a child that it starts, and starts again when it has died. Where
// no child can be started it hashes in this process: slower payments are better than
// nobody signing in. Safe for concurrent use by as many callers as it has slots.
type Worker struct {
	config   Config
	log      *slog.Logger
	patience time.Duration // with one hash

	mu      sync.Mutex
	child   *child // nil while there is none
	users   int    // of this child
	idle    *time.Timer
	noStart time.Time // until then
	closed  bool
}

var _ auth.Hasher = (*Worker)(nil)

// New returns a Worker, which has started nothing yet. It must be closed.
func New(c Config) *Worker {
	c.Slots, c.Idle = max(c.Slots, 1), cmp.Or(c.Idle, idleFor)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return &Worker{config: c, log: c.Logger, patience: hashWithin}
}

// Hash does the job in the child. If the child dies meanwhile a new one is asked,
// once; a child that does not answer is ended, and its job is not repeated.
func (w *Worker) Hash(job auth.HashJob) ([]byte, error) {
	var died error
	for range 2 {
		c, err := w.borrow()
		if err != nil {
			return job.Argon2id(), nil //nolint:nilerr // no child can be had: hashing goes on here
		}
		digest, err := c.ask(job, w.patience)
		w.giveBack(c)
		if err == nil {
			return digest, nil
		}
		if died = err; !errors.Is(err, errDied) {
			break
		}
	}
	w.log.Error("a password was not hashed", "error", died)
	return nil, fmt.Errorf("hash worker: %w", died)
}

// PID of the child, 0 if there is none.
func (w *Worker) PID() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.child == nil {
		return 0
	}
	return w.child.cmd.Process.Pid
}

// borrow gives the child, and starts one if there is none. A child that is borrowed
// is not idle.
func (w *Worker) borrow() (*child, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.child != nil && w.child.doomed.Load() {
		w.child = nil
	}
	if w.child == nil {
		if err := w.start(); err != nil {
			return nil, err
		}
	}
	w.users++
	if w.idle != nil {
		w.idle.Stop()
	}
	return w.child, nil
}

var errNoChild = errors.New("no hash worker")

func (w *Worker) start() error {
	if w.closed || time.Now().Before(w.noStart) {
		return errNoChild
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	c, err := startChild(ctx, w.config)
	if err != nil {
		w.noStart = time.Now().Add(startAgain)
		w.log.Warn("the hash worker does not start: passwords are hashed in this process", "error", err, "again_in", startAgain)
		return err
	}
	w.log.Debug("hash worker started", "pid", c.cmd.Process.Pid)
	w.child, w.users = c, 0
	return nil
}

func (w *Worker) giveBack(c *child) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.child != c {
		return // a dead one
	}
	if w.users--; w.users == 0 && !w.closed {
		w.idle = time.AfterFunc(w.config.Idle, func() { w.retire(c) })
	}
}

// retire ends a child that nobody has needed for a while.
func (w *Worker) retire(c *child) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.child == c && w.users == 0 {
		w.child = nil
		c.stop()
	}
}

// Close ends the child, within two seconds. What is asked later is hashed here.
func (w *Worker) Close() error {
	w.mu.Lock()
	c := w.child
	w.child, w.closed = nil, true
	w.mu.Unlock()
	if c == nil {
		return nil
	}
	return c.end()
}
