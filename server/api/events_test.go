package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
)

// receivedEvent is one event as it was received.
type receivedEvent struct{ id, kind, data string }

func (x receivedEvent) transfer(t testing.TB) openapi.TransferEvent {
	t.Helper()
	var event openapi.TransferEvent
	decoder := json.NewDecoder(strings.NewReader(x.data))
	decoder.DisallowUnknownFields()
	testkit.Must(t, decoder.Decode(&event))
	testkit.Equal(t, "type", x.kind, "transfer")
	testkit.Equal(t, "state", event.State, event.Transfer.State)
	testkit.Equal(t, "UTC", event.At.Location(), time.UTC)
	return event
}

// eventReader reads an event stream.
type eventReader struct {
	h      *fixture
	lines  *bufio.Reader
	header http.Header
	close  context.CancelFunc
}

// listen opens a stream, which must succeed.
func (h *fixture) listen(u *user, query, last string) *eventReader {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	h.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/v1/events"+query, nil)
	testkit.Must(h.t, err)
	request.Header.Set("Authorization", "Bearer "+u.access)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	client := http.Client{Transport: h.client.Transport}
	response, err := client.Do(request)
	testkit.Must(h.t, err)
	h.t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != 200 {
		body, _ := io.ReadAll(response.Body)
		h.t.Fatalf("%d %s", response.StatusCode, body)
	}
	testkit.Equal(h.t, "media type", response.Header.Get("Content-Type"), "text/event-stream")
	testkit.Equal(h.t, "caches", response.Header.Get("Cache-Control"), "no-store")
	return &eventReader{h, bufio.NewReader(response.Body), response.Header, cancel}
}

// receive returns the next event; ok is false when the stream has ended without an error.
func (e *eventReader) receive() (x receivedEvent, ok bool) {
	e.h.t.Helper()
	for {
		line, err := e.lines.ReadString('\n')
		if err == io.EOF && line == "" {
			return x, false
		}
		testkit.Must(e.h.t, err)
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			x.id = value
		case "event":
			x.kind = value
		case "data":
			x.data = value
		case "":
			if x.kind != "" {
				return x, true
			}
		}
	}
}

// next returns the next event of a stream that must not have ended.
func (e *eventReader) next() receivedEvent {
	e.h.t.Helper()
	x, ok := e.receive()
	if !ok {
		e.h.t.Fatal("the stream has ended")
	}
	return x
}

// live reads up to the event "live". It returns the events before it, and its id.
func (e *eventReader) live() (before []receivedEvent, id string) {
	e.h.t.Helper()
	for {
		x := e.next()
		if x.kind == "live" {
			testkit.Equal(e.h.t, "data of live", x.data, "{}")
			return before, x.id
		}
		before = append(before, x)
	}
}

// wantEnd reads until the stream ends without an error.
func (e *eventReader) wantEnd(what string) {
	e.h.t.Helper()
	began := time.Now()
	for {
		if _, ok := e.receive(); !ok {
			return
		}
		if time.Since(began) > 10*time.Second {
			e.h.t.Fatalf("%s: the stream has not ended", what)
		}
	}
}

func TestEventsAsTheyHappen(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	hers, his := h.listen(alice, "", ""), h.listen(bob, "", "")
	hers.live()
	his.live()
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 5).with("memo", canary)).want(201))
	out, in := hers.next().transfer(t), his.next().transfer(t)
	testkit.Equal(t, "hers", out.Transfer.Id, sent.Id)
	testkit.Equal(t, "his", in.Transfer.Id, sent.Id)
	testkit.Equal(t, "direction of hers", out.Transfer.Direction, openapi.Out)
	testkit.Equal(t, "direction of his", in.Transfer.Direction, openapi.In)
	testkit.Equal(t, "from", text(in.Transfer.From.Handle), "alice")
	testkit.Equal(t, "to", text(out.Transfer.To.Handle), "bob")
	testkit.Equal(t, "memo", text(in.Transfer.Memo), canary)

	// Only the sender receives the event of a refusal.
	p := h.post(alice, "/v1/transfers", pay(bob, 100_000)).wantProblem(openapi.InsufficientFunds)
	testkit.Equal(t, "refused", hers.next().transfer(t).Transfer.Id, *p.TransferId)
	second := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 6)).want(201))
	testkit.Equal(t, "bob's next event", his.next().transfer(t).Transfer.Id, second.Id)

	// An authorization and its capture are two events, each with the state of its time.
	opened := read[openapi.Transfer](h.post(bob, "/v1/withdrawals", fields{"amount": 2, "currency": "USD"}).want(202))
	h.settle(opened.Id, false)
	pending, voided := his.next().transfer(t), his.next().transfer(t)
	testkit.Equal(t, "first", pending.State, openapi.Pending)
	testkit.Equal(t, "resolved while pending", pending.Transfer.ResolvedAt == nil && pending.Transfer.Reason == nil, true)
	testkit.Equal(t, "then", voided.State, openapi.Voided)
	testkit.Equal(t, "to the bank", voided.Transfer.To.Bank != nil && *voided.Transfer.To.Bank, true)
}

