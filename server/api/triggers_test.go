package api_test

import (
	"testing"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
)

// allTriggers accepts every trigger, so that the matrices see the operations of kizod dev. The
// scripts of kizo trigger run against the mock bank.
type allTriggers struct{}

func (*allTriggers) List() []openapi.Trigger {
	return []openapi.Trigger{{Event: "deposit.late", Description: "late"}}
}

func (*allTriggers) Arm(event string, _ money.Amount) bool { return event == "deposit.late" }

func TestTriggers(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	const path = "/v1/dev/triggers"
	arm := func(event string, amount int64, currency string) ask {
		return alice.asks(path, fields{"event": event, "amount": amount, "currency": currency})
	}
	h.do(arm("deposit.late", 5, "USD")).want(204)
	for _, wrong := range []ask{arm("deposit.lost", 5, "USD"), arm("deposit.late", 0, "USD"), arm("deposit.late", money.Max+1, "USD"), arm("deposit.late", 5, "XXX")} {
		if got := h.do(wrong); got.status < 400 || got.status > 499 {
			t.Errorf("%v: %d", wrong.body, got.status)
		}
	}
	// Every server but kizod dev has no mock bank.
	other := newFixture(t, func(o *options) { o.notDev = true })
	bob := other.signUp("bob")
	other.do(bob.asks(path, fields{"event": "deposit.late", "amount": 5, "currency": "USD"})).wantProblem(openapi.NotDev)
	other.get(bob, path).wantProblem(openapi.NotDev)
}
