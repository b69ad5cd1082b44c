package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// streams are the three standard files of a command and their properties. Tests make their own.
type streams struct {
	In       io.Reader
	Out, Err io.Writer

	OutTerminal bool
	OutClosed   bool // Out may be closed: what is written is lost, and no write fails
	Width       int  // of the terminal, in columns; 0 if there is none or it is not known
	Height      int  // in rows; 0 as for Width
	ErrTerminal bool // Err is a terminal, on which progress can be drawn

	// Page shows a text that may be longer than the terminal; nil if there is no pager.
	Page func(text string) error

	// ReadLine shows a prompt and reads a line of visible text; nil if stdin is not a terminal.
	ReadLine func(ctx context.Context, prompt string) (string, error)

	// ReadSecrets reads secrets, one per prompt, without showing them; nil if stdin is not a
	// terminal.
	ReadSecrets func(ctx context.Context, prompts ...string) ([]string, error)
}

func systemStreams() *streams {
	s := &streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	if out := int(os.Stdout.Fd()); term.IsTerminal(out) {
		s.OutTerminal = true
		if width, height, err := term.GetSize(out); err == nil {
			s.Width, s.Height = width, height
		}
		s.Page = newPager(os.Getenv, func(name string) bool { _, set := os.LookupEnv(name); return set }, os.Stdout)
	}
	s.ErrTerminal = term.IsTerminal(int(os.Stderr.Fd()))
	s.OutClosed = maybeClosed(os.Stdout)
	if term.IsTerminal(int(os.Stdin.Fd())) {
		s.ReadSecrets, s.ReadLine = readSecrets, readLine
	}
	return s
}

// note prints a message that is not data.
func (s *streams) note(format string, args ...any) {
	fmt.Fprintf(s.Err, format+"\n", args...)
}

// readSecrets reads secrets without showing them.
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

// readLine reads one line of text.
func readLine(ctx context.Context, prompt string) (line string, err error) {
	err = askTerminal(ctx, func(screen *term.Terminal) (err error) {
		screen.SetPrompt(prompt)
		line, err = screen.ReadLine()
		return err
	})
	return line, err
}

// askTerminal turns the echo off before ask shows a prompt, since a user may type or paste before
// that, and always turns it on again.
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
		if errors.Is(err, io.EOF) { // Ctrl-C or Ctrl-D, which are ordinary keys in raw mode
			fmt.Fprint(os.Stderr, "\r\n")
			return context.Canceled
		}
		return err
	case <-ctx.Done():
		fmt.Fprint(os.Stderr, "\r\n")
		return ctx.Err()
	}
}
