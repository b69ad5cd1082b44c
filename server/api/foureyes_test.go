package api_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

func (h *fixture) operatorNamed(handle string) *user {
	h.t.Helper()
	u := h.signUp(handle)
	h.grant(handle, auth.RoleOperator)
	return u
}

// enroll gives a user a second factor, and returns a recovery code.
func (h *fixture) enroll(u *user) string {
	h.t.Helper()
	principal, otp := h.newFactor(u)
	codes, err := h.auth.ConfirmSecondFactor(h.t.Context(), principal, otp, auth.Client{})
	testkit.Must(h.t, err)
	h.log.keepOut(codes...)
	return codes[0]
}

// TestOperatorsNeedASecondFactor: without one, an operator is refused at every route of operators,
// with what to do; an API key is no way around it.
func TestOperatorsNeedASecondFactor(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) { o.strict = true })
	olga := h.operator()
	alice, bob := h.pair(1000)
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 1)).want(201)).Id.String()
	script := h.withKey(olga, newKey("ops").with("scopes", []string{"ops:read", "ops:write"}))
	everywhere := func(code openapi.ProblemCode) (refused int) {
		for _, route := range h.routes() {
			row := matrix[route.Method+" "+route.Path]
			if !row.operators {
				continue
			}
			path := strings.NewReplacer(":id", uuid.NewString(), ":queue", "bank", ":task", "x", ":action", "delete", ":login", "alice").Replace(route.Path)
			h.do(ask{method: route.Method, path: path, token: olga.access, body: row.body(h, alice)}).wantProblem(code)
			refused++
		}
		return refused
	}
	refused := everywhere(openapi.SecondFactorRequired)
	answer := h.get(olga, "/v1/ops/actions")
	if !strings.Contains(string(answer.body), "kizo second-factor add") {
		t.Errorf("the refusal %s does not say what to do", answer.body)
	}
	h.get(script, "/v1/ops/actions").wantProblem(openapi.SecondFactorRequired)
	h.get(olga, "/v1/events?ops=true").wantProblem(openapi.SecondFactorRequired)
	h.get(olga, "/v1/transfers/"+sent+"/timeline").wantProblem(openapi.TransferNotFound)
	h.wantActions()

	code := h.enroll(olga)
	h.get(olga, "/v1/ops/actions").want(200)
	h.get(script, "/v1/ops/actions").want(200)
	h.get(olga, "/v1/transfers/"+sent+"/timeline").want(200)
	h.post(olga, "/v1/auth/second-factor/remove", fields{"password": password, "otp": code}).want(204)
	refused += everywhere(openapi.SecondFactorRequired)
	h.get(script, "/v1/ops/actions").wantProblem(openapi.SecondFactorRequired)
	t.Logf("%d requests of an operator without a second factor, before the enrollment and after the removal: all refused", refused+5)
}

// TestFourEyes: an action about more than the limit is carried out by another operator's approval,
// once, and by nothing else.
func TestFourEyes(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) { o.fourEyes = api.FourEyes{"USD": 500} })
	olga, otto, oscar := h.operator(), h.operatorNamed("otto"), h.operatorNamed("oscar")
	alice := h.signUp("alice")
	h.fund(alice, 1000)
	deposit := func(amount int) string {
		return read[openapi.Transfer](h.post(alice, "/v1/deposits", fields{"amount": amount, "currency": "USD"}).want(202)).Id.String()
	}
	executed := fields{"outcome": "executed", "reason": "by phone"}
	small, large := deposit(500), deposit(501)
	h.post(olga, "/v1/ops/payments/"+small+"/resolve", executed).want(200)
	h.post(olga, "/v1/ops/payments/"+large+"/resolve", executed.with("outcome", "ask")).want(200)
	h.ops.take()

	ask := func(u *user, path string, body fields) string {
		t.Helper()
		refused := h.post(u, path, body)
		refused.wantProblem(openapi.ApprovalRequired)
		detail := read[openapi.Problem](refused).Detail
		return detail[strings.LastIndexByte(detail, ' ')+1:]
	}
	id := ask(olga, "/v1/ops/payments/"+large+"/resolve", executed)
	testkit.Equal(t, "the same request again", ask(otto, "/v1/ops/payments/"+large+"/resolve", executed), id)
	testkit.Equal(t, "another outcome is another request", ask(olga, "/v1/ops/payments/"+large+"/resolve", executed.with("outcome", "rejected")) != id, true)
	h.post(olga, "/v1/ops/approvals/"+id+"/approve", reason).wantProblem(openapi.OwnRequest)
	h.post(alice, "/v1/ops/approvals/"+id+"/approve", reason).wantProblem(openapi.Forbidden)
	h.post(otto, "/v1/ops/approvals/"+uuid.NewString()+"/approve", reason).wantProblem(openapi.ApprovalNotFound)
	h.post(h.withKey(otto, newKey("ops").with("scopes", []string{"ops:write"})), "/v1/ops/approvals/"+id+"/approve", reason).wantProblem(openapi.SessionRequired)
	testkit.Equal(t, "nothing was done", h.ops.take(), "")

	done := read[openapi.Approval](h.post(otto, "/v1/ops/approvals/"+id+"/approve", reason).want(200))
	testkit.Equal(t, "done", done.DoneAt != nil && *done.DecidedBy == "otto" && done.State == "approved", true)
	testkit.Equal(t, "carried out", h.ops.take(), "resolve executed")
	for _, u := range []*user{otto, oscar} {
		h.post(u, "/v1/ops/approvals/"+id+"/approve", reason).wantProblem(openapi.ApprovalDecided)
		h.post(u, "/v1/ops/approvals/"+id+"/reject", reason).wantProblem(openapi.ApprovalDecided)
	}

	// A user with more than the limit is released by two operators.
	testkit.Must(t, h.ledger.SetStatus(t.Context(), alice.id, ledger.Frozen))
	id = ask(olga, "/v1/ops/users/alice/unfreeze", reason)
	h.post(alice, "/v1/deposits", fields{"amount": 1, "currency": "USD"}).wantProblem(openapi.AccountFrozen)
	h.post(otto, "/v1/ops/approvals/"+id+"/approve", reason).want(200)
	h.post(alice, "/v1/deposits", fields{"amount": 1, "currency": "USD"}).want(202)
	id = ask(olga, "/v1/ops/users/alice/reinstate", reason)
	h.post(otto, "/v1/ops/approvals/"+id+"/reject", reason).want(200)
	h.post(oscar, "/v1/ops/approvals/"+id+"/approve", reason).wantProblem(openapi.ApprovalDecided)

	// One that is too old is void, and makes way for another one.
	id = ask(olga, "/v1/ops/users/alice/unfreeze", reason)
	h.asOwner(`UPDATE operator_approvals SET requested_at = requested_at - interval '1 day', expires_at = expires_at - interval '1 day' WHERE id = $1`, id)
	h.post(otto, "/v1/ops/approvals/"+id+"/approve", reason).wantProblem(openapi.ApprovalDecided)
	testkit.Equal(t, "a new request", ask(olga, "/v1/ops/users/alice/unfreeze", reason) != id, true)
	h.ops.take()
}

