package api_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
)

// endStepUps ends the step-ups of all sessions, and waits until the server knows that of u.
func (h *fixture) endStepUps(u *user) {
	h.t.Helper()
	h.asOwner(`UPDATE sessions SET stepped_up_at = now() - interval '1 hour' WHERE stepped_up_at IS NOT NULL`)
	deadline := time.Now().Add(20 * time.Second)
	for {
		principal, err := h.auth.Verify(h.t.Context(), u.access)
		testkit.Must(h.t, err)
		if principal.NeedsStepUp() {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatal("the session still has its step-up")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (h *fixture) put(u *user, path string, body any) *answer {
	h.t.Helper()
	return h.do(ask{method: "PUT", path: path, token: u.access, body: body})
}

// stepUp answers step_up_required with a code.
func (h *fixture) stepUp(u *user, code string) *answer {
	h.t.Helper()
	return h.post(u, "/v1/auth/step-up", fields{"otp": code})
}

// TestStepUpOfRoutes: the routes whose row says so need a step-up, and no other route does. Those
// that are refused have done nothing.
func TestStepUpOfRoutes(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	olga := h.operator()
	h.signUp("peer")
	h.fund(alice, 1000)
	h.confirmedFactor(alice)
	h.confirmedFactor(olga)
	h.put(alice, "/v1/auth/step-up/USD", fields{"amount": 0}).want(200)
	h.put(alice, "/v1/limits/USD", fields{"max_per_day": 500}).want(200)
	h.endStepUps(alice)
	h.endStepUps(olga)
	before := h.rows()
	bodies := map[string]any{ // where that of the other matrix would not be above or higher
		"PUT /v1/limits/:currency":       fields{"max_per_day": 501},
		"PUT /v1/auth/step-up/:currency": fields{"amount": 1},

		"POST /v1/auth/second-factor/remove": fields{"password": password, "otp": ""},
	}
	asked := map[string]bool{}
	for name := range stateRows {
		method, route, _ := strings.Cut(name, " ")
		// A log-out would end the session, and a freeze the other refusals.
		if name == "POST /v1/auth/logout" || name == "POST /v1/me/freeze" || name == "GET /v1/events" {
			continue
		}
		caller := alice
		if strings.Contains(name, "/v1/ops/") {
			caller = olga
		}
		body := stateRows[name].body
		if other, ok := bodies[name]; ok {
			body = other
		}
		path := strings.NewReplacer(":id", uuid.NewString(), ":currency", "USD", ":month", "2026-01",
			":queue", "bank", ":task", "x", ":action", "delete", ":login", "alice").Replace(route)
		answer := h.do(ask{method: method, path: path, token: caller.access, key: uuid.NewString(), body: body})
		if strings.Contains(string(answer.body), `"step_up_required"`) {
			problem := answer.wantProblem(openapi.StepUpRequired)
			testkit.Contains(t, problem.Detail, "POST /v1/auth/step-up")
			asked[name] = true
		}
	}
	testkit.Equal(t, "routes", strings.Join(slices.Sorted(maps.Keys(asked)), ", "), strings.Join(api.RoutesWithStepUp(), ", "))
	after := h.rows()
	before[0], before[1], before[2], before[3], before[4], before[6] = after[0], after[1], after[2], after[3], after[4], after[6] // the deposit and the wallet of the other rows
	testkit.Equal(t, "money", after, before)
	if done := h.ops.take(); strings.Contains(done, "pause") || strings.Contains(done, "resolve") || strings.Contains(done, "delete bank") {
		t.Errorf("operators did %s", done)
	}
	t.Logf("%d routes need a step-up", len(asked))
}

// TestStepUpBeforeMoneyMoves: also for a client that does not know step-ups. Nothing is stored
// under the key, which works after the step-up; and a replay needs none.
func TestStepUpBeforeMoneyMoves(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(10_000)
	carol := h.signUp("carol")
	_, codes := h.confirmedFactor(alice)
	h.put(alice, "/v1/auth/step-up/USD", fields{"amount": 100}).want(200)
	h.endStepUps(alice)
	type call struct {
		path string
		body fields
	}
	calls := map[string]call{
		"transfer":      {"/v1/transfers", pay(bob, 101)},
		"authorization": {"/v1/transfers", pay(bob, 101).with("authorize", true)},
		"withdrawal":    {"/v1/withdrawals", fields{"amount": 1, "currency": "USD"}},
	}
	success := map[string]int{"transfer": 201, "authorization": 201, "withdrawal": 202}
	send := func(name string) *answer {
		h.t.Helper()
		return h.do(ask{method: "POST", path: calls[name].path, token: alice.access, key: name, body: calls[name].body})
	}
	below := batchRow(bob, 5)
	batches := map[string]fields{}
	for _, atomic := range []bool{false, true} {
		batches[fmt.Sprintf("batch, atomic %t", atomic)] = fields{"atomic": atomic, "transfers": []fields{batchRow(bob, 5), batchRow(bob, 101)}}
	}
	before := h.rows()
	refused := 0
	for name := range calls {
		send(name).wantProblem(openapi.StepUpRequired)
		refused++
	}
	for _, body := range batches {
		h.post(alice, "/v1/transfers/batch", body).wantProblem(openapi.StepUpRequired)
		refused++
	}
	h.wantUntouched("a client without step-ups", before)
	t.Logf("requests of a client that does not know step-ups: %d, refused %d, transfers 0", refused, refused)
	h.do(ask{method: "POST", path: "/v1/transfers", token: alice.access, key: "at", body: pay(bob, 100)}).want(201)
	h.post(alice, "/v1/transfers/batch", fields{"transfers": []fields{below}}).want(200)
	h.post(alice, "/v1/deposits", fields{"amount": 5000, "currency": "USD"}).want(202)
	h.do(ask{method: "POST", path: "/v1/transfers", token: alice.access, key: "dry", body: pay(bob, 101).with("dry_run", true)}).want(200)

	h.stepUp(alice, "000000").wantProblem(openapi.OtpInvalid)
	done := read[openapi.StepUpDone](h.stepUp(alice, codes[0]).want(200))
	status := read[openapi.StepUpStatus](h.get(alice, "/v1/auth/step-up").want(200))
	testkit.Equal(t, "until", *status.ValidUntil, done.ValidUntil)
	h.stepUp(alice, codes[0]).wantProblem(openapi.OtpInvalid)
	first := map[string]string{}
	for name := range calls {
		first[name] = read[openapi.Transfer](send(name).want(success[name])).Id.String()
	}
	for _, body := range batches {
		wantAllPosted(t, h.post(alice, "/v1/transfers/batch", body), false)
	}
	h.endStepUps(alice)
	before = h.rows()
	for name := range calls {
		again := send(name)
		testkit.Equal(t, name+" is a replay", again.replayed(), true)
		testkit.Equal(t, name, read[openapi.Transfer](again.want(success[name])).Id.String(), first[name])
	}
	for _, body := range batches {
		wantAllPosted(t, h.post(alice, "/v1/transfers/batch", body), true)
	}
	// A used key opens nothing else.
	h.do(ask{method: "POST", path: "/v1/transfers", token: alice.access, key: "transfer", body: pay(bob, 999)}).wantProblem(openapi.IdempotencyKeyReused)
	h.do(ask{method: "POST", path: "/v1/transfers", token: alice.access, key: "transfer", body: pay(carol, 101)}).wantProblem(openapi.IdempotencyKeyReused)
	h.do(ask{method: "POST", path: "/v1/withdrawals", token: alice.access, key: "transfer", body: fields{"amount": 101, "currency": "USD"}}).wantProblem(openapi.IdempotencyKeyReused)
	h.do(ask{method: "POST", path: "/v1/transfers", token: alice.access, key: "transfer", body: pay(&user{handle: "unknown"}, 999)}).wantProblem(openapi.IdempotencyKeyReused)
	h.do(ask{method: "POST", path: "/v1/transfers", token: alice.access, key: "another", body: pay(bob, 101)}).wantProblem(openapi.StepUpRequired)
	h.wantUntouched("replays", before)
}

func wantAllPosted(t *testing.T, a *answer, replayed bool) {
	t.Helper()
	for _, one := range read[openapi.TransferBatchResult](a.want(200)).Results {
		testkit.Equal(t, "status", one.Status, 201)
		testkit.Equal(t, "replayed", one.Replayed, replayed)
	}
}

// TestKeysNeedNoStepUp: an API key is never asked, and cannot step up.
func TestKeysNeedNoStepUp(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(10_000)
	h.confirmedFactor(alice)
	h.put(alice, "/v1/auth/step-up/USD", fields{"amount": 0}).want(200)
	script := h.withKey(alice, newKey("k", "transfers:write", "bank:write"))
	h.endStepUps(alice)
	h.post(script, "/v1/transfers", pay(bob, 1)).want(201)
	h.post(script, "/v1/withdrawals", fields{"amount": 1, "currency": "USD"}).want(202)
	h.stepUp(script, "000000").wantProblem(openapi.SessionRequired)
	h.put(script, "/v1/limits/USD", fields{"max_per_day": 1}).wantProblem(openapi.SessionRequired)
	h.put(script, "/v1/auth/step-up/USD", fields{"amount": 1}).wantProblem(openapi.SessionRequired)
}

// TestStepUpCanBeACodeInTheBody: of a change that takes a password, and it is for that change only.
func TestStepUpCanBeACodeInTheBody(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	_, codes := h.confirmedFactor(alice)
	h.endStepUps(alice)
	h.post(alice, "/v1/auth/keys", newKey("a")).wantProblem(openapi.StepUpRequired)
	h.post(alice, "/v1/auth/keys", newKey("a").with("otp", "000000")).wantProblem(openapi.OtpInvalid)
	h.createKey(alice, newKey("a").with("otp", codes[0]))
	h.post(alice, "/v1/auth/keys", newKey("b")).wantProblem(openapi.StepUpRequired)
	h.stepUp(alice, codes[1]).want(200)
	h.createKey(alice, newKey("b"))
	renewed := read[openapi.RecoveryCodes](h.post(alice, "/v1/auth/second-factor/recovery-codes", fields{"password": password}).want(200)).RecoveryCodes
	h.log.keepOut(renewed...)
	h.post(alice, "/v1/auth/password", fields{"current_password": password, "new_password": password + " 2"}).want(200)
	h.post(alice, "/v1/auth/keys", newKey("c").with("password", password+" 2")).wantProblem(openapi.StepUpRequired)
	h.post(alice, "/v1/auth/second-factor/remove", fields{"password": password + " 2", "otp": codes[2]}).wantProblem(openapi.OtpInvalid)
	h.post(alice, "/v1/auth/second-factor/remove", fields{"password": password + " 2", "otp": renewed[0]}).want(204)
	h.createKey(alice, newKey("c").with("password", password+" 2"))
}

// TestNoTransferPassesALoweredThreshold: of transfers in many connections, none that begins after
// the answer to the change is posted above the threshold.
func TestNoTransferPassesALoweredThreshold(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1_000_000)
	h.confirmedFactor(alice)
	h.endStepUps(alice)
	var (
		set, stop                atomic.Bool
		posted, refused, crossed atomic.Int64
		senders                  sync.WaitGroup
	)
	for range 8 {
		senders.Go(func() {
			for !stop.Load() {
				after := set.Load()
				a := h.post(alice, "/v1/transfers", pay(bob, 101))
				switch {
				case a.status == 403:
					refused.Add(1)
				case a.status == 201 && after:
					crossed.Add(1)
				case a.status == 201:
					posted.Add(1)
				default:
					t.Errorf("status %d: %s", a.status, a.body)
				}
			}
		})
	}
	deadline := time.Now().Add(time.Minute)
	reach := func(n *atomic.Int64) {
		for n.Load() < 20 && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
	}
	reach(&posted)
	h.put(alice, "/v1/auth/step-up/USD", fields{"amount": 100}).want(200)
	set.Store(true)
	reach(&refused)
	stop.Store(true)
	senders.Wait()
	t.Logf("above the threshold: %d posted before the change was answered, %d refused, %d posted after", posted.Load(), refused.Load(), crossed.Load())
	testkit.Equal(t, "posted after", crossed.Load(), 0)
	if posted.Load() < 20 || refused.Load() < 20 {
		t.Error("too few transfers before or after the change")
	}
}
