package hashworker

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// Serve is the main function of the child. It sends the greeting, lowers the priority of
// this process as the parent says, and computes one hash after the other until in ends;
// then it returns nil. An error means that the parent violated the protocol or that out
// failed.
//
// Serve runs the garbage collector between two hashes and never during one, so that the
// heap contains the memory of one hash.
func Serve(in io.Reader, out io.Writer) error {
	debug.SetGCPercent(-1)
	if err := writeFrame(out, []byte(greeting)); err != nil {
		return fmt.Errorf("send the greeting: %w", err)
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
			return fmt.Errorf("send the digest: %w", err)
		}
		runtime.GC()
	}
}
