package api_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/api"
)

func TestBadKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob := h.pair(1000)
	sent := read[api.Transfer](h.post(alice, "/v1/transfers", pay(bob, 1)).want(201)).Id.String()
	paths := map[string]any{
		"/v1/transfers":                      pay(bob, 1),
		"/v1/deposits":                       fields{"amount": 1, "currency": "USD"},
		"/v1/withdrawals":                    fields{"amount": 1, "currency": "USD"},
		"/v1/transfers/" + sent + "/capture": fields{},
		"/v1/transfers/" + sent + "/void":    nil,
		"/v1/transfers/" + sent + "/reverse": fields{},
	}
	for path, body := range paths {
		for key, code := range map[string]api.ProblemCode{
			"":                        api.IdempotencyKeyMissing,
			" ":                       api.IdempotencyKeyMissing,
			`""`:                      api.IdempotencyKeyMalformed,
			"two words":               api.IdempotencyKeyMalformed,
			`"two words"`:             api.IdempotencyKeyMalformed,
			"tab\tbed":                api.IdempotencyKeyMalformed,
			"schlüssel":               api.IdempotencyKeyMalformed,
			"\xff\xfe":                api.IdempotencyKeyMalformed,
			strings.Repeat("k", 256):  api.IdempotencyKeyMalformed,
			strings.Repeat("k", 3000): api.IdempotencyKeyMalformed,
		} {
			request := bob.asks(path, body)
			request.key, request.headers = "", map[string]string{"Idempotency-Key": key}
			h.wantRefused(fmt.Sprintf("%s with %q", path, key), request, code)
		}
		request := bob.asks(path, body)
		request.key = ""
		h.wantRefused(path+" without a key", request, api.IdempotencyKeyMissing)
	}
	longest := alice.asks("/v1/transfers", pay(bob, 1))
	longest.key = strings.Repeat("k", 255)
	h.do(longest).want(201)
}

// The bare key and the quoted string of the IETF's draft are one key.
func TestQuotedKeyIsTheSameKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob := h.pair(1000)
	request := alice.asks("/v1/transfers", pay(bob, 1))
	bare := h.do(request).want(201)
	request.key = `"` + request.key + `"`
	quoted := h.do(request).want(201)
	equal(t, "replayed", quoted.replayed(), true)
	equal(t, "transfer", read[api.Transfer](quoted).Id, read[api.Transfer](bare).Id)
	h.wantBalance(bob, 1, 0)
}

