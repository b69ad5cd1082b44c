package api_test

import (
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
)

// TestUsersLiftTheirOwnFreeze: with a second factor and a step-up, and never a freeze of an
// operator, in whatever order the two came.
func TestUsersLiftTheirOwnFreeze(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	olga, alice, bob := h.operator(), h.signUp("alice"), h.signUp("bob")
	h.fund(alice, 1000)
	frozen := func(want bool) {
		t.Helper()
		got := h.post(alice, "/v1/transfers", pay(bob, 1))
		if want {
			got.wantProblem(openapi.AccountFrozen)
		} else {
			got.want(201)
		}
	}
	h.post(alice, "/v1/me/freeze", nil).want(204)
	frozen(true)
	h.post(alice, "/v1/me/unfreeze", nil).wantProblem(openapi.SecondFactorMissing)
	frozen(true)

	h.confirmedFactor(alice) // which is a step-up; TestStepUpOfRoutes asks without one
	h.post(alice, "/v1/me/unfreeze", nil).want(204)
	frozen(false)
	h.post(alice, "/v1/me/unfreeze", nil).want(204) // it is not frozen

	byOperator := func(action string) { h.post(olga, "/v1/ops/users/alice/"+action, fields{"reason": "stolen"}).want(204) }
	own := func() { h.post(alice, "/v1/me/freeze", nil).want(204) }
	for name, freezes := range map[string][]func(){
		"by the operator":           {func() { byOperator("freeze") }},
		"then by the user":          {func() { byOperator("freeze") }, own},
		"by the user, then so":      {own, func() { byOperator("freeze") }},
		"by the user, lifted, then": {own, func() { byOperator("unfreeze") }, func() { byOperator("freeze") }},
	} {
		for _, freeze := range freezes {
			freeze()
		}
		if got := h.post(alice, "/v1/me/unfreeze", nil); got.status == 204 {
			t.Errorf("%s: the user lifted the freeze of an operator", name)
		}
		frozen(true)
		byOperator("unfreeze")
	}
	frozen(false)

	history, err := h.auth.History(t.Context(), alice.id, 50)
	testkit.Must(t, err)
	lifted := 0
	for _, e := range history {
		if e.Event == auth.EventUnfrozen && e.Detail == "" {
			lifted++
		}
	}
	testkit.Equal(t, "own unfreezes in the history", lifted, 1)
}
