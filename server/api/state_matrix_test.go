package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// stateRow says how a user calls a route for an object of their own, and which code a frozen user
// receives; an empty code means that the request of a frozen user succeeds.
type stateRow struct {
	body   any
	own    func(h *fixture, me, peer *user) (path string) // nil: the route as it is
	frozen openapi.ProblemCode
}

// states has a row for each route that needs a token; a route without one fails the test.
// docs/operations.md, "Users and operators", says the same in words.
var stateRows = map[string]stateRow{
	"POST /v1/auth/logout":                       {},
	"POST /v1/auth/password":                     {body: fields{"current_password": password, "new_password": password + " 2"}},
	"GET /v1/auth/keys":                          {},
	"POST /v1/auth/email":                        {body: fields{"email": "new@example.com", "password": password}},
	"POST /v1/auth/email/code":                   {},
	"POST /v1/auth/email/confirm":                {body: fields{"code": "00000000"}}, // a right code in a success
	"GET /v1/auth/second-factor":                 {},
	"POST /v1/auth/device/find":                  {body: fields{"user_code": "AAAA-AAAA"}}, // a right code in a success
	"POST /v1/auth/device/approve":               {body: fields{"id": uuid.NewString(), "user_code": "AAAA-AAAA"}},
	"POST /v1/auth/device/deny":                  {body: fields{"id": uuid.NewString(), "user_code": "AAAA-AAAA"}},
	"POST /v1/auth/second-factor":                {body: fields{"password": password}},
	"POST /v1/auth/second-factor/confirm":        {body: fields{"otp": "000000"}}, // a right code in a success
	"POST /v1/auth/second-factor/remove":         {body: fields{"password": password, "otp": "000000"}},
	"POST /v1/auth/second-factor/recovery-codes": {body: fields{"password": password}},
	"GET /v1/auth/step-up":                       {},
	"POST /v1/auth/step-up":                      {body: fields{"otp": "000000"}},
	"PUT /v1/auth/step-up/:currency":             {body: fields{"amount": 5}},
	"DELETE /v1/auth/step-up/:currency":          {},
	"POST /v1/auth/keys":                         {body: newKey("matrix")},
	"DELETE /v1/auth/keys/:id":                   {own: ownKey},
	"POST /v1/auth/keys/:id/rotate":              {body: fields{"password": password}, own: ownKey},
	"GET /v1/me":                                 {},
	"PATCH /v1/me":                               {body: fields{"name": "New Name"}},
	"POST /v1/me/handle":                         {body: fields{"handle": "other", "password": password}},
	"POST /v1/me/export":                         {body: fields{}},
	"POST /v1/me/close":                          {body: fields{"password": password}, frozen: openapi.AccountFrozen},
	"POST /v1/me/freeze":                         {},
	"POST /v1/me/unfreeze":                       {frozen: openapi.SecondFactorMissing}, // whom an operator has frozen: TestUsersLiftTheirOwnFreeze
	"POST /v1/sessions/end-others":               {},
	"GET /v1/sessions":                           {},
	"GET /v1/sessions/history":                   {},
	"DELETE /v1/sessions/:id": {own: func(h *fixture, me, _ *user) string {
		tokens, _, err := h.auth.LogIn(h.t.Context(), me.handle, password, "", auth.Client{})
		testkit.Must(h.t, err)
		h.log.keepOut(tokens.AccessToken, tokens.RefreshToken)
		return "/v1/sessions/" + tokens.SessionID.String()
	}},
	"GET /v1/notices":                             {},
	"POST /v1/notices/read":                       {body: fields{"ids": []int64{1}}},
	"GET /v1/users":                               {own: func(*fixture, *user, *user) string { return "/v1/users?q=a" }},
	"POST /v1/payees/lookup":                      {body: fields{"currency": "USD", "payees": []string{"@peer"}}},
	"GET /v1/wallets":                             {},
	"GET /v1/summary":                             {},
	"GET /v1/events":                              {},
	"POST /v1/wallets":                            {body: fields{"currency": "EUR"}}, // opens a frozen one
	"GET /v1/wallets/:currency/balance":           {},
	"GET /v1/wallets/:currency/statements/:month": {own: func(*fixture, *user, *user) string { return "/v1/wallets/USD/statements/2026-01" }},
	"GET /v1/transfers":                           {},
	"GET /v1/transfers/:id":                       {own: paid},
	"GET /v1/transfers/:id/timeline":              {own: paid},
	"GET /v1/limits":                              {},
	"PUT /v1/limits/:currency":                    {body: fields{"max_per_day": 5}},
	"DELETE /v1/limits/:currency":                 {},

	// New money does not move. What was held before may still be captured or released.
	"POST /v1/transfers":             {body: fields{"to": "@peer", "amount": 1, "currency": "USD"}, frozen: openapi.AccountFrozen},
	"POST /v1/transfers/batch":       {body: fields{"transfers": []fields{batchRow(&user{handle: "peer"}, 1)}}}, // account_frozen is in the result
	"GET /v1/dev/triggers":           {},
	"POST /v1/dev/triggers":          {body: fields{"event": "deposit.late", "amount": 1, "currency": "USD"}},
	"POST /v1/deposits":              {body: fields{"amount": 1, "currency": "USD"}, frozen: openapi.AccountFrozen},
	"POST /v1/withdrawals":           {body: fields{"amount": 1, "currency": "USD"}, frozen: openapi.AccountFrozen},
	"POST /v1/transfers/:id/reverse": {body: fields{}, own: received(false), frozen: openapi.AccountFrozen},
	"POST /v1/transfers/:id/capture": {body: fields{}, own: received(true)},
	"POST /v1/transfers/:id/void":    {own: received(true)},

	// A frozen operator may still act as operator.
	"GET /v1/ops/queues":                             {},
	"POST /v1/ops/queues/:queue/pause":               {body: reason},
	"POST /v1/ops/queues/:queue/resume":              {body: reason},
	"GET /v1/ops/queues/:queue/tasks":                {},
	"POST /v1/ops/queues/:queue/tasks/:task/:action": {body: reason},
	"GET /v1/ops/payments":                           {},
	"GET /v1/ops/payments/:id":                       {},
	"POST /v1/ops/payments/:id/resolve":              {body: reason.with("outcome", "ask")},
	"POST /v1/ops/users/:login/freeze":               {body: reason},
	"POST /v1/ops/users/:login/unfreeze":             {body: reason},
	"POST /v1/ops/users/:login/suspend":              {body: reason},
	"POST /v1/ops/users/:login/reinstate":            {body: reason},
	"POST /v1/ops/users/:login/end-sessions":         {body: reason},
	"GET /v1/ops/users/:login":                       {},
	"GET /v1/ops/users/:login/limits":                {},
	"GET /v1/ops/users/:login/keys":                  {},
	"POST /v1/ops/users/:login/revoke-keys":          {body: reason},
	"POST /v1/ops/reconcile":                         {},
	"POST /v1/ops/audit":                             {},
	"GET /v1/ops/history":                            {},
	"GET /v1/ops/approvals":                          {},
	"POST /v1/ops/approvals/:id/approve":             {body: reason, own: requested},
	"POST /v1/ops/approvals/:id/reject":              {body: reason, own: requested},
	"GET /v1/ops/actions":                            {},
}

