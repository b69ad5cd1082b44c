package hashworker

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// Serve is the life of the child: it lowers its priority, says hello, and hashes what
// comes until in ends. It works on one request less at a time than GOMAXPROCS, which
// leaves one to the collector: a hash takes its 19 MiB anew and leaves them behind, and
// with all processors hashing it took twice as long (docs/decisions.md). When in ends
// nobody waits for what is being hashed: Serve returns, and the process should end.
func Serve(in io.Reader, out io.Writer) error {
	LowerPriority()
	if err := writeFrame(out, []byte(greeting)); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	var writing sync.Mutex
	failed := make(chan error, 1)
	slots := make(chan struct{}, max(runtime.GOMAXPROCS(0)-1, 1)) // the parent sends no more than that
	for {
		frame, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		id, job, err := decodeRequest(frame)
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		select {
		case slots <- struct{}{}:
		case err := <-failed:
			return err
		}
		go func() {
			defer func() { <-slots }()
			digest := job.Argon2id()
			writing.Lock()
			defer writing.Unlock()
			if err := writeFrame(out, encodeAnswer(id, digest)); err != nil {
				select {
				case failed <- fmt.Errorf("answer: %w", err):
				default:
				}
			}
		}()
	}
}
