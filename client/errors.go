package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/JDevAman/kizo/trace"
)

// ErrNotLoggedIn means that the token store holds nothing to authenticate with.
var ErrNotLoggedIn = errors.New("not logged in")

// Error is an answer of the server that says no.
type Error struct {
	Status     int         // HTTP status
	Code       ProblemCode // empty when the answer was not a problem of Kizo's, but say a proxy's
	Title      string
	Detail     string
	Type       string
	Field      string // the part of the request that is wrong
	RequestID  string
	TraceID    string        // what server and bank know the whole work by
	TransferID string        // the refused transfer
	Replayed   bool          // the key was used before, and this is its answer
	RetryAfter time.Duration // when the server wants to be asked again; 0 if it did not say

	// Location is where a redirect points to. It is not followed: a password or a token goes to the server
	// that was named, and to no other.
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

// UnknownOutcome means that the request may have been carried out. Send the Command with this key
// again to learn what became of it: it cannot happen twice.
type UnknownOutcome struct {
	Key string
	Err error // what went wrong last
}

func (e *UnknownOutcome) Error() string {
	return "it is not known whether the money moved: " + e.Err.Error()
}

func (e *UnknownOutcome) Unwrap() error { return e.Err }

// Unreachable means that no answer came and nothing was changed.
type Unreachable struct {
	Server  string
	Sent    bool   // a connection was made, so that the server may have seen the request
	TraceID string // under which the server would have noted it
	Err     error
}

func (e *Unreachable) Error() string {
	if !e.Sent {
		return fmt.Sprintf("cannot reach %s: %v", e.Server, e.Err)
	}
	return fmt.Sprintf("no answer from %s: %v", e.Server, e.Err)
}

func (e *Unreachable) Unwrap() error { return e.Err }

// NotKizo means that something answered as no Kizo server does, such as a maintenance page with status 200.
type NotKizo struct {
	Server string
	Err    error // what is wrong with the answer; may be nil
}

func (e *NotKizo) Error() string {
	text := e.Server + " does not answer like a Kizo server"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *NotKizo) Unwrap() error { return e.Err }

// problem reads an answer that says no. Whatever is not a problem of Kizo's keeps its status alone:
// the text of a stranger's error page helps nobody.
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
		Problem
		TransferID string `json:"transfer_id"` // read as text: a malformed id must not hide the code
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
		e.TraceID = *body.TraceId // a proxy may have begun another
	}
	return e
}

// redirect is the address that a redirect points to; empty if the answer is none.
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
