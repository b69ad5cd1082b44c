package api_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// atOnce sends n requests concurrently and returns the answers by the number of the request.
func (h *fixture) atOnce(n int, request func(i int) ask) []*answer {
	h.t.Helper()
	answers := make([]*answer, n)
	start, all := make(chan struct{}), sync.WaitGroup{}
	for i := range n {
		all.Go(func() {
			<-start
			got, err := h.try(h.t.Context(), request(i))
			if err != nil {
				h.t.Errorf("request %d: %v", i, err)
				return
			}
			answers[i] = got
		})
	}
	close(start)
	all.Wait()
	if h.t.Failed() {
		h.t.FailNow()
	}
	return answers
}

// TestConcurrentRequestsWithOneKey: they make one transfer, and none fails with 500.
func TestConcurrentRequestsWithOneKey(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100_000)
	for _, kind := range []struct {
		path   string
		body   fields
		status int
	}{
		{"/v1/transfers", pay(bob, 10).with("memo", canary), 201},
		{"/v1/transfers", pay(bob, 10).with("authorize", true), 201},
		{"/v1/withdrawals", fields{"amount": 10, "currency": "USD"}, 202},
		{"/v1/deposits", fields{"amount": 10, "currency": "USD"}, 202},
	} {
		before := h.rows()
		request := alice.asks(kind.path, kind.body)
		var fresh int
		ids := map[uuid.UUID]bool{}
		for _, got := range h.atOnce(200, func(int) ask { return request }) {
			got.want(kind.status)
			ids[read[openapi.Transfer](got).Id] = true
			if !got.replayed() {
				fresh++
			}
		}
		testkit.Equal(t, kind.path+": answers that were no replay", fresh, 1)
		testkit.Equal(t, kind.path+": transfers", len(ids), 1)
		testkit.Equal(t, kind.path+": rows", h.rows()[0]-before[0], 1)
	}
	h.wantBalance(alice, 100_000-10, 20)
	h.wantBalance(bob, 10, 0)
}

// TestKeyReusedForAnotherBody: the second request must not be answered with the first transfer.
func TestKeyReusedForAnotherBody(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100_000)
	carol := h.signUp("carol")
	key := uuid.NewString()
	count := map[int]int{}
	answers := h.atOnce(50, func(i int) ask {
		request := alice.asks("/v1/transfers", pay(bob, int64(i+1)))
		request.key = key
		return request
	})
	var moved int64
	for _, got := range answers {
		count[got.status]++
		if got.status == http.StatusCreated {
			moved = read[openapi.Transfer](got).Amount
			continue
		}
		got.wantProblem(openapi.IdempotencyKeyReused)
	}
	testkit.Equal(t, "done", count[201], 1)
	testkit.Equal(t, "refused", count[422], 49)
	h.wantBalance(bob, moved, 0)

	// Each field of the body counts.
	first := pay(bob, 7).with("memo", "a").with("authorize", false)
	key = uuid.NewString()
	h.do(ask{method: "POST", path: "/v1/transfers", token: alice.access, key: key, body: first}).want(201)
	before := h.rows()
	for _, other := range []ask{
		{path: "/v1/transfers", body: first.with("memo", "b")},
		{path: "/v1/transfers", body: first.with("memo", "a ")},
		{path: "/v1/transfers", body: first.with("to", "@carol")},
		{path: "/v1/transfers", body: first.with("authorize", true)},
		{path: "/v1/transfers", body: first.with("amount", 8)},
		{path: "/v1/deposits", body: fields{"amount": 7, "currency": "USD", "memo": "a"}},
		{path: "/v1/withdrawals", body: fields{"amount": 7, "currency": "USD", "memo": "a"}},
	} {
		other.method, other.token, other.key = "POST", alice.access, key
		p := h.do(other).wantProblem(openapi.IdempotencyKeyReused)
		testkit.Equal(t, "the other's transfer is not named", p.TransferId == nil, true)
	}
	h.wantUntouched("a used key", before)
	// The same key of another user is another key.
	theirs := pay(alice, 0)
	theirs["amount"] = 1
	h.fund(carol, 1)
	h.do(ask{method: "POST", path: "/v1/transfers", token: carol.access, key: key, body: theirs}).want(201)
}

// TestReplayAfterTheMoneyIsSpent: the key is checked before the balance, so that a retry of a
// completed transfer does not fail for lack of funds.
func TestReplayAfterTheMoneyIsSpent(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	request := alice.asks("/v1/withdrawals", fields{"amount": 60, "currency": "USD"})
	first := h.do(request).want(202)
	h.post(alice, "/v1/transfers", pay(bob, 40)).want(201)
	again := h.do(request).want(202)
	testkit.Equal(t, "replayed", again.replayed(), true)
	testkit.Equal(t, "same answer", string(again.body), string(first.body))
	h.settle(read[openapi.Transfer](first).Id, true)
	ended := h.do(request).want(201)
	testkit.Equal(t, "replayed when ended", ended.replayed(), true)
	testkit.Equal(t, "state", read[openapi.Transfer](ended).State, openapi.Posted)
	h.wantBalance(alice, 0, 0)
}

func TestRefusalIsSticky(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(0 + 1)
	request := alice.asks("/v1/transfers", pay(bob, 50))
	first := h.do(request)
	refused := first.wantProblem(openapi.InsufficientFunds)
	testkit.Equal(t, "replayed", first.replayed(), false)
	h.fund(alice, 1000)
	before := h.rows()
	again := h.do(request)
	same := again.wantProblem(openapi.InsufficientFunds)
	testkit.Equal(t, "replayed", again.replayed(), true)
	if refused.TransferId == nil || same.TransferId == nil || *same.TransferId != *refused.TransferId {
		t.Errorf("the refusals are of two transfers: %s, %s", first.body, again.body)
	}
	h.wantUntouched("a replayed refusal", before)
	shown := read[openapi.Transfer](h.get(alice, "/v1/transfers/"+refused.TransferId.String()).want(200))
	testkit.Equal(t, "state", shown.State, openapi.Refused)
	testkit.Equal(t, "reason", text(shown.Reason), string(openapi.InsufficientFunds))
	h.post(alice, "/v1/transfers", pay(bob, 50)).want(201)
}

