package api_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// TestUnverifiedAddressIsNotPaid: an e-mail address that is not verified finds no payee, and the
// answer does not show whether a user has it. Handles and wallet ids always find one.
func TestUnverifiedAddressIsNotPaid(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	h.asOwner(`UPDATE users SET email_verified_at = NULL WHERE id = $1`, bob.id)
	h.awaitLease()
	send := func(to string) *answer {
		return h.post(alice, "/v1/transfers", fields{"to": to, "amount": 1, "currency": "USD"})
	}
	unverified, unknown := send("bob@example.com").wantProblem(openapi.PayeeNotFound), send("unknown@example.com").wantProblem(openapi.PayeeNotFound)
	testkit.Equal(t, "detail", unverified.Detail, unknown.Detail)
	h.post(alice, "/v1/transfers", fields{"to": "bob@example.com", "amount": 1, "currency": "USD", "dry_run": true}).wantProblem(openapi.PayeeNotFound)
	h.get(alice, "/v1/transfers?with=bob@example.com").wantProblem(openapi.UserNotFound)
	h.get(alice, "/v1/transfers?with=unknown@example.com").wantProblem(openapi.UserNotFound)
	send("@bob").want(201)
	send(bob.wallet).want(201)

	// Another user signs up with the same address, and the answer does not show that it is taken.
	again := read[openapi.Tokens](h.do(ask{method: "POST", path: "/v1/auth/signup", body: fields{
		"email": "BOB@example.com", "handle": "robert", "name": "Robert", "password": password + " too",
	}}).want(201))
	testkit.Equal(t, "verified", again.User.EmailVerified, false)
	h.verifyEmail(bob)
	h.awaitLease()
	sent := read[openapi.Transfer](send("bob@example.com").want(201))
	testkit.Equal(t, "payee", *sent.To.Handle, "bob")
	testkit.Equal(t, "name in the preview", *read[openapi.TransferPreview](h.post(alice, "/v1/transfers",
		fields{"to": "bob@example.com", "amount": 1, "currency": "USD", "dry_run": true}).want(200)).To.Name, "Name of bob")
}

// awaitLease returns when no process uses cached rows from before.
func (h *fixture) awaitLease() {
	h.t.Helper()
	id := h.signUp("lease_" + uuid.NewString()[:8]).id
	testkit.Must(h.t, h.auth.Suspend(h.t.Context(), id, "test")) // waits until caches have expired
}

// TestLookUpsByAddress: a user who opted out looks like an unknown one, and look-ups are limited.
func TestLookUpsByAddress(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	patched := read[openapi.User](h.do(ask{method: "PATCH", path: "/v1/me", token: bob.access, body: fields{"findable_by_email": false}}).want(200))
	testkit.Equal(t, "findable", patched.FindableByEmail, false)
	testkit.Equal(t, "name", patched.Name, "Name of bob")
	h.do(ask{method: "PATCH", path: "/v1/me", token: bob.access, body: fields{}}).wantProblem(openapi.BodyMalformed)
	look := func(i int) *answer {
		if i%2 == 0 {
			return h.get(alice, fmt.Sprintf("/v1/transfers?with=u%d@example.com", i))
		}
		return h.post(alice, "/v1/transfers", fields{"to": "bob@example.com", "amount": 1, "currency": "USD", "dry_run": true})
	}
	refused := false
	for i := range 30 {
		got := look(i)
		if got.status == 429 {
			refused = true
			got.wantProblem(openapi.TooManyLookups)
			if got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			continue
		}
		testkit.Equal(t, "status", got.status, 404)
	}
	testkit.Equal(t, "refused", refused, true)
	h.post(alice, "/v1/transfers", fields{"to": "@bob", "amount": 1, "currency": "USD"}).want(201)
}
