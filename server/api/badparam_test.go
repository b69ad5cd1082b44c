package api_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

func TestBadKeys(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 1)).want(201)).Id.String()
	paths := map[string]any{
		"/v1/transfers":                      pay(bob, 1),
		"/v1/deposits":                       fields{"amount": 1, "currency": "USD"},
		"/v1/withdrawals":                    fields{"amount": 1, "currency": "USD"},
		"/v1/transfers/" + sent + "/capture": fields{},
		"/v1/transfers/" + sent + "/void":    nil,
		"/v1/transfers/" + sent + "/reverse": fields{},
	}
	for path, body := range paths {
		for key, code := range map[string]openapi.ProblemCode{
			"":                        openapi.IdempotencyKeyMissing,
			" ":                       openapi.IdempotencyKeyMissing,
			`""`:                      openapi.IdempotencyKeyMalformed,
			"two words":               openapi.IdempotencyKeyMalformed,
			`"two words"`:             openapi.IdempotencyKeyMalformed,
			"tab\tbed":                openapi.IdempotencyKeyMalformed,
			"schlüssel":               openapi.IdempotencyKeyMalformed,
			"\xff\xfe":                openapi.IdempotencyKeyMalformed,
			strings.Repeat("k", 256):  openapi.IdempotencyKeyMalformed,
			strings.Repeat("k", 3000): openapi.IdempotencyKeyMalformed,
		} {
			request := bob.asks(path, body)
			request.key, request.headers = "", map[string]string{"Idempotency-Key": key}
			h.wantRefused(fmt.Sprintf("%s with %q", path, key), request, code)
		}
		request := bob.asks(path, body)
		request.key = ""
		h.wantRefused(path+" without a key", request, openapi.IdempotencyKeyMissing)
	}
	longest := alice.asks("/v1/transfers", pay(bob, 1))
	longest.key = strings.Repeat("k", 255)
	h.do(longest).want(201)
}

// TestQuotedKeyIsTheSameKey: the bare key and the quoted string of the IETF draft are one key.
func TestQuotedKeyIsTheSameKey(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	request := alice.asks("/v1/transfers", pay(bob, 1))
	bare := h.do(request).want(201)
	request.key = `"` + request.key + `"`
	quoted := h.do(request).want(201)
	testkit.Equal(t, "replayed", quoted.replayed(), true)
	testkit.Equal(t, "transfer", read[openapi.Transfer](quoted).Id, read[openapi.Transfer](bare).Id)
	h.wantBalance(bob, 1, 0)
}

