package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// streaming answers with these lines. Then it ends, breaks the connection, or waits for the client
// to leave.
func streaming(end string, lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, strings.Join(lines, "\n"))
		_ = http.NewResponseController(w).Flush()
		switch end {
		case "hangs up":
			panic(http.ErrAbortHandler)
		case "waits":
			<-r.Context().Done()
		}
	}
}

func openEvents(t *testing.T, server string, tokens TokenStore, o EventOptions) (*EventStream, error) {
	t.Helper()
	k, _ := dial(t, server, tokens)
	s, err := k.Events(t.Context(), o)
	if err == nil {
		t.Cleanup(func() { _ = s.Close() })
	}
	return s, err
}

func TestAStreamIsRead(t *testing.T) {
	long := strings.Repeat("x", 40_000)
	s := newRemote(t, streaming("", ": hello", "", "id: a", "event: transfer",
		`data: {"at":"2026-03-01T12:00:00Z","state":"posted",`, `data: "transfer":{"id":"0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d","kind":"transfer","state":"posted","amount":5,"currency":"USD","from":{},"to":{},"direction":"in","created_at":"2026-03-01T12:00:00Z","memo":"`+long+`"}}`, "",
		"event: news", "data: of a later version", "", ":", "", "id: b", "event: live", "data: {}", "",
		"event: ops", "data: "+sample[OpsSnapshot](), "", "event: transfer", "data: half an ev"))
	stream, err := openEvents(t, s.URL, StaticToken("x"), EventOptions{})
	testkit.Must(t, err)
	want := []string{"a transfer", "b live", " ops"}
	for _, w := range want {
		e, err := stream.Next()
		testkit.Must(t, err)
		if got := e.ID + " " + e.Type; got != w {
			t.Errorf("got %q, want %q", got, w)
		}
		if e.Type == EventTransfer && (e.Transfer.Amount != 5 || *e.Transfer.Memo != long || e.At.IsZero()) {
			t.Errorf("%+v", e)
		}
		if e.Type == EventOps && (!e.Ops.RedisOk || e.At.IsZero()) {
			t.Errorf("%+v", e)
		}
	}
	// Half an event is dropped, and then the stream has ended.
	if _, err := stream.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if _, err := stream.Next(); err == nil {
		t.Error("the stream returned an event after its end")
	}
}

func TestEndsOfAStream(t *testing.T) {
	unreachable := func(err error) bool {
		var u *UnreachableError
		return errors.As(err, &u)
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		opens  bool
		is     func(error) bool
	}{
		"hung up": {streaming("hangs up", ": hello", "", ""), true, unreachable},
		"no JSON": {streaming("", "event: transfer", "data: {", "", ""), true, func(err error) bool { return err != nil }},
		"an endless line": {streaming("", ": "+strings.Repeat("x", 300_000)), true,
			func(err error) bool { return strings.Contains(err.Error(), "too long") }},
		"too many": {says(429, "too_many_streams", "Retry-After", "1"), false, func(err error) bool {
			var refused *Error
			return errors.As(err, &refused) && refused.Code == TooManyStreams && refused.RetryAfter == time.Second
		}},
		"not a stream": {wallets, false, func(err error) bool { return err != nil }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRemote(t, test.answer)
			stream, err := openEvents(t, s.URL, StaticToken("x"), EventOptions{})
			if test.opens != (err == nil) {
				t.Fatalf("opens: %v", err)
			}
			if test.opens {
				_, err = stream.Next()
			}
			if !test.is(err) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestSilenceEndsAStream: a connection can break without an error, as after the machine has slept.
func TestSilenceEndsAStream(t *testing.T) {
	s := newRemote(t, streaming("waits", ": hello", "", ""))
	stream, err := openEvents(t, s.URL, StaticToken("x"), EventOptions{})
	testkit.Must(t, err)
	stream.silence = 50 * time.Millisecond
	_, err = stream.Next()
	if _, ok := errors.AsType[*UnreachableError](err); !ok || !strings.Contains(err.Error(), "heartbeat") {
		t.Errorf("%v", err)
	}
}

func TestAStreamEndsWithItsContext(t *testing.T) {
	s := newRemote(t, streaming("waits", ": hello", "", ""))
	k, _ := dial(t, s.URL, StaticToken("x"))
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := k.Events(ctx, EventOptions{})
	testkit.Must(t, err)
	go cancel()
	if _, err := stream.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestAStreamRefreshesItsToken: an expired access token is refreshed once.
func TestAStreamRefreshesItsToken(t *testing.T) {
	var seen []string
	s := newRemote(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.RequestURI()+" "+r.Header.Get("Authorization"))
		switch {
		case r.URL.Path == "/v1/auth/refresh":
			_ = json.NewEncoder(w).Encode(openapi.Tokens{AccessToken: "new", RefreshToken: "r2", ExpiresIn: 900})
		case r.Header.Get("Authorization") == "Bearer old":
			says(401, TokenExpired)(w, r)
		default:
			streaming("waits", "id: x", "event: live", "data: {}", "", "")(w, r)
		}
	})
	tokens := new(memoryTokens)
	_ = tokens.Update(t.Context(), func(Credentials) (Credentials, error) {
		return Credentials{AccessToken: "old", RefreshToken: "r1", ExpiresAt: time.Now().Add(time.Hour)}, nil
	})
	stream, err := openEvents(t, s.URL, tokens, EventOptions{Since: "abc", Ops: true})
	testkit.Must(t, err)
	if e, err := stream.Next(); err != nil || e.Type != EventLive {
		t.Errorf("%+v, %v", e, err)
	}
	want := "/v1/events?ops=true&since=abc Bearer old, /v1/auth/refresh , /v1/events?ops=true&since=abc Bearer new"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("asked\n%s, want\n%s", got, want)
	}
}
