package main

import (
	"fmt"
	"io"
)

// stdout remembers its first write error, since cobra ignores the errors of writing help texts and
// the version.
type stdout struct {
	io.Writer
	err error
}

func (s *stdout) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("the result could not be written: %w", err)
	}
	return n, err
}
