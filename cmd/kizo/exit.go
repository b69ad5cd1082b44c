package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

// The exit codes. Scripts depend on them: they never change.
const (
	exitDone         = 0
	exitFailure      = 1
	exitUsage        = 2
	exitRefused      = 3
	exitNotLoggedIn  = 4
	exitNotFound     = 5
	exitKeyReused    = 6
	exitUnknown      = 7
	exitStillPending = 8
	exitOutput       = 9
	exitInterrupted  = 130
)

// exitCodes are the codes with their meanings, which kizo help exit-codes lists.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitDone, "done"},
	{exitFailure, "error: something went wrong, and no money moved"},
	{exitUsage, "usage: the command line is wrong"},
	{exitRefused, "refused: funds, a limit, a frozen account, a denied device, too many wrong passwords or codes,\n" +
		"or the bank said no"},
	{exitNotLoggedIn, "not authenticated: log in first"},
	{exitNotFound, "not found"},
	{exitKeyReused, "the idempotency key was used before, for a different command"},
	{exitUnknown, "outcome unknown: money may have moved; stderr has the command that resolves it"},
	{exitStillPending, "still pending: accepted, and the bank has not answered within --wait"},
	{exitOutput, "done, but stdout could not be written (full disk, closed, no reader); money that was to move has\n" +
		"moved, and stderr has the id and the idempotency key of each transfer"},
	{exitInterrupted, "interrupted; if a transfer was being sent, stderr has the command that resolves it"},
}

func exitCodesHelp() string {
	out := "kizo exits with one of these codes:\n\n"
	for _, e := range exitCodes {
		out += fmt.Sprintf("  %3d  %s\n", e.code, strings.ReplaceAll(e.meaning, "\n", "\n       "))
	}
	return out + `
A transfer, deposit or withdrawal that ends with 7 was recorded before it was sent:
kizo pending shows it, kizo retry finishes it. It cannot happen twice. The same holds after 9: the result
stays in kizo pending until it has been shown, and kizo retry KEY shows it without moving money again.`
}

// exitCode is the only function that maps errors to exit codes.
func exitCode(err error) int {
	var (
		unwritten *outputError
		unknown   *client.UnknownOutcomeError
		refused   *client.Error
		amount    *money.Error
		local     *exitError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &unwritten):
		return exitOutput
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &unknown):
		return exitUnknown
	case errors.As(err, &local):
		return local.exit
	case errors.As(err, &amount):
		return exitUsage
	case errors.Is(err, client.ErrNotLoggedIn):
		return exitNotLoggedIn
	case errors.As(err, &refused):
		return exitOfProblem(refused)
	}
	return exitFailure
}

func exitOfProblem(refused *client.Error) int {
	switch refused.Code {
	case client.IdempotencyKeyReused:
		return exitKeyReused
	case client.AccountSuspended, client.AccessDenied, client.TooManyAttempts:
		return exitRefused
	case client.ExpiredToken: // no user has approved the device in time
		return exitFailure
	case client.OutcomeUnknown:
		return exitUnknown
	case "", client.RouteNotFound, client.MethodNotAllowed, client.EmailTaken, client.HandleTaken:
		// Not a Kizo server, or no more specific exit code.
		if refused.Status == http.StatusUnauthorized {
			return exitNotLoggedIn
		}
		return exitFailure
	}
	// The server may have new codes; their status tells the kind.
	switch refused.Status {
	case http.StatusBadRequest:
		return exitUsage
	case http.StatusUnauthorized:
		return exitNotLoggedIn
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusForbidden, http.StatusConflict, http.StatusUnprocessableEntity:
		return exitRefused
	}
	return exitFailure
}
