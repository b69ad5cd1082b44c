package api_test

import (
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
)

// TestStaffIsMarked: operators are marked wherever other users see them, and users are not.
func TestStaffIsMarked(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, olga := h.signUp("alice"), h.signUp("olga")
	h.grant("olga", auth.RoleOperator)
	marked := func(what string, staff *bool, want bool) {
		t.Helper()
		testkit.Equal(t, what, staff != nil && *staff, want)
	}
	for _, person := range read[openapi.PersonList](h.get(alice, "/v1/users?q=olga").want(200)).Items {
		marked("search", person.Staff, true)
	}
	h.fund(alice, 100_00)
	preview := read[openapi.TransferPreview](h.post(alice, "/v1/transfers", map[string]any{
		"to": "@" + olga.handle, "amount": 100, "currency": "USD", "dry_run": true,
	}).want(200))
	marked("payee of a preview", preview.To.Staff, true)
	marked("payer of a preview", preview.From.Staff, false)
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", map[string]any{"to": "@" + olga.handle, "amount": 100, "currency": "USD"}).want(201))
	marked("payee", sent.To.Staff, true)
	marked("payer", sent.From.Staff, false)
}

// TestReservedIsRefused: a reserved handle or name is rejected with the name of the field.
func TestReservedIsRefused(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	refused := func(a *answer, code openapi.ProblemCode, field string) {
		t.Helper()
		p := a.wantProblem(code)
		if p.Field == nil || *p.Field != field {
			t.Errorf("%s: field %v", code, p.Field)
		}
	}
	body := map[string]any{"email": "b@example.com", "handle": "k1zo_support", "name": "Bob", "password": password}
	refused(h.post(&user{}, "/v1/auth/signup", body), openapi.HandleReserved, "handle")
	body["handle"], body["name"] = "bob", "Кizo Ѕupport"
	refused(h.post(&user{}, "/v1/auth/signup", body), openapi.NameReserved, "name")
	body["name"], body["password"] = "Bob", "Password12"
	refused(h.post(&user{}, "/v1/auth/signup", body), openapi.PasswordTooCommon, "password")
	refused(h.do(ask{method: "PATCH", path: "/v1/me", token: alice.access, body: map[string]any{"name": "Support"}}), openapi.NameReserved, "name")
}
