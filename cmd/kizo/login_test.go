package main

import (
	"fmt"
	"net/http"
	"testing"
)

// Whoever is told to come back later is told so at once, in words, and is not kept
// waiting: a password is sent once.
func TestLoginRejectedWithRetryAfter(t *testing.T) {
	for _, told := range []struct {
		status       int
		code, detail string
	}{
		{http.StatusTooManyRequests, "too_many_attempts", "too many failed attempts to sign in; try again in 10m0s"},
		{http.StatusTooManyRequests, "rate_limited", "you ask too often: slow down"},
		{http.StatusServiceUnavailable, "overloaded", "too many are signing in at the moment; try again shortly"},
	} {
		s := newFakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(told.status)
			fmt.Fprintf(w, `{"type":"x","title":"x","status":%d,"code":%q,"detail":%q}`, told.status, told.code, told.detail)
		})
		w := newWorld(t, s.Server)
		delete(w.env, "KIZO_TOKEN")
		w.stdin = "correct horse battery staple\n"
		w.expect(exitFailure, "login", "ada", "--password-stdin")
		contains(t, &w.err, "kizo: "+told.detail)
		if len(s.seen) != 1 {
			t.Errorf("%s: asked %d times", told.code, len(s.seen))
		}
	}
}
