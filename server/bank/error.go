package bank

import (
	"errors"
	"strconv"
	"strings"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/server/problem"
)

// Codes that name why an outcome is unknown: errors.Is(err, bank.CodeTimeout).
const (
	CodeInvalid       problem.Code = "invalid"       // never sent: the request's form is wrong
	CodeTimeout       problem.Code = "timeout"       // no answer in time, or the caller left
	CodeTransport     problem.Code = "transport"     // refused, reset, cut: may have arrived or not
	CodeHTTPStatus    problem.Code = "http_status"   // 5xx, a redirect, any code that is no answer
	CodeUnauthorized  problem.Code = "unauthorized"  // 401, 403: the token is wrong
	CodeConflict      problem.Code = "conflict"      // 409: the bank holds another instruction under this ref
	CodeUnreadable    problem.Code = "unreadable"    // not JSON, too large, a field missing or twice
	CodeContradiction problem.Code = "contradiction" // well formed, but not about what was asked
)

// Error is the only error type of a Bank. It is no [problem.Error]: no user receives it.
type Error struct {
	Code  problem.Code
	Op    string  // submit, status, statement
	Ref   string  // empty for statement
	HTTP  int     // status code of the bank's answer, 0 where none arrived
	Claim *Answer // CodeContradiction: what the bank said. For suspense and alerts, not for posting
	Err   error   // the cause
}

// Error is safe to log: what came from the bank is cleaned and bounded.
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

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches the error's Code.
func (e *Error) Is(target error) bool {
	code, ok := target.(problem.Code)
	return ok && code == e.Code
}

// CodeOf gives the code of an error from a Bank, or "" for any other.
func CodeOf(err error) problem.Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