// TestApprovalRace: of operators who decide about one action at the same moment, one succeeds, and
// the action is carried out at most once.
func TestApprovalRace(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) { o.fourEyes = api.FourEyes{} })
	olga, otto, oscar := h.operator(), h.operatorNamed("otto"), h.operatorNamed("oscar")
	alice := h.signUp("alice")
	const rounds, each = 10, 5
	succeeded, refused, carriedOut := 0, 0, 0
	for range rounds {
		id := read[openapi.Transfer](h.post(alice, "/v1/deposits", fields{"amount": 1, "currency": "USD"}).want(202)).Id.String()
		asked := h.post(olga, "/v1/ops/payments/"+id+"/resolve", fields{"outcome": "executed", "reason": "race"})
		asked.wantProblem(openapi.ApprovalRequired)
		detail := read[openapi.Problem](asked).Detail
		path := "/v1/ops/approvals/" + detail[strings.LastIndexByte(detail, ' ')+1:]
		for _, got := range h.atOnce(3*each, func(i int) ask {
			who, verb := []*user{otto, oscar, otto}[i%3], []string{"/approve", "/approve", "/reject"}[i%3]
			return ask{method: "POST", path: path + verb, token: who.access, body: reason}
		}) {
			if got.status == 200 {
				succeeded++
			} else {
				got.wantProblem(openapi.ApprovalDecided)
				refused++
			}
		}
		if done := h.ops.take(); done == "resolve executed" {
			carriedOut++
		} else if done != "" {
			t.Errorf("carried out: %s", done)
		}
	}
	testkit.Equal(t, "decisions", succeeded, rounds)
	t.Logf("%d decisions about %d actions at the same moment: %d succeeded, %d refused, %d actions carried out", rounds*3*each, rounds, succeeded, refused, carriedOut)
}

// TestViewsAreRecorded: each kind of data of a user that an operator looks at is recorded once an
// hour, for the user too, however many looks come at the same moment.
func TestViewsAreRecorded(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	olga := h.operator()
	alice, bob := h.pair(1000)
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 1)).want(201)).Id.String()
	var all sync.WaitGroup
	looks := 0
	for _, path := range []string{
		"/v1/ops/users/alice/limits", "/v1/ops/users/@alice/keys", "/v1/ops/users/alice@example.com/keys", "/v1/transfers/" + sent + "/timeline",
		"/v1/ops/payments/" + sent, "/v1/ops/payments", "/v1/ops/users/olga/keys",
	} {
		for range 10 {
			looks++
			all.Go(func() {
				if got, err := h.try(t.Context(), ask{method: "GET", path: path, token: olga.access}); err != nil || got.status >= 500 {
					t.Errorf("%s: %v %v", path, got, err)
				}
			})
		}
	}
	all.Wait()
	actions, err := h.auth.Actions(t.Context(), 100)
	testkit.Must(t, err)
	views := map[string]int{}
	for _, a := range actions {
		if strings.HasPrefix(a.Action, "view.") {
			views[a.Action+" "+a.Subject]++
		}
	}
	want := []string{"view.limits alice", "view.keys alice", "view.transfer alice", "view.transfer bob", "view.payment alice", "view.payment bob", "view.payments many users"}
	if len(views) > len(want) {
		t.Errorf("recorded %v", views)
	}
	for _, name := range want[:4] {
		testkit.Equal(t, name, views[name], 1)
	}
	testkit.Equal(t, want[6], views[want[6]], 1)
	events, err := h.auth.History(t.Context(), alice.id, 50)
	testkit.Must(t, err)
	seen := 0
	for _, e := range events {
		if e.Event == auth.EventViewedByOperator {
			seen++
		}
	}
	testkit.Equal(t, "events of alice", seen >= 3 && seen <= 4, true)
	t.Logf("%d looks: %d recorded, %d events for alice", looks, len(views), seen)
}
