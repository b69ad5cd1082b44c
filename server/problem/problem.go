// Package problem defines the error that every package of the server returns for what a caller
// may have to act on:
//
//	ledger ─┐
//	auth ───┤
//	settle ─┼─► problem.Error{Code, Message, …} ─► server/api: status, problem+json
//	bank ───┘
//
// # Overview
//
// A [Code] is a constant beside the rule that returns it, such as ledger.InsufficientFunds or
// auth.CodeHandleTaken. [errors.Is] finds it anywhere in a chain of errors:
//
//	if errors.Is(err, ledger.WalletNotFound) { … }
//
// An error without an [Error] in its chain is an internal failure: its text is logged, and never
// sent to a client.
//
// The package imports nothing but the standard library.
package problem

import (
	"errors"
	"fmt"
	"time"
)

// Code is the stable name of a problem. Those in the OpenAPI contract never change. A Code is an
// error only so that errors.Is accepts it as a target; no function returns it as one.
type Code string

// Error returns the code.
func (c Code) Error() string { return string(c) }

// Error says why a request was not executed.
type Error struct {
	Code    Code
	Message string // for users; contains no text that came from others
	Field   string // the input at fault; "" if there is no single one
	// RetryAfter is when a retry is worthwhile; 0 if that is unknown or waiting does not help.
	RetryAfter time.Duration
	Cause      error // for logs and errors.Is; never shown to users
}

// New returns an error about no particular field.
func New(code Code, message string) *Error { return &Error{Code: code, Message: message} }

// Errorf returns an error about no particular field. It formats the message and wraps nothing.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns the code, the message and the cause. It is meant for logs.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Cause)
	}
	return string(e.Code) + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is the error's [Code].
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// CodeOf returns the code of the first [Error] in err's chain, or "" if there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