func TestBadParameters(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob := h.pair(1000)
	h.post(alice, "/v1/transfers", pay(bob, 1)).want(201)
	zeros := "00000000-0000-0000-0000-00000000000"
	for path, code := range map[string]api.ProblemCode{
		"/v1/transfers?limit=0":                                               api.ParameterMalformed,
		"/v1/transfers?limit=-1":                                              api.ParameterMalformed,
		"/v1/transfers?limit=101":                                             api.ParameterMalformed,
		"/v1/transfers?limit=":                                                api.ParameterMalformed,
		"/v1/transfers?limit=ten":                                             api.ParameterMalformed,
		"/v1/transfers?limit=1e1":                                             api.ParameterMalformed,
		"/v1/transfers?limit=99999999999":                                     api.ParameterMalformed,
		"/v1/transfers?limit=5&limit=6":                                       api.ParameterMalformed,
		"/v1/transfers?limit=%1b%5d52":                                        api.ParameterMalformed,
		"/v1/transfers?cursor=x":                                              api.ParameterMalformed,
		"/v1/transfers?cursor=%00":                                            api.ParameterMalformed,
		"/v1/transfers?cursor=" + strings.Repeat("A", 5000):                   api.ParameterMalformed,
		"/v1/transfers?cursor=" + uuid.NewString():                            api.ParameterMalformed,
		"/v1/transfers?state=done":                                            api.ParameterMalformed,
		"/v1/transfers?state=Posted":                                          api.ParameterMalformed,
		"/v1/transfers?kind=capture":                                          api.ParameterMalformed,
		"/v1/transfers?direction=sideways":                                    api.ParameterMalformed,
		"/v1/transfers?currency=usd":                                          api.CurrencyUnknown,
		"/v1/transfers?since=yesterday":                                       api.ParameterMalformed,
		"/v1/transfers?since=2026-01-01":                                      api.ParameterMalformed,
		"/v1/transfers?since=2026-13-01T00:00:00Z":                            api.ParameterMalformed,
		"/v1/transfers?until=0001-01-01T00:00:00Z":                            api.ParameterMalformed,
		"/v1/transfers?until=" + url.QueryEscape("9999-12-31T23:59:59-23:00"): api.ParameterMalformed,
		"/v1/transfers?min_amount=0":                                          api.ParameterMalformed,
		"/v1/transfers?max_amount=-1":                                         api.ParameterMalformed,
		"/v1/transfers?min_amount=1.50":                                       api.ParameterMalformed,
		"/v1/transfers?min_amount=2&max_amount=1":                             api.ParameterMalformed,
		"/v1/transfers?max_amount=99999999999999999999":                       api.ParameterMalformed,
		"/v1/transfers?with=@nobody":                                          api.UserNotFound,
		"/v1/transfers?with=%1b":                                              api.ParameterMalformed,
		"/v1/transfers?q=" + strings.Repeat("q", 81):                          api.ParameterMalformed,
		"/v1/transfers?q=%ff":                                                 api.ParameterMalformed,
		"/v1/transfers?q=%00":                                                 api.ParameterMalformed,
		"/v1/transfers?q=%1b%5b2J":                                            api.ParameterMalformed,
		"/v1/transfers?q=%":                                                   api.ParameterMalformed,
		"/v1/transfers?q=%zz":                                                 api.ParameterMalformed,
		"/v1/transfers?a;b":                                                   api.ParameterMalformed,
		"/v1/users":                                                           api.ParameterMalformed,
		"/v1/users?q=%ff":                                                     api.ParameterMalformed,
		"/v1/users?q=%00":                                                     api.ParameterMalformed,
		"/v1/users?q=" + strings.Repeat("q", 81):                              api.ParameterMalformed,
		"/v1/transfers/x":                                                     api.ParameterMalformed,
		"/v1/transfers/%1b%5d52;c;":                                           api.ParameterMalformed,
		"/v1/transfers/" + zeros:                                              api.ParameterMalformed,
		"/v1/transfers/" + zeros + "0":                                        api.TransferNotFound,
		"/v1/transfers/ffffffff-ffff-ffff-ffff-ffffffffffff":                  api.TransferNotFound,
		"/v1/wallets/usd/balance":                                             api.CurrencyUnknown,
		"/v1/wallets/%1b%5d52;c;%07/balance":                                  api.CurrencyUnknown,
		"/v1/wallets/%ff/balance":                                             api.CurrencyUnknown,
		"/v1/wallets/EUR/balance":                                             api.WalletNotFound,
		"/v1/wallets/USD/balance?at=now":                                      api.ParameterMalformed,
		"/v1/wallets/USD/balance?at=2199-01-01T00:00:00Z":                     api.TimeInFuture,
		"/v1/wallets/USD/balance?at=0001-01-01T00:00:00Z":                     api.ParameterMalformed,
		"/v1/wallets/USD/balance?at=0000-01-01T00:00:00%2B23:59":              api.ParameterMalformed,
	} {
		h.wantRefused(path, ask{method: "GET", path: path, token: alice.access}, code)
	}
	for _, path := range []string{"/v1/sessions/x", "/v1/sessions/'--"} {
		h.wantRefused(path, ask{method: "DELETE", path: path, token: alice.access}, api.ParameterMalformed)
	}
	for _, action := range []string{"capture", "void", "reverse"} {
		h.wantRefused(action, alice.asks("/v1/transfers/x/"+action, fields{}), api.ParameterMalformed)
		h.wantRefused(action, alice.asks("/v1/transfers/"+uuid.NewString()+"/"+action, fields{}), api.TransferNotFound)
	}
}

func TestBadPreferences(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.signUp("alice")
	for prefer, ok := range map[string]bool{
		"wait=0": true, "wait=0, respond-async": true, "respond-async": true, `wait="0"`: true, "wait = 0": true,
		"WAIT=0": true, "wait=0; foo=bar": true, "": true, ";": true,
		"wait": false, "wait=": false, "wait=-1": false, "wait=1.5": false, "wait=5s": false,
		"wait=99999999999": false, "wait=99999999999999999999": false, "wait=NaN": false, "wait=\x80": false,
	} {
		request := alice.asks("/v1/deposits", fields{"amount": 1, "currency": "USD"})
		request.headers = map[string]string{"Prefer": prefer}
		if ok {
			h.do(request).want(202)
			continue
		}
		h.wantRefused("Prefer: "+prefer, request, api.ParameterMalformed)
	}
}
