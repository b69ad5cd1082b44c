package hashworker

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
)

// Serve is the life of the child: it lowers its priority, says hello, and hashes what
// comes until in ends. It works on GOMAXPROCS requests at a time; the parent sends
// no more than that. When in ends nobody waits for what is being hashed: Serve
// returns, and the process should end.
func Serve(in io.Reader, out io.Writer) error {
	lowerPriority()
	memory := newMemory(runtime.GOMAXPROCS(0))
	if err := writeFrame(out, []byte(greeting)); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	var writing sync.Mutex
	failed := make(chan error, 1)
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for {
		frame, err := readFrame(in)
		if err == io.EOF { //nolint:errorlint // as it is, or the frame was cut off
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
		memory.expect(job.Params.MemoryKiB)
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

// memory bounds the child's heap. Each hash takes its memory anew and leaves it to
// the collector, which would run for every one of them: the rest of the heap is
// tiny. So it runs when the limit is reached, and the limit is what the slots need
// at the same time, once more, and a little.
type memory struct {
	slots  int
	most   uint32 // KiB of the largest hash so far
	before int64
}

const restOfHeap = 16 << 20

func newMemory(slots int) *memory {
	debug.SetGCPercent(-1)
	return &memory{slots: slots}
}

func (m *memory) expect(kib uint32) {
	if kib <= m.most {
		return
	}
	m.most = kib
	debug.SetMemoryLimit(int64(kib)<<10*int64(m.slots+1) + restOfHeap)
}
