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

	"github.com/JDevAman/kizo/openapi"
)

// told is one event as it came over the wire.
type told struct{ id, kind, data string }

func (x told) transfer(t testing.TB) openapi.TransferEvent {
	t.Helper()
	var event openapi.TransferEvent
	decoder := json.NewDecoder(strings.NewReader(x.data))
	decoder.DisallowUnknownFields()
	must(t, decoder.Decode(&event))
	equal(t, "type", x.kind, "transfer")
	equal(t, "state", event.State, event.Transfer.State)
	equal(t, "UTC", event.At.Location(), time.UTC)
	return event
}

// ear is a stream that a test reads.
type ear struct {
	h      *house
	lines  *bufio.Reader
	header http.Header
	close  context.CancelFunc
}

// listen opens a stream that must open.
func (h *house) listen(u *user, query, last string) *ear {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	h.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/v1/events"+query, nil)
	must(h.t, err)
	request.Header.Set("Authorization", "Bearer "+u.access)
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	client := http.Client{Transport: h.client.Transport}
	response, err := client.Do(request)
	must(h.t, err)
	h.t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != 200 {
		body, _ := io.ReadAll(response.Body)
		h.t.Fatalf("%d %s", response.StatusCode, body)
	}
	equal(h.t, "media type", response.Header.Get("Content-Type"), "text/event-stream")
	equal(h.t, "caches", response.Header.Get("Cache-Control"), "no-store")
	return &ear{h, bufio.NewReader(response.Body), response.Header, cancel}
}

// hear gives the next event; ok is false when the stream has ended in order.
func (e *ear) hear() (x told, ok bool) {
	e.h.t.Helper()
	for {
		line, err := e.lines.ReadString('\n')
		if err == io.EOF && line == "" {
			return x, false
		}
		must(e.h.t, err)
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

// next is the next event, of a stream that goes on.
func (e *ear) next() told {
	e.h.t.Helper()
	x, ok := e.hear()
	if !ok {
		e.h.t.Fatal("the stream has ended")
	}
	return x
}

// live passes what was there before and gives it, with the id of the moment.
func (e *ear) live() (before []told, id string) {
	e.h.t.Helper()
	for {
		x := e.next()
		if x.kind == "live" {
			equal(e.h.t, "data of live", x.data, "{}")
			return before, x.id
		}
		before = append(before, x)
	}
}

// wantEnd reads until the stream ends in order.
func (e *ear) wantEnd(what string) {
	e.h.t.Helper()
	began := time.Now()
	for {
		if _, ok := e.hear(); !ok {
			return
		}
		if time.Since(began) > 10*time.Second {
			e.h.t.Fatalf("%s: the stream goes on", what)
		}
	}
}

func TestEventsAsTheyHappen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob := h.pair(1000)
	hers, his := h.listen(alice, "", ""), h.listen(bob, "", "")
	hers.live()
	his.live()
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 5).with("memo", canary)).want(201))
	out, in := hers.next().transfer(t), his.next().transfer(t)
	equal(t, "hers", out.Transfer.Id, sent.Id)
	equal(t, "his", in.Transfer.Id, sent.Id)
	equal(t, "direction of hers", out.Transfer.Direction, openapi.Out)
	equal(t, "direction of his", in.Transfer.Direction, openapi.In)
	equal(t, "from", text(in.Transfer.From.Handle), "alice")
	equal(t, "to", text(out.Transfer.To.Handle), "bob")
	equal(t, "memo", text(in.Transfer.Memo), canary)

	// A refusal is the sender's alone.
	p := h.post(alice, "/v1/transfers", pay(bob, 100_000)).wantProblem(openapi.InsufficientFunds)
	equal(t, "refused", hers.next().transfer(t).Transfer.Id, *p.TransferId)
	second := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 6)).want(201))
	equal(t, "what bob is told after that", his.next().transfer(t).Transfer.Id, second.Id)

	// Two phases are two events, each as it stood.
	opened := read[openapi.Transfer](h.post(bob, "/v1/withdrawals", fields{"amount": 2, "currency": "USD"}).want(202))
	h.settle(opened.Id, false)
	pending, voided := his.next().transfer(t), his.next().transfer(t)
	equal(t, "first", pending.State, openapi.Pending)
	equal(t, "resolved while pending", pending.Transfer.ResolvedAt == nil && pending.Transfer.Reason == nil, true)
	equal(t, "then", voided.State, openapi.Voided)
	equal(t, "to the bank", voided.Transfer.To.Bank != nil && *voided.Transfer.To.Bank, true)
}

func TestEventsGoOnWhereTheyStopped(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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

	ids := func(events []told) (ids []uuid.UUID) {
		for _, x := range events {
			ids = append(ids, x.transfer(t).Transfer.Id)
		}
		return ids
	}
	read := func(query, last string, most int) []uuid.UUID { // what the table has may become live meanwhile
		e := h.listen(bob, query, last)
		defer e.close()
		var events []told
		for len(events) < most {
			if x := e.next(); x.kind == "transfer" {
				events = append(events, x)
			}
		}
		return ids(events)
	}
	for what, got := range map[string][]uuid.UUID{
		"after the moment it was live":       read("", now, 5),
		"since that, as a parameter":         read("?since="+now, "", 5),
		"since an hour ago":                  read("?since="+url.QueryEscape(started), "", 5),
		"the header goes before the address": read("?since="+first.id, now, 5),
	} {
		if !slices.Equal(got, sent) {
			t.Errorf("%s: %v, want %v", what, got, sent)
		}
	}
	if got := read("", first.id, 4); !slices.Equal(got, sent[1:]) {
		t.Errorf("after the first: %v, want %v", got, sent[1:])
	}
	// Everybody's own, wherever they begin.
	mallory := h.signUp("mallory")
	if before, _ := h.listen(mallory, "", now).live(); len(before) > 0 {
		t.Errorf("mallory is told %v", before)
	}
}

func TestBadStreams(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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
	// None of them keeps a place: there is room for sixteen.
	for range 16 {
		h.listen(alice, "", "").live()
	}
	refused := h.get(alice, "/v1/events")
	refused.wantProblem(openapi.TooManyStreams)
	equal(t, "Retry-After", refused.header.Get("Retry-After"), "1")
}