var reason = fields{"reason": "matrix"}

// paid returns the path with the id of a transfer that the user has sent.
func paid(h *fixture, me, peer *user) string {
	h.t.Helper()
	return read[openapi.Transfer](h.post(me, "/v1/transfers", pay(peer, 1)).want(201)).Id.String()
}

// requested returns the id of an action that another operator asks for.
func requested(h *fixture, _, peer *user) string {
	h.t.Helper()
	id, err := h.auth.RequestApproval(h.t.Context(), peer.id, auth.NewApproval{Action: "account.unfreeze", Subject: peer.id.String(), About: "x", Reason: "matrix"})
	testkit.Must(h.t, err)
	return id.String()
}

// received returns the path with the id of a transfer or an authorization to the user.
func received(authorize bool) func(*fixture, *user, *user) string {
	return func(h *fixture, me, peer *user) string {
		h.t.Helper()
		return read[openapi.Transfer](h.post(peer, "/v1/transfers", pay(me, 1).with("authorize", authorize)).want(201)).Id.String()
	}
}

// TestStateMatrix sends one request for each route, role and state.
func TestStateMatrix(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	peer, target := h.signUp("peer"), h.signUp("target")
	h.fund(peer, 1000)
	actors := map[string]*user{} // by role and state
	for _, role := range []string{"user", "operator"} {
		for _, state := range []string{"active", "frozen", "suspended"} {
			u := h.signUp(role[:2] + state)
			h.fund(u, 1000)
			actors[role+" "+state] = u
			if role == "operator" {
				h.grant(u.handle, auth.RoleOperator)
			}
			if state == "suspended" {
				testkit.Must(t, h.auth.Suspend(t.Context(), u.id, "matrix"))
			}
		}
	}
	routes, cells, counts := map[string]bool{}, 0, map[string]int{}
	for _, route := range h.routes() {
		name := route.Method + " " + route.Path
		if matrix[name].public {
			continue
		}
		routes[name] = true
		if _, ok := stateRows[name]; !ok {
			t.Errorf("%s has no row in the table of states: what may a frozen user do there?", name)
			continue
		}
		h.stateCell(name, "anonymous", &user{}, peer, target)
		cells, counts["anonymous"] = cells+1, counts["anonymous"]+1
		for actor, me := range actors {
			h.stateCell(name, actor, me, peer, target)
			cells, counts[actor] = cells+1, counts[actor]+1
			if matrix[name].other != nil {
				h.othersCell(name, actor, me, peer)
				cells, counts["other "+actor] = cells+1, counts["other "+actor]+1
			}
		}
	}
	wantSame(t, "rows and routes", stateRows, routes)
	t.Logf("%d routes, %d cells of route × role × state: %v", len(routes), cells, counts)
	h.wantStatesOfSignIn(actors)
}

