// Package testkit contains the helpers that the tests of all packages share.
//
//	test ─► Must, Equal, Contains           end or fail the test
//	     ─► Eventually, Receive             wait for another goroutine or process
//	     ─► Connect, PrepareStatements      connect to a database, check the package's SQL
//	     ─► WriteCertificate                write a certificate for TLS
//
// Databases and Redis servers for tests come from server/embedded/pgtest and
// server/embedded/redistest. Only tests import this package; it imports no other package of
// Kizo, so that the tests of every package can use it.
package testkit

import (
	"strings"
	"testing"
	"time"
)

// Deadline is how long a test waits for an event. Only a failing test waits so long. It is long
// enough for a machine that is busy with something else.
const Deadline = time.Minute

// pollInterval is the time between two checks of a condition.
const pollInterval = 2 * time.Millisecond

// Must ends the test if err is not nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Equal reports an error if got is not want. What says what was compared.
func Equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Contains reports an error for each of the words that the text does not contain.
func Contains(t testing.TB, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q does not contain %q", text, word)
		}
	}
}

// Eventually returns as soon as the condition holds, and ends the test if it does not hold
// within Deadline. What says what was waited for.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Deadline); !condition(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", Deadline, what)
		}
	}
}

// Receive returns the next value of the channel, or the zero value if it is closed. It ends the
// test if neither happens within Deadline. What says what was waited for.
func Receive[T any](t testing.TB, what string, from <-chan T) (value T) {
	t.Helper()
	timer := time.NewTimer(Deadline)
	defer timer.Stop()
	select {
	case value = <-from:
	case <-timer.C:
		t.Fatalf("not within %s: %s", Deadline, what)
	}
	return value
}
