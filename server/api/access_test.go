package api_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
)

// access is a row of the matrix: who may call a route, a valid body for it, and how its path names
// an object of another user, if it names one.
type access struct {
	public bool
	// operators: all other users receive forbidden, and nothing else.
	operators bool
	body      func(*fixture, *user) any    // sent by another user, about alice
	other     func(*fixture, *user) string // path with an object of alice's
	code      openapi.ProblemCode          // that another user receives for that object
}

var nothing = func(*fixture, *user) any { return nil }

func part(*fixture, *user) any { return fields{} }

func because(*fixture, *user) any { return fields{"reason": "matrix"} }

// transferOf returns the path with the id of a transfer of alice's to carol.
func transferOf(path string) func(*fixture, *user) string {
	return func(h *fixture, alice *user) string {
		h.t.Helper()
		carol := h.signUp("carol" + uuid.NewString()[:8])
		sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(carol, 1).with("memo", canary)).want(201))
		return strings.Replace(path, ":id", sent.Id.String(), 1)
	}
}

func authorizationOf(path string) func(*fixture, *user) string {
	return func(h *fixture, alice *user) string {
		h.t.Helper()
		carol := h.signUp("carol" + uuid.NewString()[:8])
		held := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(carol, 1).with("authorize", true)).want(201))
		return strings.Replace(path, ":id", held.Id.String(), 1)
	}
}

