package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/internal/trace"
)

// TestRetryKeepsTheTrace: kizo retry uses the trace of the command that it retries.
func TestRetryKeepsTheTrace(t *testing.T) {
	var steps []trace.Context
	noting := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			named, _ := trace.Parse(r.Header.Get("traceparent"))
			steps = append(steps, named)
			answer(w, r)
		}
	}
	s := newFakeServer(t, noting(answerCode(500, client.Internal)), noting(answerTransfer(201, "posted", "")))
	w := newWorld(t, s.Server)
	w.env["TRACEPARENT"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	w.expect(exitUnknown, "transfer", "@bob", "1", "--idempotency-key", "k", "--verbose")
	testkit.Contains(t, w.err.String(), "trace: 0af7651916cd43dd8448eb211c80319c")
	delete(w.env, "TRACEPARENT")
	w.expect(exitDone, "retry", "k")
	if len(steps) != 2 || steps[0].TraceID() != "0af7651916cd43dd8448eb211c80319c" || steps[1].TraceID() != steps[0].TraceID() {
		t.Errorf("sent as %v", steps)
	}
}

// TestErrorsNameTheirTrace: an error names its request and its trace, and each command has its own
// trace.
func TestErrorsNameTheirTrace(t *testing.T) {
	s := newFakeServer(t, answerCode(503, client.OutcomeUnknown))
	w := newWorld(t, s.Server)
	w.env["TRACEPARENT"] = "not a traceparent"
	seen := map[string]bool{}
	for range 2 {
		w.expect(exitUnknown, "transfer", "@bob", "1", "--json")
		var reported struct {
			TraceID string `json:"trace_id"`
		}
		if err := json.Unmarshal(w.err.Bytes(), &reported); err != nil || len(reported.TraceID) != 32 {
			t.Errorf("%v: %s", err, &w.err)
		}
		seen[reported.TraceID] = true
	}
	if len(seen) != 2 {
		t.Errorf("two commands have the traces %v", seen)
	}
	w.expect(exitUnknown, "transfer", "@bob", "1")
	if text := w.err.String(); strings.Count(text, "  trace: ") != 1 {
		t.Errorf("the trace of an internal error is not named exactly once:\n%s", text)
	}
}
