package hashworker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/JDevAman/kizo/server/auth"
)

var (
	errDied = errors.New("it died")
	errHung = errors.New("it did not answer")
)

// child is a running hash-worker process.
type child struct {
	cmd     *exec.Cmd
	stdin   *os.File
	stdout  *os.File
	log     *slog.Logger
	stopped atomic.Bool   // we have told it to end
	doomed  atomic.Bool   // it ends, or has: nothing new is for it
	gone    chan struct{} // closed when it has ended and was waited for
	err     error         // how; to be read after gone

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan []byte
}

// startChild returns one that has greeted.
func startChild(ctx context.Context, config Config) (_ *child, err error) {
	program := config.Program
	if program == "" {
		if program, err = self(); err != nil {
			return nil, err
		}
	}
	c := &child{
		cmd: exec.Command(program, config.Arguments...), //nolint:noctx // it outlives ctx, which is for its start
		log: config.Logger, gone: make(chan struct{}), waiting: make(map[uint64]chan []byte),
	}
	c.cmd.Args[0] = "kizod"
	c.cmd.SysProcAttr = attributes()
	// Nothing of ours: the environment of kizod may hold secrets. One processor more
	// than hashes, for the collector.
	c.cmd.Env = []string{"GOMAXPROCS=" + strconv.Itoa(config.Slots+1)}
	theirIn, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	stdout, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close())
	}
	defer theirOut.Close()
	c.cmd.Stdin, c.cmd.Stdout, c.stdin, c.stdout = theirIn, theirOut, stdin, stdout
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(err, stdin.Close(), stdout.Close())
	}
	if err := c.greeted(ctx); err != nil {
		c.bury()
		return nil, fmt.Errorf("start %s: %w (%s)", program, err, c.how())
	}
	go c.listen()
	return c, nil
}

func (c *child) greeted(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.stdout.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	said, err := readFrame(c.stdout)
	switch {
	case err != nil:
		return fmt.Errorf("wait for the greeting: %w", err)
	case string(said) != greeting:
		return fmt.Errorf("it greets with %.40q", said)
	}
	return c.stdout.SetReadDeadline(time.Time{})
}

// listen hands out the answers until there are no more.
func (c *child) listen() {
	defer func() {
		c.bury()
		if !c.stopped.Load() {
			c.log.Warn("the hash worker has ended by itself", "how", c.how())
		}
	}()
	for {
		frame, err := readFrame(c.stdout)
		if err != nil {
			return
		}
		id, digest, err := decodeAnswer(frame)
		if err != nil {
			return
		}
		c.mu.Lock()
		asker, ok := c.waiting[id]
		delete(c.waiting, id)
		c.mu.Unlock()
		if ok {
			asker <- digest // has room for it
		}
	}
}

// bury ends the process, whatever it does, and waits for it.
func (c *child) bury() {
	c.kill()
	c.err = c.cmd.Wait()
	_ = c.stdin.Close()
	_ = c.stdout.Close()
	close(c.gone)
}

func (c *child) ask(job auth.HashJob, within time.Duration) ([]byte, error) {
	answer := make(chan []byte, 1)
	c.mu.Lock()
	c.last++
	id := c.last
	c.waiting[id] = answer
	// A few dozen bytes for each slot: the pipe holds them even if nobody reads.
	err := writeFrame(c.stdin, encodeRequest(id, job))
	c.mu.Unlock()
	if err != nil {
		c.kill()
		return nil, fmt.Errorf("%w: %w", errDied, err)
	}
	patience := time.NewTimer(within)
	defer patience.Stop()
	select {
	case digest := <-answer:
		if len(digest) != job.Length {
			c.kill()
			return nil, fmt.Errorf("it answers with %d bytes", len(digest))
		}
		return digest, nil
	case <-c.gone:
		return nil, errDied
	case <-patience.C:
		c.kill()
		return nil, errHung
	}
}

// how it ended, in a word.
func (c *child) how() string {
	<-c.gone
	if c.err != nil {
		return c.err.Error()
	}
	return "exit status 0"
}

// stop is the polite end: no more work comes.
func (c *child) stop() {
	c.stopped.Store(true)
	_ = c.stdin.Close()
}

// end stops the child and waits, not for long.
func (c *child) end() error {
	c.stop()
	patience := time.NewTimer(endWithin)
	defer patience.Stop()
	select {
	case <-c.gone:
		return nil
	case <-patience.C:
	}
	c.kill()
	<-c.gone
	return nil
}

// kill is for one that is beyond words; listen buries it.
func (c *child) kill() {
	c.doomed.Store(true)
	_ = c.cmd.Process.Kill()
}