// matrix has a row for each route that the app serves; a route without one fails the test.
var matrix = map[string]access{
	"GET /":                             {public: true},
	"HEAD /":                            {public: true},
	"GET /docs":                         {public: true},
	"HEAD /docs":                        {public: true},
	"GET /assets/:name":                 {public: true},
	"HEAD /assets/:name":                {public: true},
	"GET /openapi.yaml":                 {public: true},
	"HEAD /openapi.yaml":                {public: true},
	"GET /.well-known/jwks.json":        {public: true},
	"HEAD /.well-known/jwks.json":       {public: true},
	"POST /v1/auth/signup":              {public: true},
	"POST /v1/auth/login":               {public: true},
	"POST /v1/auth/refresh":             {public: true},
	"POST /v1/auth/device":              {public: true},
	"POST /v1/auth/device/token":        {public: true},
	"POST /v1/auth/password/reset":      {public: true},
	"POST /v1/auth/password/reset/mail": {public: true},
	"POST /v1/bank/callbacks":           {public: true}, // the signature decides

	"POST /v1/auth/logout": {body: nothing},
	"POST /v1/auth/password": {
		body: func(*fixture, *user) any {
			return fields{"current_password": password, "new_password": password + " 2"}
		}},
	"POST /v1/auth/device/find":                  {body: func(h *fixture, _ *user) any { return fields{"user_code": h.beginDevice().UserCode} }},
	"POST /v1/auth/device/approve":               {body: waitingDevice},
	"POST /v1/auth/device/deny":                  {body: waitingDevice},
	"POST /v1/auth/email":                        {body: func(*fixture, *user) any { return fields{"email": "new@example.com", "password": password} }},
	"POST /v1/auth/email/code":                   {body: nothing},
	"POST /v1/auth/email/confirm":                {body: func(*fixture, *user) any { return fields{"code": "00000000"} }, code: openapi.EmailCodeInvalid},
	"GET /v1/auth/second-factor":                 {body: nothing},
	"POST /v1/auth/second-factor":                {body: func(*fixture, *user) any { return fields{"password": password} }},
	"POST /v1/auth/second-factor/confirm":        {body: func(*fixture, *user) any { return fields{"otp": "000000"} }, code: openapi.SecondFactorMissing},
	"POST /v1/auth/second-factor/remove":         {body: func(*fixture, *user) any { return fields{"password": password, "otp": "000000"} }, code: openapi.SecondFactorMissing},
	"POST /v1/auth/second-factor/recovery-codes": {body: func(*fixture, *user) any { return fields{"password": password} }, code: openapi.SecondFactorMissing},
	"GET /v1/auth/step-up":                       {body: nothing},
	"POST /v1/auth/step-up":                      {body: func(*fixture, *user) any { return fields{"otp": "000000"} }, code: openapi.SecondFactorMissing},
	"PUT /v1/auth/step-up/:currency":             {body: func(*fixture, *user) any { return fields{"amount": 5} }, code: openapi.SecondFactorMissing},
	"DELETE /v1/auth/step-up/:currency":          {body: nothing, code: openapi.SecondFactorMissing},
	"GET /v1/auth/keys":                          {body: nothing},
	"POST /v1/auth/keys":                         {body: func(*fixture, *user) any { return newKey("matrix") }},
	"DELETE /v1/auth/keys/:id":                   {body: nothing, code: openapi.KeyNotFound, other: keyOf("/v1/auth/keys/:id")},
	"POST /v1/auth/keys/:id/rotate": {
		body: func(*fixture, *user) any { return fields{"password": password} }, code: openapi.KeyNotFound, other: keyOf("/v1/auth/keys/:id/rotate")},
	"GET /v1/me":                   {body: nothing},
	"PATCH /v1/me":                 {body: func(*fixture, *user) any { return fields{"name": "Mallory"} }},
	"POST /v1/me/handle":           {body: func(*fixture, *user) any { return fields{"handle": "mallory2", "password": password} }},
	"POST /v1/me/export":           {body: func(*fixture, *user) any { return fields{} }},
	"POST /v1/me/close":            {body: func(*fixture, *user) any { return fields{"password": password} }},
	"POST /v1/me/freeze":           {body: nothing},
	"POST /v1/me/unfreeze":         {body: nothing},
	"POST /v1/sessions/end-others": {body: nothing},
	"GET /v1/sessions":             {body: nothing},
	"GET /v1/sessions/history":     {body: nothing},
	"DELETE /v1/sessions/:id": {body: nothing, code: openapi.SessionNotFound, other: func(h *fixture, alice *user) string {
		h.t.Helper()
		return "/v1/sessions/" + read[openapi.SessionList](h.get(alice, "/v1/sessions").want(200)).Items[0].Id.String()
	}},
	"GET /v1/notices": {body: nothing},
	"POST /v1/notices/read": {body: func(h *fixture, alice *user) any { // her notices stay unread: TestNotices
		return fields{"ids": []int64{1, 2, 3}}
	}},
	"GET /v1/users": {body: nothing},
	"POST /v1/payees/lookup": {body: func(_ *fixture, alice *user) any {
		return fields{"currency": "USD", "payees": []string{"@" + alice.handle}}
	}},
	"GET /v1/wallets":                             {body: nothing},
	"GET /v1/summary":                             {body: nothing},
	"GET /v1/events":                              {body: nothing},
	"POST /v1/wallets":                            {body: func(*fixture, *user) any { return fields{"currency": "EUR"} }},
	"GET /v1/wallets/:currency/balance":           {body: nothing}, // the path names no object of a user
	"GET /v1/wallets/:currency/statements/:month": {body: nothing},
	"GET /v1/transfers":                           {body: nothing},
	"POST /v1/transfers":                          {body: func(_ *fixture, alice *user) any { return pay(alice, 1) }},
	"GET /v1/limits":                              {body: nothing},
	"PUT /v1/limits/:currency":                    {body: func(*fixture, *user) any { return fields{"max_per_day": 5} }}, // as above
	"DELETE /v1/limits/:currency":                 {body: nothing},
	"POST /v1/transfers/batch": {body: func(_ *fixture, alice *user) any {
		return fields{"transfers": []fields{batchRow(alice, 1).with("authorize", true)}}
	}},
	"GET /v1/transfers/:id": {body: nothing, code: openapi.TransferNotFound, other: transferOf("/v1/transfers/:id")},
	"POST /v1/transfers/:id/capture": {
		body: part, code: openapi.TransferNotFound, other: authorizationOf("/v1/transfers/:id/capture")},
	"POST /v1/transfers/:id/void": {
		body: nothing, code: openapi.TransferNotFound, other: authorizationOf("/v1/transfers/:id/void")},
	"POST /v1/transfers/:id/reverse": {
		body: part, code: openapi.TransferNotFound, other: transferOf("/v1/transfers/:id/reverse")},
	"GET /v1/dev/triggers":  {body: nothing},
	"POST /v1/dev/triggers": {body: func(*fixture, *user) any { return fields{"event": "deposit.late", "amount": 1, "currency": "USD"} }},
	"POST /v1/deposits":     {body: func(*fixture, *user) any { return fields{"amount": 1, "currency": "USD"} }},
	"POST /v1/withdrawals":  {body: func(*fixture, *user) any { return fields{"amount": 1, "currency": "USD"} }},
	"GET /v1/transfers/:id/timeline": {
		body: nothing, code: openapi.TransferNotFound, other: transferOf("/v1/transfers/:id/timeline")},

	"GET /v1/ops/queues":                             {body: nothing, operators: true},
	"POST /v1/ops/queues/:queue/pause":               {body: because, operators: true},
	"POST /v1/ops/queues/:queue/resume":              {body: because, operators: true},
	"GET /v1/ops/queues/:queue/tasks":                {body: nothing, operators: true},
	"POST /v1/ops/queues/:queue/tasks/:task/:action": {body: because, operators: true},
	"GET /v1/ops/payments":                           {body: nothing, operators: true},
	"GET /v1/ops/payments/:id":                       {body: nothing, operators: true},
	"POST /v1/ops/payments/:id/resolve": {operators: true, body: func(*fixture, *user) any {
		return fields{"outcome": "executed", "reason": "matrix"}
	}},
	"POST /v1/ops/users/:login/freeze":       {body: because, operators: true},
	"POST /v1/ops/users/:login/unfreeze":     {body: because, operators: true},
	"POST /v1/ops/users/:login/suspend":      {body: because, operators: true},
	"POST /v1/ops/users/:login/reinstate":    {body: because, operators: true},
	"POST /v1/ops/users/:login/end-sessions": {body: because, operators: true},
	"GET /v1/ops/users/:login":               {body: nothing, operators: true},
	"GET /v1/ops/users/:login/limits":        {body: nothing, operators: true},
	"GET /v1/ops/users/:login/keys":          {body: nothing, operators: true},
	"POST /v1/ops/users/:login/revoke-keys":  {body: because, operators: true},
	"POST /v1/ops/reconcile":                 {body: nothing, operators: true},
	"POST /v1/ops/audit":                     {body: nothing, operators: true},
	"GET /v1/ops/history":                    {body: nothing, operators: true},
	"GET /v1/ops/approvals":                  {body: nothing, operators: true},
	"POST /v1/ops/approvals/:id/approve":     {body: because, operators: true},
	"POST /v1/ops/approvals/:id/reject":      {body: because, operators: true},
	"GET /v1/ops/actions":                    {body: nothing, operators: true},
}

