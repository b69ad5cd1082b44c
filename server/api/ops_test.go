package api_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// fakeOps implements api.Ops and records the calls.
type fakeOps struct {
	mu   sync.Mutex
	done []string
	fail error
}

var _ api.Ops = (*fakeOps)(nil)

func (d *fakeOps) did(format string, args ...any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = append(d.done, fmt.Sprintf(format, args...))
	return d.fail
}

func (d *fakeOps) Queues() ([]openapi.Queue, error) {
	return []openapi.Queue{{Name: "bank"}}, d.did("queues")
}
func (d *fakeOps) PauseQueue(queue string, pause bool) error {
	return d.did("pause %s %v", queue, pause)
}

func (d *fakeOps) Tasks(_ context.Context, queue, state string, limit int, _ api.People) ([]openapi.Task, error) {
	return []openapi.Task{{Id: "t", Queue: queue, State: "pending"}}, d.did("tasks %s %q %d", queue, state, limit)
}

func (d *fakeOps) ActOnTask(queue, task, action string) error {
	return d.did("%s %s %s", action, queue, task)
}

func (d *fakeOps) Payments(_ context.Context, state, cursor string, limit int, _ api.People) (openapi.PaymentList, error) {
	return openapi.PaymentList{Items: []openapi.Payment{payment()}}, d.did("payments %q %q %d", state, cursor, limit)
}

func (d *fakeOps) Payment(context.Context, uuid.UUID, api.People) (openapi.Payment, error) {
	return payment(), d.did("payment")
}

func (d *fakeOps) Resolve(_ context.Context, _ uuid.UUID, outcome string) (openapi.Payment, error) {
	return payment(), d.did("resolve %s", outcome)
}

func (d *fakeOps) Reconcile(context.Context) (openapi.Reconciliation, error) {
	return openapi.Reconciliation{Discrepancies: []openapi.Discrepancy{}}, d.did("reconcile")
}

func (d *fakeOps) Explain(context.Context, ledger.Transfer, func(context.Context, []auth.UserID) (map[auth.UserID]auth.UserRef, error)) (openapi.Timeline, error) {
	return openapi.Timeline{Entries: []openapi.TimelineEntry{}, WaitsFor: "nothing", Next: "nothing", NextActor: openapi.Actor{Role: openapi.ActorRoleNone}}, d.did("explain")
}

func (d *fakeOps) Audit(_ context.Context, mode ledger.AuditMode) (openapi.AuditReport, error) {
	return openapi.AuditReport{Ok: true, Checks: []openapi.AuditCheck{}}, d.did("%s audit", mode)
}

func (d *fakeOps) Snapshot(context.Context) openapi.OpsSnapshot {
	_ = d.did("snapshot")
	return openapi.OpsSnapshot{At: time.Now().UTC()}
}

func (d *fakeOps) History(minutes bool) openapi.OpsHistory {
	_ = d.did("history %v", minutes)
	none := openapi.LatencyHistory{PerSecond: openapi.Figures{}, P50Ms: openapi.Figures{}, P99Ms: openapi.Figures{}}
	return openapi.OpsHistory{At: time.Now().UTC(), Api: none, Commits: none, BatchSize: openapi.Figures{}, Queues: []openapi.QueueHistory{}}
}

func (d *fakeOps) Callback(_ context.Context, signature string, body []byte) error {
	return d.did("callback %s %s", signature, body)
}

func (d *fakeOps) take() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := strings.Join(d.done, "; ")
	d.done = nil
	return all
}

func payment() openapi.Payment {
	at := time.Now().UTC()
	return openapi.Payment{
		TransferId: uuid.New(), Direction: openapi.PaymentDeposit, ExternalRef: "ref", Amount: 1, Currency: "USD",
		State: openapi.PaymentNeedsReview, CreatedAt: at, UpdatedAt: at,
	}
}

// wantActions compares the log of actions, newest first.
func (h *fixture) wantActions(want ...string) {
	h.t.Helper()
	actions, err := h.auth.Actions(h.t.Context(), 100)
	testkit.Must(h.t, err)
	var got []string
	for _, a := range actions {
		if a.Operator == "kizod" { // the grant that made the operator
			continue
		}
		got = append(got, a.Operator+" "+a.Action+" "+a.Subject+": "+a.Reason)
	}
	testkit.Equal(h.t, "actions", strings.Join(got, "\n"), strings.Join(want, "\n"))
}

func (h *fixture) operator() *user {
	h.t.Helper()
	olga := h.signUp("olga")
	h.grant("olga", auth.RoleOperator)
	return olga
}

