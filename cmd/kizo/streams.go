package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// streams are the three files of a command and what is known of them. Tests make their own.
type streams struct {
	In       io.Reader
	Out, Err io.Writer

	OutTerminal bool
	Width       int // of the terminal, in columns; 0 if there is none or it is not known

	// ReadSecret asks for a secret without showing it; nil if stdin is no terminal.
	ReadSecret func(ctx context.Context, prompt string) (string, error)
}

func systemStreams() *streams {
	s := &streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	if out := int(os.Stdout.Fd()); term.IsTerminal(out) {
		s.OutTerminal = true
		if width, _, err := term.GetSize(out); err == nil {
			s.Width = width
		}
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		s.ReadSecret = readSecret
	}
	return s
}

// note tells the user something that is not data.
func (s *streams) note(format string, args ...any) {
	fmt.Fprintf(s.Err, format+"\n", args...)
}

// readSecret gives the terminal its echo back when it is interrupted.
func readSecret(ctx context.Context, prompt string) (string, error) {
	terminal := int(os.Stdin.Fd())
	before, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	fmt.Fprint(os.Stderr, prompt)
	type answer struct {
		secret []byte
		err    error
	}
	typed := make(chan answer, 1)
	go func() {
		secret, err := term.ReadPassword(terminal)
		typed <- answer{secret, err}
	}()
	select {
	case got := <-typed:
		fmt.Fprintln(os.Stderr)
		if errors.Is(got.err, io.EOF) {
			return "", context.Canceled // Ctrl-D is a no as well
		}
		return string(got.secret), got.err
	case <-ctx.Done():
		_ = term.Restore(terminal, before)
		fmt.Fprintln(os.Stderr)
		return "", ctx.Err()
	}
}
