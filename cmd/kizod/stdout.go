package main

import (
	"fmt"
	"io"
)

// stdout remembers the first error of writing to it: cobra ignores those of help texts and of the version.
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
