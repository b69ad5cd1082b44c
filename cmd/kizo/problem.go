package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

// exitError is an error of kizo itself with an exit code.
type exitError struct {
	exit       int
	code       string // a stable code for programs, like the code of a problem
	transferID string
	err        error
}

func (f *exitError) Error() string { return f.err.Error() }
func (f *exitError) Unwrap() error { return f.err }

func usage(err error) error { return &exitError{exit: exitUsage, code: "usage", err: err} }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// hinted is an error and the commands to try next.
type hinted struct {
	error
	next []string
}

func (h *hinted) Unwrap() error { return h.error }

func withHint(err error, next ...string) error {
	return &hinted{err, next}
}

// report prints what went wrong, why, and what to type next. With --json it is one problem object.
func (a *app) report(err error) {
	if a.json {
		a.reportJSON(err)
		return
	}
	message := err.Error()
	unknown, inDoubt := errors.AsType[*client.UnknownOutcomeError](err)
	if exitCode(err) == exitInterrupted && !inDoubt {
		message = "interrupted"
	}
	a.io.note("kizo: %s", printable.Text(message))
	for _, line := range a.next(err) {
		a.io.note("  try: %s", printable.Text(line))
	}
	if active, named := a.namedContext(); named && exitCode(err) != exitUsage {
		a.io.note("  context: %s (%s)", active.Value, printable.Text(a.loaded.Server.Value))
	}
	if inDoubt {
		a.io.note("  idempotency key: %s", printable.Text(unknown.Key))
	}
	if lost, ok := errors.AsType[*outputError](err); ok {
		for _, m := range lost.moved {
			a.noteMovement(m)
		}
	}
	if refused, ok := errors.AsType[*client.Error](err); ok {
		if refused.TransferID != "" && a.verbose {
			a.io.note("  transfer: %s", printable.Text(refused.TransferID))
		}
		if refused.RequestID != "" && (a.verbose || refused.Status >= 500) {
			a.io.note("  request: %s", printable.Text(refused.RequestID))
		}
		if refused.TraceID != "" && (a.verbose || refused.Status >= 500) {
			a.io.note("  trace: %s", printable.Text(refused.TraceID))
		}
	}
	if unreached, ok := errors.AsType[*client.UnreachableError](err); ok && unreached.Sent && a.verbose {
		a.io.note("  trace: %s", unreached.TraceID)
	}
}

// problemJSON is RFC 9457 with additional members.
type problemJSON struct {
	Type           string   `json:"type"`
	Title          string   `json:"title,omitempty"`
	Status         int      `json:"status,omitempty"`
	Code           string   `json:"code"`
	Detail         string   `json:"detail"`
	Field          string   `json:"field,omitempty"`
	RequestID      string   `json:"request_id,omitempty"`
	TraceID        string   `json:"trace_id,omitempty"`
	TransferID     string   `json:"transfer_id,omitempty"`
	IdempotencyKey string   `json:"idempotency_key,omitempty"`
	Context        string   `json:"context,omitempty"` // unless it is the default one
	ExitCode       int      `json:"exit_code"`
	Try            []string `json:"try,omitempty"`

	Moved []movedJSON `json:"moved,omitempty"` // transfers whose results could not be written
}

type movedJSON struct {
	TransferID     string `json:"transfer_id"`
	State          string `json:"state"`
	IdempotencyKey string `json:"idempotency_key"`
}

func (a *app) reportJSON(err error) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(a.problemOf(err)) == nil {
		_, _ = a.io.Err.Write(printable.JSON([]byte(text.String())))
	}
}

// problemOf describes an error for a program.
func (a *app) problemOf(err error) problemJSON {
	body := problemJSON{Type: "about:blank", Code: "error", Detail: err.Error(), ExitCode: exitCode(err), Try: a.next(err)}
	var (
		unknown *client.UnknownOutcomeError
		amount  *money.Error
		local   *exitError
	)
	if active, named := a.namedContext(); named {
		body.Context = active.Value
	}
	lost, isLost := errors.AsType[*outputError](err)
	if isLost {
		for _, m := range lost.moved {
			body.Moved = append(body.Moved, movedJSON{m.transfer.Id.String(), string(m.transfer.State), m.key})
		}
	}
	if refused, ok := errors.AsType[*client.Error](err); ok {
		body.Title, body.Status, body.Field = refused.Title, refused.Status, refused.Field
		body.RequestID, body.TraceID, body.TransferID = refused.RequestID, refused.TraceID, refused.TransferID
		if refused.Code != "" {
			body.Code, body.Type = string(refused.Code), refused.Type
		}
	}
	unreached, isUnreached := errors.AsType[*client.UnreachableError](err)
	if isUnreached {
		body.TraceID = unreached.TraceID
	}
	switch {
	case isLost:
		body.Code = "output_failed"
		if len(lost.moved) > 0 {
			body.TransferID, body.IdempotencyKey = lost.moved[0].transfer.Id.String(), lost.moved[0].key
		}
	case errors.As(err, &unknown):
		body.Code, body.IdempotencyKey = "outcome_unknown", unknown.Key
	case errors.Is(err, context.Canceled):
		body.Code = "interrupted"
	case errors.As(err, &amount):
		body.Code, body.Field = amount.Code, "amount"
	case errors.As(err, &local):
		body.Code, body.TransferID = local.code, local.transferID
	case errors.Is(err, client.ErrNotLoggedIn):
		body.Code = "not_logged_in"
	case isUnreached:
		body.Code = "unreachable"
	}
	return body
}

// shellQuote quotes a word for a shell.
func shellQuote(word string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !safe(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
