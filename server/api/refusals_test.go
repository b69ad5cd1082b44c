package api_test

import (
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// TestRefusalsAreSecurityEvents: a missing permission and an invalid token are logged.
func TestRefusalsAreSecurityEvents(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	h.get(alice, "/v1/ops/actions").wantProblem(openapi.Forbidden)
	h.do(ask{method: "GET", path: "/v1/me", token: alice.access + "x"}).wantProblem(openapi.TokenInvalid)
	for event, want := range map[string][]string{
		"forbidden":     {`"user":"alice"`, `"code":"forbidden"`, `"route":"/v1/ops/actions"`, `"address":"127.0.0.1"`},
		"token_refused": {`"code":"token_invalid"`, `"route":"/v1/me"`},
	} {
		line := ""
		for l := range strings.Lines(h.log.String()) {
			if strings.Contains(l, `"event":"`+event+`"`) {
				line = l
			}
		}
		for _, w := range want {
			if !strings.Contains(line, w) {
				t.Errorf("%s: no %s in %q", event, w, line)
			}
		}
	}
}

// TestHistoryOfSignIns: users see their own history, with failures, and not that of others.
func TestHistoryOfSignIns(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.signUp("alice"), h.signUp("bob")
	h.do(ask{method: "POST", path: "/v1/auth/login", body: fields{"login": "alice", "password": "not the one it is"}}).wantProblem(openapi.InvalidCredentials)
	list := read[openapi.SecurityEventList](h.get(alice, "/v1/sessions/history").want(200)).Items
	if len(list) != 2 || list[0].Event != "sign_in_failed" || list[1].Event != "signed_up" || list[1].SessionId == nil ||
		list[0].Address == nil || *list[0].Address != "127.0.0.1" {
		t.Errorf("%+v", list)
	}
	testkit.Equal(t, "bob's events", len(read[openapi.SecurityEventList](h.get(bob, "/v1/sessions/history").want(200)).Items), 1)
	testkit.Equal(t, "limited", len(read[openapi.SecurityEventList](h.get(alice, "/v1/sessions/history?limit=1").want(200)).Items), 1)
	h.get(alice, "/v1/sessions/history?limit=0").wantProblem(openapi.ParameterMalformed)
}