// routes returns the routes that the app serves.
func (h *fixture) routes() []fiber.Route {
	a := h.api
	if a == nil {
		a = api.New(api.Config{})
	}
	return a.Routes()
}

func TestAccessMatrix(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, mallory := h.pair(1000)
	h.fund(mallory, 1000)
	bad := h.badTokens(mallory)
	served := map[string]bool{}
	for _, route := range h.routes() {
		name := route.Method + " " + route.Path
		served[name] = true
		row, ok := matrix[name]
		if !ok {
			t.Errorf("%s has no row in the matrix: who may call it?", name)
			continue
		}
		if row.public {
			testkit.Equal(t, name+" without a token is an operation of the contract's, or a page",
				api.Operations(api.Row.IsPublic)[name] || !strings.HasPrefix(route.Path, "/v1/"), true)
			continue
		}
		h.checkRow(route, row, alice, mallory, bad)
	}
	wantSame(t, "rows and routes", matrix, served)
	h.wantBalance(mallory, 1000, 0)
}

// badTokens returns every kind of token that must be rejected, with its code.
func (h *fixture) badTokens(mallory *user) map[string]openapi.ProblemCode {
	h.t.Helper()
	ctx := context.Background()
	expired, _, err := h.past.LogIn(ctx, mallory.handle, password, "", auth.Client{})
	testkit.Must(h.t, err)
	loggedOut, _, err := h.auth.LogIn(ctx, mallory.handle, password, "", auth.Client{})
	testkit.Must(h.t, err)
	h.do(ask{method: "POST", path: "/v1/auth/logout", token: loggedOut.AccessToken}).want(204)
	eve := h.signUp("eve")
	testkit.Must(h.t, h.auth.Suspend(ctx, eve.id, "matrix"))
	h.log.keepOut(expired.AccessToken, loggedOut.AccessToken)
	flipped := []byte(mallory.access)
	flipped[len(flipped)-10] ^= 1
	return map[string]openapi.ProblemCode{
		"":                    openapi.Unauthenticated,
		"garbage":             openapi.TokenInvalid,
		string(flipped):       openapi.TokenInvalid,
		mallory.refresh:       openapi.TokenInvalid,
		expired.AccessToken:   openapi.TokenExpired,
		loggedOut.AccessToken: openapi.SessionRevoked,
		eve.access:            openapi.AccountSuspended,
	}
}