func TestOperatorsActionsAreRecorded(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	olga := h.operator()
	why := fields{"reason": " the bank asked us to "}
	h.post(olga, "/v1/ops/queues/bank/pause", why).want(204)
	testkit.Equal(t, "done", h.ops.take(), "pause bank true")
	h.post(olga, "/v1/ops/queues/bank/resume", why).want(204)
	h.post(olga, "/v1/ops/queues/bank/tasks/abc:1/retry", why).want(204)
	testkit.Equal(t, "done", h.ops.take(), "pause bank false; retry bank abc:1")
	id := uuid.NewString()
	h.post(olga, "/v1/ops/payments/"+id+"/resolve", fields{"outcome": "ask", "reason": "again"}).want(200)
	testkit.Equal(t, "done", h.ops.take(), "resolve ask")
	h.wantActions(
		"olga payment.resolve.ask "+id+": again", "olga task.retry abc:1: the bank asked us to",
		"olga queue.resume bank: the bank asked us to", "olga queue.pause bank: the bank asked us to")

	// Without a valid reason, no action is carried out.
	for _, reason := range []string{"", "  ", strings.Repeat("x", 501), "bell\a"} {
		h.post(olga, "/v1/ops/queues/bank/pause", fields{"reason": reason}).wantProblem(openapi.ReasonMalformed)
	}
	h.post(olga, "/v1/ops/queues/bank/pause", fields{}).wantProblem(openapi.BodyMalformed)
	h.post(olga, "/v1/ops/queues/bank/tasks/abc:1/eat", why).wantProblem(openapi.ParameterMalformed)
	h.post(olga, "/v1/ops/payments/"+id+"/resolve", fields{"outcome": "maybe", "reason": "x"}).wantProblem(openapi.BodyMalformed)
	testkit.Equal(t, "done", h.ops.take(), "")

	for path, done := range map[string]string{
		"/v1/ops/queues": "queues", "/v1/ops/queues/bank/tasks?state=retry&limit=5": `tasks bank "retry" 5`,
		"/v1/ops/payments?state=needs_review": `payments "needs_review" "" 20`, "/v1/ops/payments/" + id: "payment",
		"/v1/ops/history": "history false", "/v1/ops/history?resolution=second": "history false", "/v1/ops/history?resolution=minute": "history true",
	} {
		h.get(olga, path).want(200)
		testkit.Equal(t, path, h.ops.take(), done)
	}
	h.get(olga, "/v1/ops/payments?state=lost").wantProblem(openapi.ParameterMalformed)
	h.get(olga, "/v1/ops/history?resolution=hour").wantProblem(openapi.ParameterMalformed)
	h.get(olga, "/v1/ops/payments?limit=101").wantProblem(openapi.ParameterMalformed)
	h.post(olga, "/v1/ops/reconcile", nil).want(200)
	h.ops.take()
	for path, done := range map[string]string{
		"/v1/ops/audit": "full audit", "/v1/ops/audit?mode=full": "full audit", "/v1/ops/audit?mode=incremental": "incremental audit",
	} {
		h.post(olga, path, nil).want(200)
		testkit.Equal(t, path, h.ops.take(), done)
	}
	h.post(olga, "/v1/ops/audit?mode=quick", nil).wantProblem(openapi.ParameterMalformed)
	actions := read[openapi.ActionList](h.get(olga, "/v1/ops/actions?limit=2").want(200))
	testkit.Equal(t, "actions", len(actions.Items), 2)
	h.ops.fail = problem.New(problem.Code(openapi.QueueUnavailable), "away")
	h.get(olga, "/v1/ops/queues").wantProblem(openapi.QueueUnavailable)
}

func TestOperatorFreezes(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	olga := h.operator()
	alice, bob := h.pair(1000)
	h.post(olga, "/v1/ops/users/alice/freeze", fields{"reason": "stolen"}).want(204)
	h.post(alice, "/v1/transfers", pay(bob, 1)).wantProblem(openapi.AccountFrozen)
	h.post(olga, "/v1/ops/users/alice/unfreeze", fields{"reason": "found"}).want(204)
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 1)).want(201))
	h.post(olga, "/v1/ops/users/unknown/freeze", fields{"reason": "x"}).wantProblem(openapi.UserNotFound)
	h.wantActions("olga account.unfreeze alice: found", "olga account.freeze alice: stolen")

	// An operator may explain any transfer.
	for _, u := range []*user{alice, bob, olga} {
		timeline := read[openapi.Timeline](h.get(u, "/v1/transfers/"+sent.Id.String()+"/timeline").want(200))
		testkit.Equal(t, "transfer", timeline.Transfer.Id, sent.Id)
	}
}

func TestCallbackIsReadRaw(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	send := func(body string) *answer {
		return h.do(ask{method: "POST", path: "/v1/bank/callbacks", body: body, headers: map[string]string{"Kizo-Bank-Signature": "t=1,v1=x"}})
	}
	send(` {"not": "strict" , "not": 2} `).want(204)
	testkit.Equal(t, "done", h.ops.take(), `callback t=1,v1=x  {"not": "strict" , "not": 2} `)
	send(strings.Repeat("x", api.MaxBody+1)).wantProblem(openapi.BodyTooLarge)
	testkit.Equal(t, "done", h.ops.take(), "")
	h.ops.fail = problem.New(problem.Code(openapi.SignatureInvalid), "no")
	send("{}").wantProblem(openapi.SignatureInvalid)
}
