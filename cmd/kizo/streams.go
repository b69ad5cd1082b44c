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
	OutClosed   bool // nothing that is written to Out is seen by anyone, and no write fails
	Width       int  // of the terminal, in columns; 0 if there is none or it is not known

	// ReadSecrets asks for secrets, one a prompt, without showing them; nil if stdin is no terminal.
	ReadSecrets func(ctx context.Context, prompts ...string) ([]string, error)
}

func systemStreams() *streams {
	s := &streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	if out := int(os.Stdout.Fd()); term.IsTerminal(out) {
		s.OutTerminal = true
		if width, _, err := term.GetSize(out); err == nil {
			s.Width = width
		}
	}
	s.OutClosed = standsForClosed(os.Stdout)
	if term.IsTerminal(int(os.Stdin.Fd())) {
		s.ReadSecrets = readSecrets
	}
	return s
}

// note tells the user something that is not data.
func (s *streams) note(format string, args ...any) {
	fmt.Fprintf(s.Err, format+"\n", args...)
}

// readSecrets turns the echo off before it shows a prompt, since some type, or paste, faster than that,
// and on again however it ends.
func readSecrets(ctx context.Context, prompts ...string) ([]string, error) {
	stdin := int(os.Stdin.Fd())
	before, err := term.MakeRaw(stdin)
	if err != nil {
		return nil, err
	}
	defer func() { _ = term.Restore(stdin, before) }()
	screen := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{os.Stdin, os.Stderr}, "")

	typed := make(chan error, 1)
	secrets := make([]string, len(prompts))
	go func() {
		var err error
		for i := 0; i < len(prompts) && err == nil; i++ {
			secrets[i], err = screen.ReadPassword(prompts[i])
		}
		typed <- err
	}()
	select {
	case err := <-typed:
		if errors.Is(err, io.EOF) { // Ctrl-C or Ctrl-D, which are keys like others now
			fmt.Fprint(os.Stderr, "\r\n")
			return nil, context.Canceled
		}
		return secrets, err
	case <-ctx.Done():
		fmt.Fprint(os.Stderr, "\r\n")
		return nil, ctx.Err()
	}
}