func (h *fixture) checkRow(route fiber.Route, row access, alice, mallory *user, bad map[string]openapi.ProblemCode) {
	h.t.Helper()
	request := ask{method: route.Method, path: route.Path, key: uuid.NewString(), body: row.body(h, alice)}
	request.path = strings.NewReplacer(":id", uuid.NewString(), ":currency", "USD",
		":queue", "bank", ":task", "x", ":action", "delete", ":login", alice.handle).Replace(request.path)
	if request.path == "/v1/users" {
		request.path += "?q=a"
	}
	others := ""
	if row.other != nil {
		others = row.other(h, alice)
	}
	before := h.rows()
	for token, code := range bad {
		request.token = token
		h.do(request).wantProblem(code)
		// An anonymous caller receives no other error of the request.
		wrong := request
		wrong.key, wrong.body, wrong.path = "", "{", strings.Replace(route.Path, ":id", "no-id", 1)
		h.do(wrong).wantProblem(code)
	}
	if row.operators {
		request.token = mallory.access
		h.do(request).wantProblem(openapi.Forbidden)
		request.body = "{"
		h.do(request).wantProblem(openapi.Forbidden)
		h.wantActions()
	}
	if row.other != nil {
		request.token, request.path = mallory.access, others
		h.do(request).wantProblem(row.code)
		request.path = strings.NewReplacer(":id", uuid.NewString()).Replace(route.Path)
		h.do(request).wantProblem(row.code)
	}
	h.wantUntouched(route.Method+" "+route.Path, before)
}

// TestAuthorizationHeader: a token is accepted only in one form.
func TestAuthorizationHeader(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	for header, code := range map[string]openapi.ProblemCode{
		"bearer " + alice.access:              "",
		"BEARER " + alice.access:              "",
		"Bearer":                              openapi.Unauthenticated,
		"Bearer ":                             openapi.Unauthenticated,
		"Basic " + alice.access:               openapi.Unauthenticated,
		alice.access:                          openapi.Unauthenticated,
		"Bearer  " + alice.access:             openapi.TokenInvalid,
		"Bearer " + alice.access + ",":        openapi.TokenInvalid,
		"Bearer " + strings.Repeat("a", 3000): openapi.TokenInvalid,
	} {
		got := h.do(ask{method: "GET", path: "/v1/me", headers: map[string]string{"Authorization": header}})
		if code == "" {
			got.want(200)
			continue
		}
		got.wantProblem(code)
		testkit.Equal(t, "WWW-Authenticate", got.header.Get("WWW-Authenticate"), `Bearer realm="kizo"`)
	}
	// A token in the URL would be stored in logs and histories.
	h.do(ask{method: "GET", path: "/v1/me?access_token=" + alice.access}).wantProblem(openapi.Unauthenticated)
}

func TestRoutesAndMethodsThatAreNot(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	for _, path := range []string{"/v1", "/v1/", "/v2/me", "/v1/me/", "/V1/me", "/v1/transfers/x/y", "/v1/../v1/nope", "/%00", "/v1/ops"} {
		h.do(ask{method: "GET", path: path, token: alice.access}).wantProblem(openapi.RouteNotFound)
	}
	for _, method := range []string{"PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"} {
		got := h.do(ask{method: method, path: "/v1/me", token: alice.access})
		testkit.Equal(t, method, got.status, 405)
		if method != "HEAD" {
			got.wantProblem(openapi.MethodNotAllowed)
		}
		if allow := got.header.Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "PATCH") {
			t.Errorf("Allow: %q", allow)
		}
	}
}
