package api_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// TestPaymentsToAFormerHandle: they are refused with what to do, and a transfer that was made
// before is answered as before.
func TestPaymentsToAFormerHandle(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	toBob := fields{"to": "@bob", "amount": 5, "currency": "USD"}
	sent := ask{method: "POST", path: "/v1/transfers", token: alice.access, key: uuid.NewString(), body: toBob}
	first := read[openapi.Transfer](h.do(sent).want(201))
	h.post(bob, "/v1/me/handle", fields{"handle": "robert", "password": "wrong " + password}).wantProblem(openapi.InvalidCredentials)
	changed := read[openapi.User](h.post(bob, "/v1/me/handle", fields{"handle": "@Robert", "password": password}).want(200))
	testkit.Equal(t, "handle", changed.Handle, "robert")

	again := h.do(sent).want(201)
	testkit.Equal(t, "the same transfer", read[openapi.Transfer](again).Id, first.Id)
	testkit.Equal(t, "replayed", again.replayed(), true)
	other := sent
	other.body = toBob.with("amount", 6)
	h.do(other).wantProblem(openapi.IdempotencyKeyReused)

	refused := h.post(alice, "/v1/transfers", toBob)
	refused.wantProblem(openapi.PayeeRenamed)
	if !strings.Contains(string(refused.body), "has given it up") || strings.Contains(string(refused.body), "robert") {
		t.Errorf("the refusal is %s; it must say what to do, and not the new handle", refused.body)
	}
	results := h.postBatch(alice, false, fields{"to": "@bob", "amount": 5, "currency": "USD", "idempotency_key": uuid.NewString()},
		fields{"to": "@robert", "amount": 5, "currency": "USD", "idempotency_key": uuid.NewString()})
	testkit.Equal(t, "row to the former handle", results[0].Problem.Code, openapi.PayeeRenamed)
	testkit.Equal(t, "row to the present one", results[1].Problem == nil, true)
	h.wantBalance(alice, 990, 0)

	// The same key for the same transfer under the new name is the transfer of before.
	renamed := sent
	renamed.body = toBob.with("to", "@robert")
	testkit.Equal(t, "under the new name", read[openapi.Transfer](h.do(renamed).want(201)).Id, first.Id)
	h.do(ask{method: "POST", path: "/v1/auth/signup", body: fields{
		"email": "eve@example.com", "handle": "bob", "name": "Eve", "password": password,
	}}).wantProblem(openapi.HandleTaken)
}
