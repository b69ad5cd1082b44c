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

// TestFrozenAccountsSayWhichAndWhy: a refusal says whose account is frozen and what to do, the
// profile shows it, and so does what operators see; the user finds what operators did.
func TestFrozenAccountsSayWhichAndWhy(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	olga := h.operator()
	why := fields{"reason": "test"}
	pays := func(from *user, to, text string) {
		t.Helper()
		answer := h.do(ask{method: "POST", path: "/v1/transfers", token: from.access, key: uuid.NewString(), body: fields{"to": to, "amount": 5, "currency": "USD"}})
		if p := answer.wantProblem(openapi.AccountFrozen); !strings.Contains(p.Detail, text) {
			t.Errorf("%s to %s: %q, want %q", from.handle, to, p.Detail, text)
		}
	}
	h.post(olga, "/v1/ops/users/alice/freeze", why).want(204)
	pays(alice, "@bob", "your account is frozen, so no money moves from or to it: lift your own freeze with kizo unfreeze-me, or ask an operator")
	pays(bob, "@alice", "the account of the other user is frozen")
	for u, want := range map[*user]bool{alice: true, bob: false} {
		testkit.Equal(t, u.handle, *read[openapi.User](h.get(u, "/v1/me").want(200)).Frozen, want)
		seen := read[openapi.OpsUser](h.get(olga, "/v1/ops/users/"+u.handle).want(200))
		testkit.Equal(t, u.handle, seen.Frozen, want)
		testkit.Equal(t, u.handle, seen.Status, openapi.OpsUserActive)
		testkit.Equal(t, u.handle, seen.Email, u.handle+"@example.com")
	}
	h.post(olga, "/v1/ops/users/alice/unfreeze", why).want(204)
	events := map[string]int{}
	for _, e := range read[openapi.SecurityEventList](h.get(alice, "/v1/sessions/history").want(200)).Items {
		events[e.Event]++
	}
	testkit.Equal(t, "frozen", events["frozen"], 1)
	testkit.Equal(t, "unfrozen", events["unfrozen"], 1)
	testkit.Equal(t, "looked at", events["viewed_by_operator"], 1)
}