func (h *fixture) stateCell(name, actor string, me, peer, target *user) {
	h.t.Helper()
	row := stateRows[name]
	method, route, _ := strings.Cut(name, " ")
	request := ask{method: method, token: me.access, key: uuid.NewString(), body: row.body}
	id, state := uuid.NewString(), actor[strings.Index(actor, " ")+1:]
	if row.own != nil && (state == "active" || state == "frozen") {
		testkit.Must(h.t, h.ledger.SetStatus(h.t.Context(), me.id, ledger.Active))
		id = row.own(h, me, peer)
	}
	if state == "frozen" {
		testkit.Must(h.t, h.ledger.SetStatus(h.t.Context(), me.id, ledger.Frozen))
	}
	if strings.HasPrefix(id, "/") {
		request.path = id
	} else {
		request.path = strings.NewReplacer(":id", id, ":currency", "USD", ":queue", "bank", ":task", "x", ":action", "delete",
			":login", target.handle).Replace(route)
	}
	want := stateCode(name, actor)
	if want != "" {
		h.do(request).wantProblem(want)
		return
	}
	switch name {
	case "GET /v1/events":
		h.listen(me, "", "").live()
		return
	case "POST /v1/auth/logout": // of a session of its own, because the next cells need this one
		tokens, _, err := h.auth.LogIn(h.t.Context(), me.handle, password, "", auth.Client{})
		testkit.Must(h.t, err)
		h.log.keepOut(tokens.AccessToken, tokens.RefreshToken)
		request.token = tokens.AccessToken
	case "POST /v1/auth/device/find":
		request.body = fields{"user_code": h.beginDevice().UserCode}
	case "POST /v1/auth/device/approve", "POST /v1/auth/device/deny":
		request.body = waitingDevice(h, me)
	case "POST /v1/auth/email", "POST /v1/auth/email/code": // a user gets few codes in an hour
		defer h.forgetCodes(me)
	case "POST /v1/auth/email/confirm":
		request.body = fields{"code": h.emailCode(me)}
		defer h.forgetCodes(me)
	case "POST /v1/auth/second-factor/confirm":
		principal, otp := h.newFactor(me)
		request.body = fields{"otp": otp}
		codes := read[openapi.RecoveryCodes](h.do(request).want(200)).RecoveryCodes
		h.log.keepOut(codes...)
		testkit.Must(h.t, h.auth.RemoveSecondFactor(h.t.Context(), principal, password, codes[0], auth.Client{}))
		return
	case "POST /v1/auth/second-factor/remove":
		_, codes := h.confirmedFactor(me)
		request.body = fields{"password": password, "otp": codes[0]}
	case "POST /v1/me/close": // a user without money, whom no other cell needs
		request.token = h.signUp("gone").access
	case "POST /v1/me/handle": // and back, because the next cells need the handle
		request.body = fields{"handle": me.handle + "2", "password": password}
		defer func() { h.post(me, "/v1/me/handle", fields{"handle": me.handle, "password": password}).want(200) }()
	case "POST /v1/auth/second-factor/recovery-codes", "POST /v1/auth/step-up", "PUT /v1/auth/step-up/:currency", "DELETE /v1/auth/step-up/:currency",
		"POST /v1/me/unfreeze":
		principal, codes := h.confirmedFactor(me)
		defer func() {
			testkit.Must(h.t, h.auth.RemoveSecondFactor(h.t.Context(), principal, password, "", auth.Client{}))
		}()
		switch name {
		case "POST /v1/auth/step-up":
			request.body = fields{"otp": codes[0]}
		case "POST /v1/me/unfreeze":
			h.post(me, "/v1/auth/step-up", fields{"otp": codes[0]}).want(200)
		}
	case "POST /v1/me/freeze":
		defer func() { testkit.Must(h.t, h.ledger.SetStatus(h.t.Context(), me.id, ledger.Active)) }()
	case "POST /v1/auth/password": // and back, because the next cells need the password
		defer func() {
			h.post(me, "/v1/auth/password", fields{"current_password": password + " 2", "new_password": password}).want(200)
		}()
	}
	if got := h.do(request); got.status/100 != 2 {
		h.t.Errorf("%s: %s has status %d, want success: %s", name, actor, got.status, got.body)
	}
}

