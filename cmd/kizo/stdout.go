package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

// stdout remembers its first write error: cobra ignores errors of writing help texts and
// completions.
type stdout struct {
	io.Writer
	err error
}

func (s *stdout) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	if err != nil && s.err == nil {
		s.err = err
	}
	return n, unwritten(err)
}

// outputError means that the command succeeded and its result could not be written to stdout.
type outputError struct {
	moved []movement // the transfers whose results could not be written
	err   error
}

// movement is a transfer that this command made, and its idempotency key.
type movement struct {
	transfer client.Transfer
	key      string
}

func (o *outputError) Error() string {
	err := o.err
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	if len(o.moved) == 0 {
		return fmt.Sprintf("the result could not be written to stdout: %v", err)
	}
	var done []string
	for _, m := range o.moved {
		t := m.transfer
		done = append(done, fmt.Sprintf("the %s of %s is %s", t.Kind, amountOf(t.Amount, t.Currency), t.State))
	}
	return fmt.Sprintf("%s, but the result could not be written to stdout: %v", strings.Join(done, ", "), err)
}

func (o *outputError) Unwrap() error { return o.err }

// unwritten marks an error of writing or encoding a result.
func unwritten(err error) error {
	if _, marked := errors.AsType[*outputError](err); err == nil || marked {
		return err
	}
	return &outputError{err: err}
}

// readerLeft reports that the reader of stdout ended first, as head does, and that nothing is lost
// by that: the command sent no request that may change something.
func (a *app) readerLeft(err error) bool {
	_, isOutput := errors.AsType[*outputError](err)
	return isOutput && errors.Is(err, syscall.EPIPE) && !a.changed.Load()
}

// next returns the commands that show the results again. No money moves a second time.
func (o *outputError) next() []string {
	var lines []string
	for _, m := range o.moved {
		lines = append(lines, "kizo retry "+shellQuote(m.key))
	}
	return lines
}

// finish closes an intent whose result has been shown. err is the result of showing it: if stdout
// failed, the intent stays open, so that kizo pending lists it and kizo retry shows the result.
func (a *app) finish(ctx context.Context, entry intent, t client.Transfer, err error) error {
	if lost, ok := errors.AsType[*outputError](err); ok {
		lost.moved = append(lost.moved, movement{t, entry.Command.Key})
		return err
	}
	if a.io.OutClosed && (err == nil || !a.json) { // with --json, an error is all there is on stderr
		a.io.note("kizo: stdout is closed: the %s of %s is %s", t.Kind, amountOf(t.Amount, t.Currency), t.State)
		a.noteMovement(movement{t, entry.Command.Key})
	}
	a.endIntent(ctx, intentEnd{ID: entry.ID, Outcome: "done", Transfer: t.Id.String(), Settles: entry.fingerprint()})
	return err
}

func (a *app) noteMovement(m movement) {
	a.io.note("  transfer: %s", m.transfer.Id)
	a.io.note("  idempotency key: %s", printable.Text(m.key))
}