func TestBadParameters(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	h.post(alice, "/v1/transfers", pay(bob, 1)).want(201)
	zeros := "00000000-0000-0000-0000-00000000000"
	for path, code := range map[string]openapi.ProblemCode{
		"/v1/transfers?limit=0":                                               openapi.ParameterMalformed,
		"/v1/transfers?limit=-1":                                              openapi.ParameterMalformed,
		"/v1/transfers?limit=101":                                             openapi.ParameterMalformed,
		"/v1/transfers?limit=":                                                openapi.ParameterMalformed,
		"/v1/transfers?limit=ten":                                             openapi.ParameterMalformed,
		"/v1/transfers?limit=1e1":                                             openapi.ParameterMalformed,
		"/v1/transfers?limit=99999999999":                                     openapi.ParameterMalformed,
		"/v1/transfers?limit=5&limit=6":                                       openapi.ParameterMalformed,
		"/v1/transfers?limit=%1b%5d52":                                        openapi.ParameterMalformed,
		"/v1/transfers?cursor=x":                                              openapi.ParameterMalformed,
		"/v1/transfers?cursor=%00":                                            openapi.ParameterMalformed,
		"/v1/transfers?cursor=" + strings.Repeat("A", 5000):                   openapi.ParameterMalformed,
		"/v1/transfers?cursor=" + uuid.NewString():                            openapi.ParameterMalformed,
		"/v1/transfers?state=done":                                            openapi.ParameterMalformed,
		"/v1/transfers?state=Posted":                                          openapi.ParameterMalformed,
		"/v1/transfers?kind=capture":                                          openapi.ParameterMalformed,
		"/v1/transfers?direction=sideways":                                    openapi.ParameterMalformed,
		"/v1/transfers?currency=usd":                                          openapi.CurrencyUnknown,
		"/v1/transfers?since=yesterday":                                       openapi.ParameterMalformed,
		"/v1/transfers?since=2026-01-01":                                      openapi.ParameterMalformed,
		"/v1/transfers?since=2026-13-01T00:00:00Z":                            openapi.ParameterMalformed,
		"/v1/transfers?until=0001-01-01T00:00:00Z":                            openapi.ParameterMalformed,
		"/v1/transfers?until=" + url.QueryEscape("9999-12-31T23:59:59-23:00"): openapi.ParameterMalformed,
		"/v1/transfers?min_amount=0":                                          openapi.ParameterMalformed,
		"/v1/transfers?max_amount=-1":                                         openapi.ParameterMalformed,
		"/v1/transfers?min_amount=1.50":                                       openapi.ParameterMalformed,
		"/v1/transfers?min_amount=2&max_amount=1":                             openapi.ParameterMalformed,
		"/v1/transfers?max_amount=99999999999999999999":                       openapi.ParameterMalformed,
		"/v1/transfers?key=" + strings.Repeat("k", 256):                       openapi.ParameterMalformed,
		"/v1/transfers?key=a%20b":                                             openapi.ParameterMalformed,
		"/v1/transfers?tag=A":                                                 openapi.ParameterMalformed,
		"/v1/transfers?tag=a%3D":                                              openapi.ParameterMalformed,
		"/v1/transfers?with=@unknown":                                         openapi.UserNotFound,
		"/v1/transfers?with=%1b":                                              openapi.ParameterMalformed,
		"/v1/transfers?q=" + strings.Repeat("q", 81):                          openapi.ParameterMalformed,
		"/v1/transfers?q=%ff":                                                 openapi.ParameterMalformed,
		"/v1/transfers?q=%00":                                                 openapi.ParameterMalformed,
		"/v1/transfers?q=%1b%5b2J":                                            openapi.ParameterMalformed,
		"/v1/transfers?q=%":                                                   openapi.ParameterMalformed,
		"/v1/transfers?q=%zz":                                                 openapi.ParameterMalformed,
		"/v1/transfers?a;b":                                                   openapi.ParameterMalformed,
		"/v1/users":                                                           openapi.ParameterMalformed,
		"/v1/users?q=%ff":                                                     openapi.ParameterMalformed,
		"/v1/users?q=%00":                                                     openapi.ParameterMalformed,
		"/v1/users?q=" + strings.Repeat("q", 81):                              openapi.ParameterMalformed,
		"/v1/transfers/x":                                                     openapi.ParameterMalformed,
		"/v1/transfers/%1b%5d52;c;":                                           openapi.ParameterMalformed,
		"/v1/transfers/" + zeros:                                              openapi.ParameterMalformed,
		"/v1/transfers/" + zeros + "0":                                        openapi.TransferNotFound,
		"/v1/transfers/ffffffff-ffff-ffff-ffff-ffffffffffff":                  openapi.TransferNotFound,
		"/v1/wallets/usd/balance":                                             openapi.CurrencyUnknown,
		"/v1/wallets/%1b%5d52;c;%07/balance":                                  openapi.CurrencyUnknown,
		"/v1/wallets/%ff/balance":                                             openapi.CurrencyUnknown,
		"/v1/wallets/EUR/balance":                                             openapi.WalletNotFound,
		"/v1/wallets/EUR/statements/2026-01":                                  openapi.WalletNotFound,
		"/v1/wallets/usd/statements/2026-01":                                  openapi.CurrencyUnknown,
		"/v1/wallets/USD/statements/2199-01":                                  openapi.TimeInFuture,
		"/v1/wallets/USD/statements/2026-13":                                  openapi.ParameterMalformed,
		"/v1/wallets/USD/statements/2026-1":                                   openapi.ParameterMalformed,
		"/v1/wallets/USD/statements/1969-12":                                  openapi.ParameterMalformed,
		"/v1/wallets/USD/statements/%1b%5d52":                                 openapi.ParameterMalformed,
		"/v1/wallets/USD/statements/2026-01?limit=0":                          openapi.ParameterMalformed,
		"/v1/wallets/USD/statements/2026-01?limit=501":                        openapi.ParameterMalformed,
		"/v1/wallets/USD/statements/2026-01?totals=0":                         openapi.ParameterMalformed,
		"/v1/wallets/USD/statements/2026-01?totals=501":                       openapi.ParameterMalformed,
		"/v1/wallets/USD/statements/2026-01?cursor=x":                         openapi.ParameterMalformed,
		"/v1/wallets/USD/statements/2026-01?cursor=%00":                       openapi.ParameterMalformed,
		"/v1/wallets/USD/balance?at=now":                                      openapi.ParameterMalformed,
		"/v1/wallets/USD/balance?at=2199-01-01T00:00:00Z":                     openapi.TimeInFuture,
		"/v1/wallets/USD/balance?at=0001-01-01T00:00:00Z":                     openapi.ParameterMalformed,
		"/v1/wallets/USD/balance?at=0000-01-01T00:00:00%2B23:59":              openapi.ParameterMalformed,
	} {
		h.wantRefused(path, ask{method: "GET", path: path, token: alice.access}, code)
	}
	for _, path := range []string{"/v1/sessions/x", "/v1/sessions/'--"} {
		h.wantRefused(path, ask{method: "DELETE", path: path, token: alice.access}, openapi.ParameterMalformed)
	}
	for _, action := range []string{"capture", "void", "reverse"} {
		h.wantRefused(action, alice.asks("/v1/transfers/x/"+action, fields{}), openapi.ParameterMalformed)
		h.wantRefused(action, alice.asks("/v1/transfers/"+uuid.NewString()+"/"+action, fields{}), openapi.TransferNotFound)
	}
}

func TestBadPreferences(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
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
		h.wantRefused("Prefer: "+prefer, request, openapi.ParameterMalformed)
	}
}