// othersCell sends a request for an object of another user.
func (h *fixture) othersCell(name, actor string, me, owner *user) {
	h.t.Helper()
	row, want := matrix[name], stateCode(name, actor)
	if want != openapi.AccountSuspended { // also for a frozen user, an object of another user does not exist
		want = row.code
	}
	if strings.HasPrefix(actor, "operator") && name == "GET /v1/transfers/:id/timeline" && want == row.code {
		return // an operator may see any transfer; TestOperatorFreezes checks that
	}
	method, _, _ := strings.Cut(name, " ")
	h.do(ask{method: method, path: row.other(h, owner), token: me.access, key: uuid.NewString(), body: stateRows[name].body}).wantProblem(want)
}

// stateCode returns the code that an actor receives, or "" where the request succeeds.
func stateCode(name, actor string) openapi.ProblemCode {
	role, state, _ := strings.Cut(actor, " ")
	switch {
	case role == "anonymous":
		return openapi.Unauthenticated
	case state == "suspended":
		return openapi.AccountSuspended
	case strings.Contains(name, " /v1/ops/") && role != "operator":
		return openapi.Forbidden
	case name == "POST /v1/me/close" && role == "operator":
		return openapi.OwnAccount
	case state == "frozen":
		return stateRows[name].frozen
	}
	return ""
}

// wantStatesOfSignIn checks that a suspended user cannot log in or refresh, and all others can.
func (h *fixture) wantStatesOfSignIn(actors map[string]*user) {
	h.t.Helper()
	for actor, u := range actors {
		login := h.do(ask{method: "POST", path: "/v1/auth/login", body: fields{"login": u.handle, "password": password}})
		refresh := h.do(ask{method: "POST", path: "/v1/auth/refresh", body: fields{"refresh_token": u.refresh}})
		if strings.HasSuffix(actor, "suspended") {
			login.wantProblem(openapi.AccountSuspended)
			refresh.wantProblem(openapi.RefreshTokenInvalid)
			continue
		}
		for _, tokens := range []openapi.Tokens{read[openapi.Tokens](login.want(200)), read[openapi.Tokens](refresh.want(200))} {
			h.log.keepOut(tokens.AccessToken, tokens.RefreshToken)
		}
	}
}

// TestStatesOfThePayee: a suspended user still receives money, and a frozen one does not.
func TestStatesOfThePayee(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	testkit.Must(t, h.auth.Suspend(t.Context(), bob.id, "matrix"))
	h.post(alice, "/v1/transfers", pay(bob, 1)).want(201)
	testkit.Must(t, h.ledger.SetStatus(t.Context(), bob.id, ledger.Frozen))
	h.post(alice, "/v1/transfers", pay(bob, 1)).wantProblem(openapi.AccountFrozen)
}