func TestStreamsResume(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	started := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	e := h.listen(bob, "", "")
	_, now := e.live()
	var sent []uuid.UUID
	for i := range 5 {
		sent = append(sent, read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, int64(i+1))).want(201)).Id)
	}
	first := e.next()
	e.next()
	e.close()

	ids := func(events []receivedEvent) (ids []uuid.UUID) {
		for _, x := range events {
			ids = append(ids, x.transfer(t).Transfer.Id)
		}
		return ids
	}
	read := func(query, last string, want int) []uuid.UUID { // events may come from the table or live
		e := h.listen(bob, query, last)
		defer e.close()
		var events []receivedEvent
		for len(events) < want {
			if x := e.next(); x.kind == "transfer" {
				events = append(events, x)
			}
		}
		return ids(events)
	}
	for what, got := range map[string][]uuid.UUID{
		"after the moment it was live":         read("", now, 5),
		"since that, as a parameter":           read("?since="+now, "", 5),
		"since an hour ago":                    read("?since="+url.QueryEscape(started), "", 5),
		"the header has precedence over since": read("?since="+first.id, now, 5),
	} {
		if !slices.Equal(got, sent) {
			t.Errorf("%s: %v, want %v", what, got, sent)
		}
	}
	if got := read("", first.id, 4); !slices.Equal(got, sent[1:]) {
		t.Errorf("after the first: %v, want %v", got, sent[1:])
	}
	// Users receive only their own events, from any position on.
	mallory := h.signUp("mallory")
	if before, _ := h.listen(mallory, "", now).live(); len(before) > 0 {
		t.Errorf("mallory received %v", before)
	}
}

// TestStreamFromNowHasNoEarlierEvents: an event that one stream has sent is not sent again by a
// stream that begins afterwards, even if the ledger's feed lags behind the table.
func TestStreamFromNowHasNoEarlierEvents(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) {
		o.before = func(a *api.API) { a.SetHeartbeat(20*time.Millisecond, time.Hour) } // ends closed streams
	})
	alice, bob := h.pair(1000)
	for range 10 {
		h.post(alice, "/v1/transfers", pay(bob, 1)).want(201)
		started := url.QueryEscape(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
		past := h.listen(bob, "?since="+started, "")
		sent, _ := past.live()
		now := h.listen(bob, "", "")
		repeated, _ := now.live()
		past.close()
		now.close()
		for _, x := range repeated {
			if slices.Contains(sent, x) {
				t.Fatalf("event %s from before the request was sent", x.id)
			}
		}
		testkit.Eventually(t, "the streams end", func() bool { return h.api.OpenStreams() <= 4 })
	}
}

// TestStreamsThatDoNotFollow: streams that end after "live" count as open no longer, so that there
// may be more of them one after another than open at once.
func TestStreamsThatDoNotFollow(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	h.post(alice, "/v1/transfers", pay(bob, 1)).want(201)
	started := url.QueryEscape(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	for range 20 {
		stream := h.listen(bob, "?follow=false&since="+started, "")
		if before, _ := stream.live(); len(before) != 1 {
			t.Fatalf("%d events before live, want 1", len(before))
		}
		stream.wantEnd("follow=false")
	}
}

func TestBadStreams(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	future := "f" + strings.Repeat("_", 20) + "w"
	for query, code := range map[string]openapi.ProblemCode{
		"?since=x":                    openapi.ParameterMalformed,
		"?since=yesterday":            openapi.ParameterMalformed,
		"?since=%1b%5d52":             openapi.ParameterMalformed,
		"?since=" + future:            openapi.ParameterMalformed,
		"?since=AH__________________": openapi.ParameterMalformed,
		"?since=2199-01-01T00:00:00Z": openapi.TimeInFuture,
		"?since=0001-01-01T00:00:00Z": openapi.ParameterMalformed,
		"?ops=true":                   openapi.Forbidden,
		"?ops=perhaps":                openapi.ParameterMalformed,
	} {
		h.do(ask{method: "GET", path: "/v1/events" + query, token: alice.access}).wantProblem(code)
	}
	h.do(ask{method: "GET", path: "/v1/events", token: alice.access, headers: map[string]string{"Last-Event-ID": "x"}}).
		wantProblem(openapi.ParameterMalformed)
	// None of them counts as an open stream: sixteen more can be opened.
	for range 16 {
		h.listen(alice, "", "").live()
	}
	refused := h.get(alice, "/v1/events")
	refused.wantProblem(openapi.TooManyStreams)
	testkit.Equal(t, "Retry-After", refused.header.Get("Retry-After"), "1")
}
