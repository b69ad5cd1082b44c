package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/apikey"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
)

// newKey returns a body that creates a key with these scopes; read if there are none.
func newKey(name string, scopes ...string) fields {
	if len(scopes) == 0 {
		scopes = []string{"read"}
	}
	return fields{"name": name, "scopes": scopes, "password": password}
}

// createKey creates a key of the user.
func (h *fixture) createKey(u *user, body fields) openapi.ApiKeySecret {
	h.t.Helper()
	made := read[openapi.ApiKeySecret](h.post(u, "/v1/auth/keys", body).want(201))
	h.log.keepOut(made.Secret)
	return made
}

// withKey is a user whose requests come with a key.
func (h *fixture) withKey(u *user, body fields) *user {
	h.t.Helper()
	scripted := *u
	scripted.access = h.createKey(u, body).Secret
	return &scripted
}

// keyOf returns the path with the id of a key of alice's.
func keyOf(path string) func(*fixture, *user) string {
	return func(h *fixture, alice *user) string {
		h.t.Helper()
		return strings.Replace(path, ":id", h.createKey(alice, newKey("k"+uuid.NewString())).Key.Id.String(), 1)
	}
}

func ownKey(h *fixture, me, _ *user) string {
	h.t.Helper()
	return h.createKey(me, newKey("k"+uuid.NewString())).Key.Id.String()
}

// scopesOfRoutes says which scopes each route accepts. A route without scopes is for sessions only.
// docs/operations.md, "API keys", says the same in words.
var scopesOfRoutes = map[string]string{
	"POST /v1/auth/logout":                       "",
	"POST /v1/auth/password":                     "",
	"POST /v1/auth/device/find":                  "",
	"POST /v1/auth/device/approve":               "",
	"POST /v1/auth/device/deny":                  "",
	"POST /v1/auth/email":                        "",
	"POST /v1/auth/email/code":                   "",
	"POST /v1/auth/email/confirm":                "",
	"GET /v1/auth/second-factor":                 "",
	"POST /v1/auth/second-factor":                "",
	"POST /v1/auth/second-factor/confirm":        "",
	"POST /v1/auth/second-factor/remove":         "",
	"POST /v1/auth/second-factor/recovery-codes": "",
	"GET /v1/auth/step-up":                       "",
	"POST /v1/auth/step-up":                      "",
	"PUT /v1/auth/step-up/:currency":             "",
	"DELETE /v1/auth/step-up/:currency":          "",
	"GET /v1/auth/keys":                          "",
	"POST /v1/auth/keys":                         "",
	"DELETE /v1/auth/keys/:id":                   "",
	"POST /v1/auth/keys/:id/rotate":              "",
	"PATCH /v1/me":                               "",
	"POST /v1/me/handle":                         "",
	"POST /v1/me/export":                         "",
	"POST /v1/me/close":                          "",
	"POST /v1/me/freeze":                         "",
	"POST /v1/me/unfreeze":                       "",
	"GET /v1/sessions":                           "",
	"POST /v1/sessions/end-others":               "",
	"GET /v1/sessions/history":                   "",
	"GET /v1/notices":                            "",
	"POST /v1/notices/read":                      "",
	"DELETE /v1/sessions/:id":                    "",

	"GET /v1/me":                                  "read transfers:write bank:write ops:read ops:write",
	"GET /v1/users":                               "read",
	"POST /v1/payees/lookup":                      "read transfers:write",
	"GET /v1/wallets":                             "read",
	"GET /v1/wallets/:currency/balance":           "read",
	"GET /v1/wallets/:currency/statements/:month": "read",
	"GET /v1/summary":                             "read",
	"GET /v1/events":                              "read",
	"GET /v1/transfers":                           "read",
	"GET /v1/transfers/:id":                       "read",
	"GET /v1/transfers/:id/timeline":              "read",
	"POST /v1/wallets":                            "transfers:write bank:write",
	"POST /v1/transfers":                          "transfers:write",
	"POST /v1/transfers/batch":                    "transfers:write",
	"POST /v1/transfers/:id/capture":              "transfers:write",
	"POST /v1/transfers/:id/void":                 "transfers:write",
	"POST /v1/transfers/:id/reverse":              "transfers:write",
	"GET /v1/dev/triggers":                        "read bank:write",
	"POST /v1/dev/triggers":                       "bank:write",
	"POST /v1/deposits":                           "bank:write",
	"POST /v1/withdrawals":                        "bank:write",
	"GET /v1/limits":                              "read transfers:write bank:write",
	"PUT /v1/limits/:currency":                    "",
	"DELETE /v1/limits/:currency":                 "",

	"GET /v1/ops/queues":                             "ops:read",
	"POST /v1/ops/queues/:queue/pause":               "ops:write",
	"POST /v1/ops/queues/:queue/resume":              "ops:write",
	"GET /v1/ops/queues/:queue/tasks":                "ops:read",
	"POST /v1/ops/queues/:queue/tasks/:task/:action": "ops:write",
	"GET /v1/ops/payments":                           "ops:read",
	"GET /v1/ops/payments/:id":                       "ops:read",
	"POST /v1/ops/payments/:id/resolve":              "ops:write",
	"POST /v1/ops/users/:login/freeze":               "ops:write",
	"POST /v1/ops/users/:login/unfreeze":             "ops:write",
	"POST /v1/ops/users/:login/suspend":              "",
	"POST /v1/ops/users/:login/reinstate":            "",
	"POST /v1/ops/users/:login/end-sessions":         "",
	"GET /v1/ops/users/:login":                       "ops:read",
	"GET /v1/ops/users/:login/limits":                "ops:read",
	"GET /v1/ops/users/:login/keys":                  "ops:read",
	"POST /v1/ops/users/:login/revoke-keys":          "ops:write",
	"POST /v1/ops/reconcile":                         "ops:write",
	"POST /v1/ops/audit":                             "ops:read",
	"GET /v1/ops/history":                            "ops:read",
	"GET /v1/ops/approvals":                          "ops:read",
	"POST /v1/ops/approvals/:id/approve":             "",
	"POST /v1/ops/approvals/:id/reject":              "",
	"GET /v1/ops/actions":                            "ops:read",
}

