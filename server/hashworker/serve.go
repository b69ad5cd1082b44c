package hashworker

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// Serve is the main function of the child: it greets, takes the priority that the
// parent names, and does one hash after the other until in ends. The memory of a hash
// is collected before the next one begins and not in between: the heap holds one hash
// at a time, and no collector runs beside it.
func Serve(in io.Reader, out io.Writer) error {
	debug.SetGCPercent(-1)
	if err := writeFrame(out, []byte(greeting)); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	frame, err := readFrame(in)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read priority: %w", err)
	}
	p, err := decodePriority(frame)
	if err != nil {
		return fmt.Errorf("read priority: %w", err)
	}
	lower(p)
	for {
		frame, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		job, err := decodeRequest(frame)
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		if err := writeFrame(out, job.Argon2id()); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		runtime.GC()
	}
}
