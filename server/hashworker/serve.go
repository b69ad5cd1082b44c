package hashworker

import (
	"errors"
	"fmt"
	"io"

	"github.com/JDevAman/kizo/internal/argon2"
)

// Serve is the main function of the child. It sends the greeting, lowers the priority of
// this process as the parent says, and computes one hash after the other until in ends;
// then it returns nil. An error means that the parent violated the protocol or that out
// failed.
// All hashes use the same memory.
func Serve(in io.Reader, out io.Writer) error {
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
	var memory argon2.Memory
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
		if err := writeFrame(out, job.Argon2id(&memory)); err != nil {
			return fmt.Errorf("send the digest: %w", err)
		}
	}
}