// TestScopesOfRoutes: the table of operations, the contract and the table above agree.
func TestScopesOfRoutes(t *testing.T) {
	t.Parallel()
	enforced := api.ScopesOf()
	wantSame(t, "routes with a token and rows", enforced, scopesOfRoutes)
	for name, op := range operations() {
		var stated []string
		if raw, ok := op.Extensions["x-scopes"].([]any); ok {
			for _, scope := range raw {
				stated = append(stated, fmt.Sprint(scope))
			}
		}
		testkit.Equal(t, "x-scopes of "+name, strings.Join(stated, " "), scopesOfRoutes[name])
		testkit.Equal(t, "enforced scopes of "+name, strings.Join(enforced[name], " "), scopesOfRoutes[name])
	}
}

// TestKeysNeedTheirScope calls every route with a key of each scope, of an operator, so that only
// the scope decides.
func TestKeysNeedTheirScope(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	olga, peer, target := h.operator(), h.signUp("peer"), h.signUp("target")
	h.fund(olga, 1000)
	h.fund(peer, 1000)
	keys := map[string]*user{}
	for _, scope := range auth.AnyScope.Names() {
		keys[scope] = h.withKey(olga, newKey(strings.ReplaceAll(scope, ":", "-"), scope))
	}
	for name, scopes := range scopesOfRoutes {
		for scope, scripted := range keys {
			want := openapi.ProblemCode("")
			switch {
			case scopes == "":
				want = openapi.SessionRequired
			case !slices.Contains(strings.Fields(scopes), scope):
				want = openapi.ScopeMissing
			}
			h.scopeCell(name, scope, want, olga, scripted, peer, target)
		}
	}
	h.get(olga, "/v1/auth/keys").want(200) // the session is as it was
}

// scopeCell sends a request that is complete, and one that is not: a key learns nothing about an
// operation that it may not call.
func (h *fixture) scopeCell(name, scope string, want openapi.ProblemCode, olga, scripted, peer, target *user) {
	h.t.Helper()
	method, route, _ := strings.Cut(name, " ")
	row := stateRows[name]
	id := uuid.NewString()
	if row.own != nil {
		id = row.own(h, olga, peer)
	}
	request := ask{method: method, token: scripted.access, key: uuid.NewString(), body: row.body, path: id}
	if !strings.HasPrefix(id, "/") {
		request.path = strings.NewReplacer(":id", id, ":currency", "USD", ":queue", "bank", ":task", "x", ":action", "delete",
			":login", target.handle).Replace(route)
	}
	if want != "" {
		before := h.rows()
		h.do(request).wantProblem(want)
		request.key, request.body = "", "{"
		h.do(request).wantProblem(want)
		h.wantUntouched(name+" with the scope "+scope, before)
		return
	}
	if name == "GET /v1/events" {
		h.listen(scripted, "", "").live()
		return
	}
	if got := h.do(request); got.status/100 != 2 {
		h.t.Errorf("%s with the scope %s has status %d: %s", name, scope, got.status, got.body)
	}
}

// TestOpsScopeNeedsTheRole: the scope gives nothing to a user who is no operator, or no longer one.
func TestOpsScopeNeedsTheRole(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	scripted := h.withKey(alice, newKey("ops", "ops:read", "ops:write", "read"))
	h.get(scripted, "/v1/ops/queues").wantProblem(openapi.Forbidden)
	h.get(scripted, "/v1/events?ops=true").wantProblem(openapi.Forbidden)
	h.grant("alice", auth.RoleOperator)
	h.get(scripted, "/v1/ops/queues").want(200)
	h.grant("alice", auth.RoleUser)
	h.get(scripted, "/v1/ops/queues").wantProblem(openapi.Forbidden)
}