// TestOperatorsActOnUsers: each action is carried out and recorded with its reason, and the user
// sees those on sessions.
func TestOperatorsActOnUsers(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	olga := h.operator()
	alice, bob := h.pair(1000)
	why := fields{"reason": "asked for"}
	act := func(action string) { h.post(olga, "/v1/ops/users/@alice/"+action, why).want(204) }
	logIn := func() {
		tokens := read[openapi.Tokens](h.do(ask{method: "POST", path: "/v1/auth/login", body: fields{"login": "alice", "password": password}}).want(200))
		h.log.keepOut(tokens.AccessToken, tokens.RefreshToken)
		alice.access, alice.refresh = tokens.AccessToken, tokens.RefreshToken
	}
	act("end-sessions")
	h.get(alice, "/v1/me").wantProblem(openapi.SessionRevoked)
	h.do(ask{method: "POST", path: "/v1/auth/refresh", body: fields{"refresh_token": alice.refresh}}).wantProblem(openapi.RefreshTokenInvalid)
	logIn()
	act("freeze")
	h.post(alice, "/v1/wallets", fields{"currency": "EUR"}).want(201)
	h.post(alice, "/v1/deposits", fields{"amount": 1, "currency": "EUR"}).wantProblem(openapi.AccountFrozen)
	act("suspend")
	h.get(alice, "/v1/me").wantProblem(openapi.AccountSuspended)
	act("unfreeze")
	act("reinstate")
	h.get(alice, "/v1/me").wantProblem(openapi.SessionRevoked) // the old sessions are not restored
	logIn()
	h.post(alice, "/v1/transfers", pay(bob, 1)).want(201)
	h.wantActions("olga user.reinstate alice: asked for", "olga account.unfreeze alice: asked for", "olga user.suspend alice: asked for",
		"olga account.freeze alice: asked for", "olga user.end_sessions alice: asked for")
	history, err := h.auth.History(t.Context(), alice.id, 10)
	testkit.Must(t, err)
	var events []string
	for _, e := range history {
		events = append(events, string(e.Event)+" "+e.Detail)
	}
	testkit.Equal(t, "events", strings.Join(events, ", "), "signed_in , new_device , reinstated , unfrozen by an operator, suspended , frozen by an operator, signed_in , new_device , session_revoked by an operator, signed_up ")
}

// TestOperatorsDoNotActForThemselves: actions on an account of the operator's own are rejected.
func TestOperatorsDoNotActForThemselves(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	olga := h.operator()
	h.fund(olga, 1000)
	bob := h.signUp("bob")
	before := h.rows()
	for _, action := range []string{"freeze", "unfreeze", "suspend", "reinstate", "end-sessions", "revoke-keys"} {
		for _, login := range []string{"olga", "@olga", "olga@example.com"} {
			h.post(olga, fmt.Sprintf("/v1/ops/users/%s/%s", login, action), reason).wantProblem(openapi.OwnAccount)
		}
	}
	var pending []string
	for _, path := range []string{"/v1/deposits", "/v1/withdrawals"} {
		pending = append(pending, read[openapi.Transfer](h.post(olga, path, fields{"amount": 1, "currency": "USD"}).want(202)).Id.String())
	}
	// That includes payments from and to the operator.
	pending = append(pending, paid(h, olga, bob), received(false)(h, olga, func() *user { h.fund(bob, 10); return bob }()))
	for _, id := range pending {
		for _, outcome := range []string{"executed", "rejected", "ask"} {
			h.post(olga, "/v1/ops/payments/"+id+"/resolve", reason.with("outcome", outcome)).wantProblem(openapi.OwnAccount)
		}
		for _, action := range []string{"retry", "archive", "delete"} {
			h.post(olga, "/v1/ops/queues/bank/tasks/"+id+":1/"+action, reason).wantProblem(openapi.OwnAccount)
		}
	}
	testkit.Equal(t, "done", h.ops.take(), "")
	h.wantActions()
	h.get(olga, "/v1/me").want(200)
	if after := h.rows(); after[5] != before[5] {
		t.Error("users came or went")
	}
	// Another operator may.
	oscar := h.signUp("oscar")
	h.grant("oscar", auth.RoleOperator)
	h.post(oscar, "/v1/ops/payments/"+pending[0]+"/resolve", reason.with("outcome", "ask")).want(200)
	h.post(oscar, "/v1/ops/users/olga/freeze", reason).want(204)
	h.post(olga, "/v1/ops/users/olga/unfreeze", reason).wantProblem(openapi.OwnAccount)
}
