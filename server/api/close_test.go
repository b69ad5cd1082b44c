package api_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// TestCloseAccount: the account of a user with money or something pending is not closed, and the
// refusal says what is left. After it, the user can neither log in nor be paid, operators see why,
// and the books are as before.
func TestCloseAccount(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	olga := h.operator()
	body := fields{"password": password}
	refused := h.post(alice, "/v1/me/close", body)
	refused.wantProblem(openapi.AccountNotEmpty)
	if !strings.Contains(string(refused.body), "the USD wallet has 10.00 USD") {
		t.Errorf("the refusal is %s", refused.body)
	}
	hold := h.authorize(alice, bob, 5)
	h.post(bob, "/v1/me/close", body).wantProblem(openapi.AccountNotEmpty)
	h.do(ask{method: "POST", path: hold + "/void", token: bob.access, key: uuid.NewString()}).want(201)
	h.post(olga, "/v1/me/close", body.with("otp", "123456")).wantProblem(openapi.OwnAccount)

	sent := ask{method: "POST", path: "/v1/transfers", token: alice.access, key: uuid.NewString(), body: fields{"to": "@bob", "amount": 5, "currency": "USD"}}
	first := read[openapi.Transfer](h.do(sent).want(201))
	back := read[openapi.Transfer](h.do(ask{method: "POST", path: "/v1/transfers", token: bob.access, key: uuid.NewString(),
		body: fields{"to": "@alice", "amount": 5, "currency": "USD"}}).want(201))
	h.post(bob, "/v1/me/close", fields{"password": "wrong " + password}).wantProblem(openapi.InvalidCredentials)
	wallet := h.wallet(bob).Id
	h.post(bob, "/v1/me/close", body).want(204)

	h.get(bob, "/v1/me").wantProblem(openapi.SessionRevoked)
	h.do(ask{method: "POST", path: "/v1/auth/login", body: fields{"login": "bob", "password": password}}).wantProblem(openapi.InvalidCredentials)
	for _, to := range []string{"@bob", wallet.String()} {
		h.do(ask{method: "POST", path: "/v1/transfers", token: alice.access, key: uuid.NewString(), body: fields{"to": to, "amount": 5, "currency": "USD"}}).
			wantProblem(openapi.PayeeClosed)
	}
	again := h.do(sent).want(201)
	testkit.Equal(t, "the transfer of before", read[openapi.Transfer](again).Id, first.Id)
	found := read[openapi.PersonList](h.get(alice, "/v1/users?q=bob").want(200))
	testkit.Equal(t, "found by search", len(found.Items), 0)
	for _, action := range []string{"freeze", "unfreeze", "suspend", "reinstate"} {
		h.post(olga, "/v1/ops/users/bob/"+action, fields{"reason": "test"}).wantProblem(openapi.AccountClosed)
	}
	h.do(ask{method: "POST", path: "/v1/transfers/" + back.Id.String() + "/reverse", token: alice.access, key: uuid.NewString(), body: fields{}}).
		wantProblem(openapi.AccountFrozen)
}