// TestReadScopeOfAnOperatorIsThatOfAUser: what an operator sees beyond their own needs ops:read,
// also where the route is that of users.
func TestReadScopeOfAnOperatorIsThatOfAUser(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	others := paid(h, alice, bob)
	olga := h.operator()
	reader, both := h.withKey(olga, newKey("reader")), h.withKey(olga, newKey("both", "read", "ops:read"))
	h.get(reader, "/v1/events?ops=true").wantProblem(openapi.Forbidden)
	h.get(reader, "/v1/transfers/"+others+"/timeline").wantProblem(openapi.TransferNotFound)
	h.get(both, "/v1/transfers/"+others+"/timeline").want(200)
}

func TestKeyLifeCycle(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	made := h.createKey(alice, newKey("payroll", "transfers:write", "read").with("networks", []string{"127.0.0.1", "10.0.0.0/8"}).with("expires_in", 3600))
	testkit.Must(t, apikey.Check(made.Secret))
	testkit.Equal(t, "key", fmt.Sprint(made.Key.Name, made.Key.State, made.Key.Scopes, made.Key.Networks, made.Key.ExpiresAt.Sub(made.Key.CreatedAt)),
		"payrollactive[read transfers:write] [127.0.0.1/32 10.0.0.0/8] 1h0m0s")
	scripted := *alice
	scripted.access = made.Secret
	h.post(&scripted, "/v1/transfers", pay(bob, 10)).want(201)
	h.wantBalance(bob, 10, 0)
	h.post(alice, "/v1/auth/keys", newKey("payroll")).wantProblem(openapi.KeyNameTaken)
	rotated := read[openapi.ApiKeySecret](h.post(alice, "/v1/auth/keys/"+made.Key.Id.String()+"/rotate", fields{"password": password}).want(200))
	h.log.keepOut(rotated.Secret)
	if rotated.Key.OverlapEndsAt == nil || rotated.Key.RotatedAt == nil {
		t.Errorf("after a rotation: %+v", rotated.Key)
	}
	h.get(&scripted, "/v1/wallets").want(200)
	scripted.access = rotated.Secret
	h.get(&scripted, "/v1/wallets").want(200)
	listed := read[openapi.ApiKeyList](h.get(alice, "/v1/auth/keys").want(200))
	testkit.Equal(t, "keys", len(listed.Items), 1)
	if body := string(h.get(alice, "/v1/auth/keys").want(200).body); strings.Contains(body, apikey.Prefix) {
		t.Errorf("the list contains a secret: %s", body)
	}
	h.do(ask{method: "DELETE", path: "/v1/auth/keys/" + made.Key.Id.String(), token: alice.access}).want(204)
	for _, secret := range []string{made.Secret, rotated.Secret} {
		scripted.access = secret
		h.get(&scripted, "/v1/wallets").wantProblem(openapi.KeyRevoked)
	}
	testkit.Equal(t, "state", read[openapi.ApiKeyList](h.get(alice, "/v1/auth/keys").want(200)).Items[0].State, "revoked")
}

func TestKeyBodiesAreChecked(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	for name, c := range map[string]struct {
		body any
		code openapi.ProblemCode
	}{
		"no scopes":             {fields{"name": "x", "password": password}, openapi.BodyMalformed},
		"an empty list":         {newKey("x").with("scopes", []string{}), openapi.ScopeUnknown},
		"an unknown scope":      {newKey("x", "admin"), openapi.ScopeUnknown},
		"scopes as text":        {newKey("x").with("scopes", "read"), openapi.BodyMalformed},
		"scopes of numbers":     {newKey("x").with("scopes", []int{1}), openapi.BodyMalformed},
		"null in the scopes":    {`{"name":"x","scopes":["read",null],"password":"` + password + `"}`, openapi.BodyMalformed},
		"no network":            {newKey("x").with("networks", []string{"here"}), openapi.NetworkMalformed},
		"every network":         {newKey("x").with("networks", []string{"0.0.0.0/0"}), openapi.NetworkMalformed},
		"bits beyond":           {newKey("x").with("networks", []string{"10.0.0.1/8"}), openapi.NetworkMalformed},
		"a terminal sequence":   {newKey("x").with("networks", []string{"\x1b[2J"}), openapi.NetworkMalformed},
		"no time":               {newKey("x").with("expires_in", 0), openapi.KeyLifeOutOfRange},
		"a negative time":       {newKey("x").with("expires_in", -1), openapi.KeyLifeOutOfRange},
		"367 days":              {newKey("x").with("expires_in", 367*86400), openapi.KeyLifeOutOfRange},
		"a time that overflows": {newKey("x").with("expires_in", int64(1)<<62), openapi.KeyLifeOutOfRange},
		"a time in words":       {newKey("x").with("expires_in", "90d"), openapi.BodyMalformed},
		"a wrong password":      {newKey("x").with("password", "wrong"), openapi.InvalidCredentials},
		"a malformed name":      {newKey("-x"), openapi.NameMalformed},
		"an unknown field":      {newKey("x").with("role", "operator"), openapi.BodyMalformed},
	} {
		got := h.post(alice, "/v1/auth/keys", c.body)
		got.wantProblem(c.code)
		if strings.ContainsRune(string(got.body), '\x1b') {
			t.Errorf("%s: the answer repeats a control character: %q", name, got.body)
		}
	}
	testkit.Equal(t, "keys", len(read[openapi.ApiKeyList](h.get(alice, "/v1/auth/keys").want(200)).Items), 0)
}

