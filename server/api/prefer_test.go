package api_test

import (
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
)

// settleNext settles the next payment that the API enqueues.
func (h *fixture) settleNext(executed bool) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		h.settle(<-h.enqueued, executed)
	}()
	return done
}

// emptied discards payments that were enqueued before.
func (h *fixture) emptied() *fixture {
	for len(h.enqueued) > 0 {
		<-h.enqueued
	}
	return h
}

func TestPreferWait(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	h.fund(alice, 100)
	for _, path := range []string{"/v1/deposits", "/v1/withdrawals"} {
		for _, executed := range []bool{true, false} {
			request := alice.asks(path, fields{"amount": 10, "currency": "USD"})
			request.headers = map[string]string{"Prefer": "wait=10"}
			settled := h.emptied().settleNext(executed)
			got := read[openapi.Transfer](h.do(request).want(201))
			<-settled
			if executed {
				testkit.Equal(t, path, got.State, openapi.Posted)
			} else {
				testkit.Equal(t, path, got.State, openapi.Voided)
				testkit.Equal(t, path, text(got.Reason), "bank_rejected")
			}
			testkit.Equal(t, "resolved", got.ResolvedAt != nil, true)
		}
	}
	h.wantBalance(alice, 100, 0)
}

func TestPreferWaitThatEndsTooEarly(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	request := alice.asks("/v1/deposits", fields{"amount": 10, "currency": "USD"})
	request.headers = map[string]string{"Prefer": "wait=1"}
	started := time.Now()
	first := read[openapi.Transfer](h.do(request).want(202))
	if waited := time.Since(started); waited < time.Second || waited > 5*time.Second {
		t.Errorf("wait=1 took %v", waited)
	}
	testkit.Equal(t, "state", first.State, openapi.Pending)
	// The same request waits for the same transfer and enqueues its payment again.
	settled := h.emptied().settleNext(true)
	again := h.do(request).want(201)
	<-settled
	testkit.Equal(t, "replayed", again.replayed(), true)
	testkit.Equal(t, "transfer", read[openapi.Transfer](again).Id, first.Id)
	h.wantBalance(alice, 10, 0)
}

// TestPreferWaitExceedsTheTimeout: the wait that the caller asks for adds to the request's timeout.
func TestPreferWaitExceedsTheTimeout(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) { o.before = func(a *api.API) { a.SetTimeout(900 * time.Millisecond) } })
	alice := h.signUp("alice")
	request := alice.asks("/v1/deposits", fields{"amount": 10, "currency": "USD"})
	request.headers = map[string]string{"Prefer": "wait=10"}
	go func() {
		id := <-h.enqueued
		after := time.NewTimer(1200 * time.Millisecond) // longer than the timeout
		<-after.C
		h.settle(id, true)
	}()
	got := read[openapi.Transfer](h.do(request).want(201))
	testkit.Equal(t, "state", got.State, openapi.Posted)
	testkit.Equal(t, "to", text(got.To.Handle), "alice")
}