// TestReplayWithAnotherFormOfThePayee: a replay may name the payee in another form, or by a name
// that has changed.
func TestReplayWithAnotherFormOfThePayee(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	request := alice.asks("/v1/transfers", pay(bob, 5))
	first := read[openapi.Transfer](h.do(request).want(201))
	h.do(ask{method: "PATCH", path: "/v1/me", token: bob.access, body: fields{"name": "Robert"}}).want(200)
	for _, to := range []string{"@bob", "bob", " @BOB ", "bob@example.com", "Bob@Example.com", bob.wallet, "urn:uuid:" + bob.wallet} {
		request.body = pay(bob, 5).with("to", to).with("authorize", false).with("dry_run", false).with("memo", "")
		again := h.do(request).want(201)
		testkit.Equal(t, to+" is a replay", again.replayed(), true)
		seen := read[openapi.Transfer](again)
		testkit.Equal(t, to, seen.Id, first.Id)
		testkit.Equal(t, "name as of now", text(seen.To.Name), "Robert")
	}
	h.wantBalance(bob, 5, 0)
}

func TestDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	request := alice.asks("/v1/transfers", pay(bob, 30).with("dry_run", true))
	before := h.rows()
	preview := read[openapi.TransferPreview](h.do(request).want(200))
	testkit.Equal(t, "balance after", preview.BalanceAfter, 70)
	testkit.Equal(t, "available after", preview.AvailableAfter, 70)
	testkit.Equal(t, "fee", preview.Fee, 0)
	testkit.Equal(t, "from", text(preview.From.Handle), "alice")
	testkit.Equal(t, "to", text(preview.To.Handle), "bob")
	request.body = pay(bob, 30).with("dry_run", true).with("authorize", true)
	preview = read[openapi.TransferPreview](h.do(request).want(200))
	testkit.Equal(t, "balance after an authorization", preview.BalanceAfter, 100)
	testkit.Equal(t, "available after an authorization", preview.AvailableAfter, 70)
	request.body = pay(bob, 101).with("dry_run", true)
	p := h.do(request).wantProblem(openapi.InsufficientFunds)
	testkit.Equal(t, "no transfer to show", p.TransferId == nil, true)
	h.wantUntouched("dry_run", before)

	request.body = pay(bob, 30) // the dry run has not used the key
	testkit.Equal(t, "replayed", h.do(request).want(201).replayed(), false)
	request.body = pay(bob, 99).with("dry_run", true) // and a dry run does not affect a used key
	h.do(request).wantProblem(openapi.InsufficientFunds)
	request.body = pay(bob, 30)
	testkit.Equal(t, "replayed", h.do(request).want(201).replayed(), true)
	h.wantBalance(bob, 30, 0)
}

func TestAuthorizationsReplay(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	request := alice.asks("/v1/transfers", pay(bob, 30).with("authorize", true))
	first := read[openapi.Transfer](h.do(request).want(201))
	again := h.do(request).want(201) // later, so that "in seven days" is another time
	testkit.Equal(t, "replayed", again.replayed(), true)
	testkit.Equal(t, "expiry", *read[openapi.Transfer](again).ExpiresAt, *first.ExpiresAt)

	// The same time in two time zones is the same body.
	request = alice.asks("/v1/transfers", nil)
	at := first.ExpiresAt.UTC()
	for i, zone := range []string{at.Format("2006-01-02T15:04:05Z"), at.Format("2006-01-02T15:04:05") + "+00:00"} {
		request.body = pay(bob, 30).with("authorize", true).with("expires_at", zone)
		testkit.Equal(t, fmt.Sprint("replayed ", i), h.do(request).want(201).replayed(), i == 1)
	}
	h.wantBalance(alice, 100, 60)

	// Captures replay too, and show the current state of the authorization.
	capture := bob.asks("/v1/transfers/"+first.Id.String()+"/capture", fields{"amount": 10})
	for i := range 3 {
		got := h.do(capture).want(201)
		testkit.Equal(t, "replayed", got.replayed(), i > 0)
		shown := read[openapi.Transfer](got)
		testkit.Equal(t, "transfer", shown.Id, first.Id)
		testkit.Equal(t, "captured", shown.Amount, 10)
		testkit.Equal(t, "authorized", *shown.AuthorizedAmount, 30)
	}
	capture.body = fields{"amount": 11}
	h.do(capture).wantProblem(openapi.IdempotencyKeyReused)
	h.wantBalance(bob, 10, 0)
}

func TestDepositReplays(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	request := alice.asks("/v1/deposits", fields{"amount": 30, "currency": "USD", "memo": canary})
	first := h.do(request).want(202)
	again := h.do(request).want(202)
	testkit.Equal(t, "first is a replay", first.replayed(), false)
	testkit.Equal(t, "second is a replay", again.replayed(), true)
	testkit.Equal(t, "body", string(again.body), string(first.body))
	h.settle(read[openapi.Transfer](first).Id, false)
	ended := read[openapi.Transfer](h.do(request).want(201))
	testkit.Equal(t, "state", ended.State, openapi.Voided)
	testkit.Equal(t, "reason", text(ended.Reason), "bank_rejected")
	h.wantBalance(alice, 0, 0)
}
