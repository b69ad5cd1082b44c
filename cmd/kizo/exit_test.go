package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

func TestExitCodes(t *testing.T) {
	problem := func(status int, code client.ProblemCode) error { return &client.Error{Status: status, Code: code} }
	unknown := func(err error) error { return &client.UnknownOutcomeError{Key: "k", Err: err} }
	_, badAmount := money.Parse("1e3", "USD")
	for _, test := range []struct {
		name string
		err  error
		want int
	}{
		{"nothing", nil, 0},
		{"something", errors.New("disk full"), 1},
		{"unreachable", &client.UnreachableError{Err: errors.New("refused")}, 1},
		{"internal", problem(500, client.Internal), 1},
		{"unavailable", problem(503, client.Unavailable), 1},
		{"overloaded", problem(503, client.Overloaded), 1},
		{"guessed too often", problem(429, client.TooManyAttempts), 3},
		{"a device that was denied", problem(400, client.AccessDenied), 3},
		{"asked too often", problem(429, client.RateLimited), 1},
		{"handle taken", problem(409, client.HandleTaken), 1},
		{"a proxy's 404", problem(404, ""), 1},
		{"a mistyped flag", usagef("no such flag"), 2},
		{"a bad amount", badAmount, 2},
		{"a bad memo", problem(400, client.MemoMalformed), 2},
		{"insufficient funds", problem(422, client.InsufficientFunds), 3},
		{"frozen", problem(422, client.AccountFrozen), 3},
		{"suspended", problem(403, client.AccountSuspended), 3},
		{"a refusal of tomorrow", problem(422, "too_late_at_night"), 3},
		{"the bank said no", ending(client.Transfer{State: client.Voided}), 3},
		{"not logged in", client.ErrNotLoggedIn, 4},
		{"session over", problem(401, client.SessionRevoked), 4},
		{"wrong password", problem(401, client.InvalidCredentials), 4},
		{"no payee", problem(404, client.PayeeNotFound), 5},
		{"no wallet here", noWallet("EUR"), 5},
		{"key reused", problem(422, client.IdempotencyKeyReused), 6},
		{"unknown", unknown(errors.New("timeout")), 7},
		{"unknown, then logged out", unknown(problem(401, client.TokenExpired)), 7},
		{"outcome_unknown", problem(503, client.OutcomeUnknown), 7},
		{"still pending", ending(client.Transfer{State: client.Pending}), 8},
		{"interrupted", context.Canceled, 130},
		{"interrupted in doubt", unknown(fmt.Errorf("send: %w", context.Canceled)), 130},
		{"posted", ending(client.Transfer{State: client.Posted}), 0},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
		if test.err == nil {
			continue
		}
		if got := exitCode(fmt.Errorf("wrapped: %w", withHint(test.err, "kizo help"))); got != test.want {
			t.Errorf("%s, wrapped: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{
		"@bob": "@bob", "12.50": "12.50", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'",
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
