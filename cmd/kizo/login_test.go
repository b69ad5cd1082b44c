package main

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// TestLoginRejectedWithRetryAfter: kizo prints the server's message immediately and does not wait,
// so it sends the password only once.
func TestLoginRejectedWithRetryAfter(t *testing.T) {
	for _, test := range []struct {
		status, exit int
		code, detail string
	}{
		{http.StatusTooManyRequests, exitRefused, "too_many_attempts", "too many failed attempts to sign in; try again in 10m0s"},
		{http.StatusTooManyRequests, exitFailure, "rate_limited", "too many requests: wait as long as Retry-After says"},
		{http.StatusServiceUnavailable, exitFailure, "overloaded", "too many are signing in at the moment; try again shortly"},
	} {
		s := newFakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(test.status)
			fmt.Fprintf(w, `{"type":"x","title":"x","status":%d,"code":%q,"detail":%q}`, test.status, test.code, test.detail)
		})
		w := newWorld(t, s.Server)
		delete(w.env, "KIZO_TOKEN")
		w.stdin = "correct horse battery staple\n"
		w.expect(test.exit, "login", "ada", "--password-stdin")
		testkit.Contains(t, w.err.String(), "kizo: "+test.detail)
		if len(s.seen) != 1 {
			t.Errorf("%s: asked %d times", test.code, len(s.seen))
		}
	}
}
