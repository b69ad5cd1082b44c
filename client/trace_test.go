package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/internal/trace"
)

// TestAttemptsShareATrace: each call is a trace, and each attempt is a span of it.
func TestAttemptsShareATrace(t *testing.T) {
	var steps []trace.Context
	noting := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			named, _ := trace.Parse(r.Header.Get("traceparent"))
			steps = append(steps, named)
			answer(w, r)
		}
	}
	remote := newRemote(t, noting(says(503, Unavailable)), noting(page(502)), noting(wallets), noting(wallets), noting(says(404, RouteNotFound)))
	k, _ := dial(t, remote.URL, StaticToken("token"))
	for range 2 {
		if _, err := k.Wallets(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if steps[0].TraceID() != steps[1].TraceID() || steps[1].TraceID() != steps[2].TraceID() || !steps[0].Valid() {
		t.Errorf("three attempts of one call are %v", steps[:3])
	}
	if steps[0] == steps[1] || steps[1] == steps[2] {
		t.Errorf("two attempts have the same span: %v", steps[:3])
	}
	if steps[3].TraceID() == steps[0].TraceID() {
		t.Errorf("two calls have the same trace: %v", steps)
	}

	// A call with a trace in its context is a span of that trace, also if it fails.
	theirs := trace.New()
	_, err := k.Wallets(trace.Into(t.Context(), theirs))
	if refused, ok := errors.AsType[*Error](err); !ok || refused.TraceID != theirs.TraceID() || steps[4].TraceID() != theirs.TraceID() {
		t.Errorf("got %+v; sent as %q, want %q", err, steps[4], theirs)
	}
}

func TestNoAnswerNamesItsTrace(t *testing.T) {
	remote := newRemote(t, hangsUp)
	k, _ := dial(t, remote.URL, StaticToken("token"))
	_, err := k.Wallets(t.Context())
	if unreached, ok := errors.AsType[*UnreachableError](err); !ok || len(unreached.TraceID) != 32 {
		t.Errorf("got %+v", err)
	}
}

func TestAStreamIsTraced(t *testing.T) {
	received := make(chan string, 1)
	remote := newRemote(t, func(w http.ResponseWriter, r *http.Request) {
		received <- r.Header.Get("traceparent")
		w.Header().Set("Content-Type", "text/event-stream")
	})
	k, _ := dial(t, remote.URL, StaticToken("token"))
	named := trace.New()
	stream, err := k.Events(trace.Into(context.Background(), named), EventOptions{})
	testkit.Must(t, err)
	defer stream.Close()
	if step, _ := trace.Parse(<-received); step.TraceID() != named.TraceID() {
		t.Errorf("the stream is %q, want a span of %q", step, named)
	}
	if _, err := stream.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}
