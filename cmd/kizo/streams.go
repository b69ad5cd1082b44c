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

	// ReadLine shows a prompt and reads a line that is seen as it is typed; nil if stdin is no terminal.
	ReadLine func(ctx context.Context, prompt string) (string, error)

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
	s.OutClosed = maybeClosed(os.Stdout)
	if term.IsTerminal(int(os.Stdin.Fd())) {
		s.ReadSecrets, s.ReadLine = readSecrets, readLine
	}
	return s
}

// note tells the user something that is not data.
func (s *streams) note(format string, args ...any) {
	fmt.Fprintf(s.Err, format+"\n", args...)
}

// readSecrets asks for secrets and shows nothing of them.
func readSecrets(ctx context.Context, prompts ...string) ([]string, error) {
	secrets := make([]string, len(prompts))
	err := askTerminal(ctx, func(screen *term.Terminal) (err error) {
		for i := 0; i < len(prompts) && err == nil; i++ {
			secrets[i], err = screen.ReadPassword(prompts[i])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return secrets, nil
}

// readLine asks for a line.
func readLine(ctx context.Context, prompt string) (line string, err error) {
	err = askTerminal(ctx, func(screen *term.Terminal) (err error) {
		screen.SetPrompt(prompt)
		line, err = screen.ReadLine()
		return err
	})
	return line, err
}

// askTerminal turns the echo off before ask shows a prompt, since some type, or paste, faster than that,
// and on again however it ends.
func askTerminal(ctx context.Context, ask func(*term.Terminal) error) error {
	stdin := int(os.Stdin.Fd())
	before, err := term.MakeRaw(stdin)
	if err != nil {
		return err
	}
	defer func() { _ = term.Restore(stdin, before) }()
	screen := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{os.Stdin, os.Stderr}, "")

	typed := make(chan error, 1)
	go func() { typed <- ask(screen) }()
	select {
	case err := <-typed:
		if errors.Is(err, io.EOF) { // Ctrl-C or Ctrl-D, which are keys like others now
			fmt.Fprint(os.Stderr, "\r\n")
			return context.Canceled
		}
		return err
	case <-ctx.Done():
		fmt.Fprint(os.Stderr, "\r\n")
		return ctx.Err()
	}
}
