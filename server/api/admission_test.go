package api_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
)

// With all places taken by payments that wait for the database, the next caller is
// sent away at once, an operator is not, and everybody is served again afterwards.
func TestWhoCannotBeServedInTimeIsSentAway(t *testing.T) {
	t.Parallel()
	const places = 4
	h := newHouse(t, func(o *options) { o.inFlight = places })
	alice, bob := h.pair(1000)
	operator := h.operator()
	locks := h.lockAccounts()
	payment := func() ask { return alice.asks("/v1/transfers", pay(bob, 1)) }
	var answers [places]*answer
	var sending sync.WaitGroup
	for i := range answers {
		sending.Go(func() { answers[i] = h.do(payment()) })
	}
	waitFor(t, "all places are taken", func() bool { return h.api.InFlight() == places })

	for range 3 {
		refused := h.do(payment()).want(http.StatusServiceUnavailable)
		refused.wantProblem(openapi.Overloaded)
		if refused.header.Get("Retry-After") == "" {
			t.Error("sent away without being told when to come back")
		}
	}
	h.get(operator, "/v1/ops/payments").want(http.StatusOK)

	must(t, locks.Rollback(t.Context()))
	sending.Wait()
	for _, a := range answers {
		a.want(http.StatusCreated)
	}
	h.do(payment()).want(http.StatusCreated)
	h.wantBalance(bob, places+1, 0)
	waitFor(t, "no place is taken", func() bool { return h.api.InFlight() == 0 })
}

// Who waits for the bank does not take a place away from those who pay.
func TestWaitingForTheBankTakesNoPlace(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *options) { o.inFlight = 1 })
	alice, bob := h.pair(1000)
	h.emptied()
	var deposit *answer
	var waiting sync.WaitGroup
	waiting.Go(func() {
		a := alice.asks("/v1/deposits", fields{"amount": 5, "currency": "USD"})
		a.headers = map[string]string{"Prefer": "wait=20"}
		deposit = h.do(a)
	})
	opened := <-h.hints
	waitFor(t, "the deposit has stepped aside", func() bool { return h.api.InFlight() == 0 })
	h.do(alice.asks("/v1/transfers", pay(bob, 1))).want(http.StatusCreated)
	h.settle(opened, true)
	waiting.Wait()
	deposit.want(http.StatusCreated)
}

// heldHasher hashes once it is released.
type heldHasher struct {
	entered chan struct{}
	release chan struct{}
}

func (h heldHasher) Hash(j auth.HashJob) ([]byte, error) {
	h.entered <- struct{}{}
	<-h.release
	return j.Argon2id(), nil
}

// Sign-ins that wait for their password to be checked take no place away from payments:
// the queue for hashing has a bound of its own.
func TestWaitingForAHashTakesNoPlace(t *testing.T) {
	t.Parallel()
	const signIns = 10
	hasher := heldHasher{make(chan struct{}, signIns+2), make(chan struct{}, signIns+2)}
	h := newHouse(t, func(o *options) { o.inFlight, o.hasher = 2, hasher })
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
	for range 2 + 8 { // of the two sign-ups before, and one for each slot
		<-hasher.entered
	}
	waitFor(t, "the sign-ins take no place", func() bool { return h.api.InFlight() == 0 })
	h.do(alice.asks("/v1/transfers", pay(bob, 1))).want(http.StatusCreated)
	for range signIns {
		hasher.release <- struct{}{}
	}
	waiting.Wait()
}