// TestKeyNetworkFollowsTrustedProxies: the address that counts is that of the client, as far as a
// trusted proxy reports it; any other client cannot choose it.
func TestKeyNetworkFollowsTrustedProxies(t *testing.T) {
	t.Parallel()
	proxies, err := api.ParseTrustedProxies("127.0.0.1")
	testkit.Must(t, err)
	h := newFixture(t, func(o *options) { o.proxies = proxies })
	alice := h.signUp("alice")
	scripted := h.withKey(alice, newKey("office").with("networks", []string{"203.0.113.0/24"}))
	from := func(forwarded string) *answer {
		return h.do(ask{method: "GET", path: "/v1/wallets", token: scripted.access, headers: map[string]string{"X-Forwarded-For": forwarded}})
	}
	from("203.0.113.9").want(200)
	from("198.51.100.1, 203.0.113.9").want(200)
	from("203.0.113.9, 198.51.100.1").wantProblem(openapi.KeyNetworkRefused) // the client wrote the first
	from("").wantProblem(openapi.KeyNetworkRefused)

	direct := newFixture(t) // without trusted proxies, the header is not read
	bob := direct.signUp("bob")
	scripted = direct.withKey(bob, newKey("office").with("networks", []string{"203.0.113.0/24"}))
	direct.do(ask{method: "GET", path: "/v1/wallets", token: scripted.access, headers: map[string]string{"X-Forwarded-For": "203.0.113.9"}}).
		wantProblem(openapi.KeyNetworkRefused)
}

// TestRevokedKeyEndsItsStream: a stream that was opened with a key ends when the key does.
func TestRevokedKeyEndsItsStream(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) {
		o.before = func(a *api.API) { a.SetHeartbeat(time.Minute, 30*time.Millisecond) }
	})
	alice := h.signUp("alice")
	made := h.createKey(alice, newKey("listener"))
	scripted := *alice
	scripted.access = made.Secret
	stream := h.listen(&scripted, "", "")
	stream.live()
	h.do(ask{method: "DELETE", path: "/v1/auth/keys/" + made.Key.Id.String(), token: alice.access}).want(204)
	stream.wantEnd("revoked key")
}

// TestOperatorsSeeKeysWithoutSecrets, and end them.
func TestOperatorsSeeKeysWithoutSecrets(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	olga, alice := h.operator(), h.signUp("alice")
	scripted := h.withKey(alice, newKey("payroll"))
	h.get(scripted, "/v1/wallets").want(200)
	got := h.get(olga, "/v1/ops/users/@alice/keys").want(200)
	list := read[openapi.ApiKeyList](got)
	testkit.Equal(t, "keys", len(list.Items), 1)
	if strings.Contains(string(got.body), apikey.Prefix) {
		t.Errorf("operators see a secret: %s", got.body)
	}
	h.get(olga, "/v1/ops/users/@nobody_here/keys").wantProblem(openapi.UserNotFound)
	h.post(olga, "/v1/ops/users/@alice/revoke-keys", fields{"reason": "found in a repository"}).want(204)
	h.get(scripted, "/v1/wallets").wantProblem(openapi.KeyRevoked)
	h.wantActions("olga user.revoke_keys alice: found in a repository", "olga view.keys alice: looked at the data")
}

// TestLargeBatchNeedsScope: a key that may not transfer cannot make the server keep a large body.
func TestLargeBatchNeedsScope(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	var rows []fields
	for range 200 {
		rows = append(rows, batchRow(bob, 1).with("memo", strings.Repeat("m", 100)))
	}
	large := fields{"transfers": rows}
	h.post(h.withKey(alice, newKey("reader")), "/v1/transfers/batch", large).wantProblem(openapi.ScopeMissing)
	h.post(h.withKey(alice, newKey("payer", "transfers:write")), "/v1/transfers/batch", large).want(200)
}
