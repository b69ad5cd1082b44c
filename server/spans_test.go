package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// spanCollector receives spans over OTLP/HTTP.
type spanCollector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*otlp.Span
}

func newSpanCollector(t *testing.T) *spanCollector {
	t.Helper()
	c := &spanCollector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &sent)
		}
		if err != nil {
			t.Errorf("a request to the collector: %v", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range sent.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// of returns the spans of a trace by their names.
func (c *spanCollector) of(traceID string) map[string][]*otlp.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string][]*otlp.Span{}
	for _, s := range c.spans {
		if hex(s.TraceId) == traceID {
			found[s.Name] = append(found[s.Name], s)
		}
	}
	return found
}

func hex(id []byte) string { return fmt.Sprintf("%x", id) }

// TestSpansReachTheCollector: the request, the attempts and their calls of the bank are spans of
// one trace, each a child of the one before, and with the ids that the bank gets. They arrive at
// the latest when kizod ends.
func TestSpansReachTheCollector(t *testing.T) {
	t.Parallel()
	spans, bank := newSpanCollector(t), newRecordingBank(t)
	c := config(t, pgtest.New(t).AppURL)
	c.BankURL, c.Roles, c.TracesURL, c.TracesPercent = bank.url, server.AllRoles(), spans.URL+"/v1/traces", 100
	s := start(t, c)
	alice := signUp(t, s.URL(), "alice")
	const traceID, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	a, err := send(http.MethodPost, s.URL()+"/v1/deposits", alice.token, "key", usd(5_00), http.Header{"Traceparent": {"00-" + traceID + "-" + caller + "-01"}})
	testkit.Must(t, err)
	id, _ := a.field("id").(string)
	testkit.Eventually(t, "the deposit is settled", func() bool {
		a, err := send(http.MethodGet, s.URL()+"/v1/transfers/"+id, alice.token, "", nil, nil)
		return err == nil && a.field("state") == "posted"
	})
	testkit.Must(t, s.Close())

	got := spans.of(traceID)
	requests, attempts := got["POST /v1/deposits"], got["settle deposit"]
	if len(requests) != 1 || len(attempts) == 0 {
		t.Fatalf("%d spans of the request, %d of attempts: %v", len(requests), len(attempts), got)
	}
	request := requests[0]
	if hex(request.ParentSpanId) != caller || request.Kind != otlp.Span_SPAN_KIND_SERVER || request.EndTimeUnixNano < request.StartTimeUnixNano {
		t.Errorf("the span of the request: %v", request)
	}
	parents := map[string]bool{}
	for _, attempt := range attempts {
		if hex(attempt.ParentSpanId) != hex(request.SpanId) || attempt.Kind != otlp.Span_SPAN_KIND_CONSUMER {
			t.Errorf("the span of an attempt: %v", attempt)
		}
		parents[hex(attempt.SpanId)] = true
	}
	calls := map[string]bool{}
	for _, call := range append(got["bank POST"], got["bank GET"]...) {
		if !parents[hex(call.ParentSpanId)] || call.Kind != otlp.Span_SPAN_KIND_CLIENT {
			t.Errorf("the span of a call: %v", call)
		}
		calls[hex(call.SpanId)] = true
	}
	bank.mu.Lock()
	defer bank.mu.Unlock()
	if len(bank.requests) < 2 || len(calls) != len(bank.requests) {
		t.Errorf("%d spans of calls, %d requests to the bank", len(calls), len(bank.requests))
	}
	for _, named := range bank.requests {
		if _, span, _ := named.IDs(); !calls[hex(span[:])] {
			t.Errorf("the bank got the span %x, which the collector has not", span)
		}
	}
}

// TestCollectorThatDoesNotAnswer: requests are served and kizod ends without an error.
func TestCollectorThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	c := config(t, pgtest.New(t).AppURL)
	c.TracesURL, c.TracesPercent = "http://127.0.0.1:1/v1/traces", 100
	s := start(t, c)
	alice := signUp(t, s.URL(), "alice")
	a, err := send(http.MethodGet, s.URL()+"/v1/me", alice.token, "", nil, nil)
	testkit.Must(t, err)
	testkit.Equal(t, "status", a.status, 200)
	testkit.Must(t, s.Close())
}
