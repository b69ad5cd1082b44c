package bank

import (
	"errors"
	"strconv"
	"strings"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/server/problem"
)

// Codes of an [Error]: why the outcome is unknown. errors.Is(err, bank.CodeTimeout) tests for one.
const (
	CodeInvalid       problem.Code = "invalid"       // the form of the request is wrong; it was never sent
	CodeTimeout       problem.Code = "timeout"       // no answer in time, or the caller canceled the request
	CodeTransport     problem.Code = "transport"     // the connection was refused or broke; the request may have arrived
	CodeHTTPStatus    problem.Code = "http_status"   // 5xx, a redirect, or another status that is no answer
	CodeUnauthorized  problem.Code = "unauthorized"  // 401, 403: the token is wrong
	CodeConflict      problem.Code = "conflict"      // 409: the bank has another instruction under this reference
	CodeUnreadable    problem.Code = "unreadable"    // not JSON, too large, or with a field that is missing or appears twice
	CodeContradiction problem.Code = "contradiction" // well formed, but about another reference, amount or currency
)

// Error is the error type of every [Bank]. It is not a [problem.Error], because users never
// receive it.
type Error struct {
	Code  problem.Code
	Op    string  // submit, status, statement
	Ref   string  // empty for statement
	HTTP  int     // status code of the response, 0 if none arrived
	Claim *Answer // of CodeContradiction: what the bank said; for alerts, never for posting
	Err   error   // the cause, or nil
}

// Error returns a text that is safe to log: text from the bank is cleaned and bounded.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("bank " + e.Op)
	if e.Ref != "" {
		b.WriteString(" " + text.Clean(e.Ref, MaxRefLength))
	}
	b.WriteString(": " + string(e.Code))
	if e.HTTP != 0 {
		b.WriteString(" (HTTP " + strconv.Itoa(e.HTTP) + ")")
	}
	if e.Err != nil {
		b.WriteString(": " + text.CleanProse(e.Err.Error(), MaxReasonRunes))
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the code of the error.
func (e *Error) Is(target error) bool {
	code, ok := target.(problem.Code)
	return ok && code == e.Code
}

// CodeOf returns the code of an error of a Bank, or "" for any other error.
func CodeOf(err error) problem.Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
