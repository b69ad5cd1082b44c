package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/openapi"
)

// ErrNotLoggedIn means that the token store holds nothing to authenticate with.
var ErrNotLoggedIn = errors.New("not logged in")

// Error is an answer of the server with a status that is not 2xx.
type Error struct {
	Status     int         // HTTP status
	Code       ProblemCode // empty if the answer came from a proxy, say, and is not a problem of Kizo
	Title      string
	Detail     string
	Type       string
	Field      string // the part of the request that is wrong
	RequestID  string
	TraceID    string        // names the request in the logs of the server and the bank
	TransferID string        // the refused transfer
	Replayed   bool          // the key was used before, and this is its answer
	RetryAfter time.Duration // the server's Retry-After; 0 if it sent none

	// Location is where a redirect points to. The client does not follow it: passwords and tokens
	// are sent only to the server of the Config.
	Location string
}

func (e *Error) Error() string {
	if e.Detail != "" {
		return e.Detail
	}
	text := fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Location != "" {
		text += ": it redirects to " + e.Location
	}
	return text
}

// UnknownOutcomeError means that the server may have carried the Command out. Sending the Command
// with this key again returns its result; money cannot move twice.
type UnknownOutcomeError struct {
	Key string
	Err error // of the last attempt
}

func (e *UnknownOutcomeError) Error() string {
	return "it is not known whether the money moved: " + e.Err.Error()
}

func (e *UnknownOutcomeError) Unwrap() error { return e.Err }

// UnreachableError means that no answer arrived and nothing was changed.
type UnreachableError struct {
	Server  string
	Sent    bool   // there was a connection, so the server may have received the request
	TraceID string // names the request in the logs of the server, if it received it
	Err     error
}

func (e *UnreachableError) Error() string {
	if !e.Sent {
		return fmt.Sprintf("cannot reach %s: %v", e.Server, e.Err)
	}
	return fmt.Sprintf("no answer from %s: %v", e.Server, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// ProtocolError means that the answer is not one that a Kizo server gives, such as a proxy's
// maintenance page with status 200.
type ProtocolError struct {
	Server string
	Err    error // what is wrong with the answer; may be nil
}

func (e *ProtocolError) Error() string {
	text := e.Server + " does not answer like a Kizo server"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *ProtocolError) Unwrap() error { return e.Err }

// problem returns the Error of an answer with a status that is not 2xx. Of an answer that is not a
// problem of Kizo it keeps the status only, not the text of the page.
func problem(ctx context.Context, request *http.Request, a *answer, now time.Time) *Error {
	e := &Error{
		Status:     a.status,
		RequestID:  a.header.Get("X-Request-Id"),
		TraceID:    trace.From(ctx).TraceID(),
		Replayed:   replayed(a.header),
		RetryAfter: retryAfter(a.header.Get("Retry-After"), now),
		Location:   redirect(request, a),
	}
	var body struct {
		openapi.Problem
		TransferID string `json:"transfer_id"` // decoded as text, so that a malformed id does not hide the code
	}
	if json.Unmarshal(a.body, &body) != nil || body.Code == "" {
		return e
	}
	e.Code, e.Title, e.Detail, e.Type = body.Code, body.Title, body.Detail, body.Type
	e.TransferID = body.TransferID
	if body.Field != nil {
		e.Field = *body.Field
	}
	if body.RequestId != nil {
		e.RequestID = *body.RequestId
	}
	if body.TraceId != nil {
		e.TraceID = *body.TraceId // a proxy may have started another trace
	}
	return e
}

// redirect returns the address that a redirect points to, or "" if the answer is not a redirect.
func redirect(request *http.Request, a *answer) string {
	location := a.header.Get("Location")
	if location == "" || a.status < 300 || a.status > 399 {
		return ""
	}
	target, err := request.URL.Parse(location)
	if err != nil {
		return ""
	}
	return target.Redacted()
}

func replayed(header http.Header) bool {
	return header.Get("Idempotency-Replayed") == "true"
}
