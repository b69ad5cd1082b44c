package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
)

// TestExcessRequestsAreShed: while payments that wait for the database fill the limit, further
// requests are shed immediately, but not those of operators. Afterwards all are served again.
func TestExcessRequestsAreShed(t *testing.T) {
	t.Parallel()
	const limit = 4
	h := newFixture(t, func(o *options) { o.inFlight = limit })
	alice, bob := h.pair(1000)
	operator := h.operator()
	locks := h.lockAccounts()
	payment := func() ask { return alice.asks("/v1/transfers", pay(bob, 1)) }
	var answers [limit]*answer
	var sending sync.WaitGroup
	for i := range answers {
		sending.Go(func() { answers[i] = h.do(payment()) })
	}
	testkit.Eventually(t, "the limit is reached", func() bool { return h.api.InFlight() == limit })

	for range 3 {
		refused := h.do(payment()).want(http.StatusServiceUnavailable)
		refused.wantProblem(openapi.Overloaded)
		if refused.header.Get("Retry-After") == "" {
			t.Error("shed without Retry-After")
		}
	}
	h.get(operator, "/v1/ops/payments").want(http.StatusOK)

	testkit.Must(t, locks.Rollback(t.Context()))
	sending.Wait()
	for _, a := range answers {
		a.want(http.StatusCreated)
	}
	h.do(payment()).want(http.StatusCreated)
	h.wantBalance(bob, limit+1, 0)
	testkit.Eventually(t, "no request is in flight", func() bool { return h.api.InFlight() == 0 })
}

// TestClientsThatIgnoreRetryAfterWait: a shed client that sends its next request on the connection
// before Retry-After is over is answered later, and twice as late the next time.
func TestClientsThatIgnoreRetryAfterWait(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) { o.inFlight = 1 })
	alice, bob := h.pair(1000)
	locks := h.lockAccounts()
	payment := func() ask { return alice.asks("/v1/transfers", pay(bob, 1)) }
	var admitted *answer
	var sending sync.WaitGroup
	sending.Go(func() { admitted = h.do(payment()) })
	testkit.Eventually(t, "the limit is reached", func() bool { return h.api.InFlight() == 1 })

	h.client.CloseIdleConnections() // what follows uses one connection
	h.do(payment()).want(http.StatusServiceUnavailable)
	for ignored := range 3 {
		began := time.Now()
		h.do(payment()).want(http.StatusServiceUnavailable)
		if took := time.Since(began); took < api.IgnoredRetryDelay<<ignored {
			t.Errorf("a client that ignores Retry-After for the %d. time was answered in %v", ignored+1, took)
		}
	}
	testkit.Must(t, locks.Rollback(t.Context()))
	sending.Wait()
	admitted.want(http.StatusCreated)
	h.do(payment()).want(http.StatusCreated)
}

// TestWaitForTheBankIsNotInFlight: a request that waits for the bank does not count as in flight.
func TestWaitForTheBankIsNotInFlight(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) { o.inFlight = 1 })
	alice, bob := h.pair(1000)
	h.emptied()
	var deposit *answer
	var waiting sync.WaitGroup
	waiting.Go(func() {
		a := alice.asks("/v1/deposits", fields{"amount": 5, "currency": "USD"})
		a.headers = map[string]string{"Prefer": "wait=20"}
		deposit = h.do(a)
	})
	opened := <-h.enqueued
	testkit.Eventually(t, "the deposit no longer counts as in flight", func() bool { return h.api.InFlight() == 0 })
	h.do(alice.asks("/v1/transfers", pay(bob, 1))).want(http.StatusCreated)
	h.settle(opened, true)
	waiting.Wait()
	deposit.want(http.StatusCreated)
}

// heldHasher blocks until it is released.
type heldHasher struct {
	entered chan struct{}
	release chan struct{}
}

func (h heldHasher) Hash(j auth.HashJob) ([]byte, error) {
	h.entered <- struct{}{}
	<-h.release
	return auth.InProcess{}.Hash(j)
}

// TestWaitForAHashIsNotInFlight: log-ins that wait in the hash queue do not count as in flight,
// because the hash queue has a bound of its own.
func TestWaitForAHashIsNotInFlight(t *testing.T) {
	t.Parallel()
	const signIns = 10
	hasher := heldHasher{make(chan struct{}, signIns+2), make(chan struct{}, signIns+2)}
	h := newFixture(t, func(o *options) { o.inFlight, o.hasher = 2, hasher })
	hasher.release <- struct{}{}
	hasher.release <- struct{}{}
	alice, bob := h.pair(1000)
	var waiting sync.WaitGroup
	for i := range signIns {
		waiting.Go(func() {
			login := fields{"login": fmt.Sprintf("unknown%d", i), "password": "a wrong password"}
			h.do(ask{method: http.MethodPost, path: "/v1/auth/login", body: login}).want(http.StatusUnauthorized)
		})
	}
	for range 2 + 8 { // two for the sign-ups before, and one for each slot
		<-hasher.entered
	}
	testkit.Eventually(t, "the log-ins do not count as in flight", func() bool { return h.api.InFlight() == 0 })
	h.do(alice.asks("/v1/transfers", pay(bob, 1))).want(http.StatusCreated)
	for range signIns {
		hasher.release <- struct{}{}
	}
	waiting.Wait()
}

// TestFullHashQueueRefusesAtOnce: while the hash queue is full, log-ins and sign-ups are rejected
// before the rate limit and before their body is read. Other requests are served.
func TestFullHashQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	const slots = 8
	hasher := heldHasher{make(chan struct{}, slots+3), make(chan struct{}, slots+3)}
	var limited atomic.Int64 // anonymous requests that the rate limit has counted
	h := newFixture(t, func(o *options) {
		o.hasher, o.hashWait = hasher, time.Millisecond // the queue is full unless a slot is free
		o.limits.Address = func(context.Context, string) api.Allowance {
			limited.Add(1)
			return api.Allowance{Allowed: true}
		}
	})
	hasher.release <- struct{}{}
	hasher.release <- struct{}{}
	alice, bob := h.pair(1000)
	logIn := func(login string) ask {
		return ask{method: http.MethodPost, path: "/v1/auth/login", body: fields{"login": login, "password": "a wrong password"}}
	}
	var waiting sync.WaitGroup
	for i := range slots {
		waiting.Go(func() { h.do(logIn(fmt.Sprintf("unknown%d", i))).want(http.StatusUnauthorized) })
	}
	for range 2 + slots { // two for the sign-ups before, and one for each slot
		<-hasher.entered
	}

	before := limited.Load()
	for _, path := range []string{"/v1/auth/login", "/v1/auth/signup"} {
		refused := h.do(ask{method: http.MethodPost, path: path, body: "malformed"}).want(http.StatusServiceUnavailable)
		refused.wantProblem(openapi.Overloaded)
		if after, err := strconv.Atoi(refused.header.Get("Retry-After")); err != nil || after < 1 {
			t.Errorf("%s: Retry-After %q", path, refused.header.Get("Retry-After"))
		}
	}
	testkit.Equal(t, "refused log-ins and sign-ups that the rate limit has counted", limited.Load()-before, 0)
	h.do(ask{method: http.MethodPost, path: "/v1/auth/refresh", body: fields{"refresh_token": "unknown"}}).want(http.StatusUnauthorized)
	h.do(alice.asks("/v1/transfers", pay(bob, 1))).want(http.StatusCreated)

	for range slots + 1 {
		hasher.release <- struct{}{}
	}
	waiting.Wait()
	h.do(logIn("another")).want(http.StatusUnauthorized)
}
