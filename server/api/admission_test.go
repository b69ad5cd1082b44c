package api_test

import (
	"fmt"
	"net/http"
	"sync"
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
