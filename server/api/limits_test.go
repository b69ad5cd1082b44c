package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

func (h *fixture) setLimit(u *user, currency string, body fields) *answer {
	h.t.Helper()
	return h.do(ask{method: "PUT", path: "/v1/limits/" + currency, token: u.access, body: body})
}

// TestUserLimitsHoldForSessionsAndKeys: a limit of the user holds whatever the request came with,
// beside the limits of the key. A key reads both and changes none.
func TestUserLimitsHoldForSessionsAndKeys(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	olga := h.operator()
	limit := read[openapi.WalletLimit](h.setLimit(alice, "USD", fields{"max_per_transfer": 50, "max_per_day": 100}).want(200))
	testkit.Equal(t, "most of a transfer", *limit.MaxPerTransfer, int64(50))
	testkit.Equal(t, "a change waits", limit.Next == nil, true)

	body := newKey("payroll", "transfers:write")
	body["limits"] = []fields{{"currency": "USD", "max_per_day": 60}}
	scripted := h.withKey(alice, body)
	h.post(alice, "/v1/transfers", pay(bob, 51)).wantProblem(openapi.LimitExceeded)
	h.post(scripted, "/v1/transfers", pay(bob, 51)).wantProblem(openapi.LimitExceeded)
	h.post(scripted, "/v1/transfers", pay(bob, 50)).want(201)
	refused := h.post(scripted, "/v1/transfers", pay(bob, 11).with("dry_run", true)).wantProblem(openapi.LimitExceeded)
	if !strings.Contains(refused.Detail, "0.10 USD is left") {
		t.Errorf("the preview of a key beyond its limit: %q", refused.Detail)
	}
	h.post(alice, "/v1/transfers", pay(bob, 50)).want(201)
	refused = h.post(scripted, "/v1/transfers", pay(bob, 1)).wantProblem(openapi.LimitExceeded)
	if !strings.Contains(refused.Detail, "your own limit allows 1.00 USD a day (UTC), of which 0.00 USD is left") {
		t.Errorf("the refusal by the limit of the user: %q", refused.Detail)
	}
	h.post(alice, "/v1/withdrawals", fields{"amount": 1, "currency": "USD"}).wantProblem(openapi.LimitExceeded)

	seen := read[openapi.Limits](h.get(scripted, "/v1/limits").want(200))
	testkit.Equal(t, "spent", seen.Items[0].SpentToday, int64(100))
	testkit.Equal(t, "spent by the key", *seen.Key.Limits[0].SpentToday, int64(50))
	testkit.Equal(t, "renews at midnight", seen.RenewsAt, seen.RenewsAt.Truncate(24*time.Hour))
	if seen.Key.Name != "payroll" || !seen.RenewsAt.After(time.Now()) {
		t.Errorf("the limits of a key are %+v", seen)
	}
	testkit.Equal(t, "a session has a key", read[openapi.Limits](h.get(alice, "/v1/limits").want(200)).Key == nil, true)
	testkit.Equal(t, "operators see", read[openapi.Limits](h.get(olga, "/v1/ops/users/@alice/limits").want(200)).Items[0].SpentToday, int64(100))
	h.get(olga, "/v1/ops/users/@nobody_here/limits").wantProblem(openapi.UserNotFound)

	h.setLimit(scripted, "USD", fields{"max_per_day": 1}).wantProblem(openapi.SessionRequired)
	h.do(ask{method: "DELETE", path: "/v1/limits/USD", token: scripted.access}).wantProblem(openapi.SessionRequired)
}

// TestUserLimitIsRaisedLater: the answer says when, and until then the limit holds.
func TestUserLimitIsRaisedLater(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	h.setLimit(alice, "USD", fields{"max_per_day": 10}).want(200)
	raised := read[openapi.WalletLimit](h.setLimit(alice, "USD", fields{"max_per_day": 20}).want(200))
	testkit.Equal(t, "in effect", *raised.MaxPerDay, int64(10))
	testkit.Equal(t, "later", *raised.Next.MaxPerDay, int64(20))
	if wait := time.Until(raised.Next.At); wait < 23*time.Hour || wait > 25*time.Hour {
		t.Errorf("the limit rises in %v", wait)
	}
	h.post(alice, "/v1/transfers", pay(bob, 11)).wantProblem(openapi.LimitExceeded)
	removed := read[openapi.WalletLimit](h.do(ask{method: "DELETE", path: "/v1/limits/USD", token: alice.access}).want(200))
	testkit.Equal(t, "a maximum later", removed.Next.MaxPerDay == nil, true)
	h.post(alice, "/v1/transfers", pay(bob, 11)).wantProblem(openapi.LimitExceeded)
	taken := read[openapi.WalletLimit](h.setLimit(alice, "USD", fields{"max_per_day": 5}).want(200))
	testkit.Equal(t, "a change waits", taken.Next != nil, false)
	h.post(alice, "/v1/transfers", pay(bob, 6)).wantProblem(openapi.LimitExceeded)
	h.post(alice, "/v1/transfers", pay(bob, 5)).want(201)
}

func TestBadUserLimits(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	for name, c := range map[string]struct {
		currency string
		body     fields
		code     openapi.ProblemCode
	}{
		"a currency that there is not": {"XQX", fields{"max_per_day": 1}, openapi.CurrencyUnknown},
		"a wallet that is not open":    {"EUR", fields{"max_per_day": 1}, openapi.WalletNotFound},
		"nothing":                      {"USD", fields{"max_per_day": 0}, openapi.AmountOutOfRange},
		"less than nothing":            {"USD", fields{"max_per_transfer": -1}, openapi.AmountOutOfRange},
		"more than there is":           {"USD", fields{"max_per_day": int64(1_000_000_000_000_001)}, openapi.AmountOutOfRange},
		"another field":                {"USD", fields{"max_per_month": 1}, openapi.BodyMalformed},
	} {
		h.wantRefused(name, ask{method: "PUT", path: "/v1/limits/" + c.currency, token: alice.access, body: c.body}, c.code)
	}
	h.do(ask{method: "DELETE", path: "/v1/limits/EUR", token: alice.access}).wantProblem(openapi.WalletNotFound)
	none := read[openapi.WalletLimit](h.do(ask{method: "DELETE", path: "/v1/limits/USD", token: alice.access}).want(200))
	testkit.Equal(t, "a limit that was never set", none.MaxPerDay == nil && none.Next == nil, true)
}

// TestLimitsAreSecurityEvents: a change of a limit is stored for its user; a request that changes
// nothing is not. The event of a new key says its limits.
func TestLimitsAreSecurityEvents(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	h.setLimit(alice, "USD", fields{"max_per_transfer": 5000, "max_per_day": 50000}).want(200)
	h.setLimit(alice, "USD", fields{"max_per_transfer": 5000, "max_per_day": 50000}).want(200)
	h.setLimit(alice, "USD", fields{"max_per_day": 0}).wantProblem(openapi.AmountOutOfRange)
	later := read[openapi.WalletLimit](h.do(ask{method: "DELETE", path: "/v1/limits/USD", token: alice.access}).want(200))
	h.do(ask{method: "DELETE", path: "/v1/limits/USD", token: alice.access}).want(200)
	body := newKey("payroll", "transfers:write")
	body["limits"] = []fields{{"currency": "USD", "max_per_transfer": 100}}
	h.withKey(alice, body)
	var changes []string
	for _, e := range read[openapi.SecurityEventList](h.get(alice, "/v1/sessions/history").want(200)).Items {
		if e.Event == "limit_changed" && e.SessionId == nil {
			t.Errorf("no session: %+v", e)
		}
		if e.Event == "limit_changed" || e.Event == "key_created" {
			changes = append(changes, e.Event+" "+*e.Detail)
		}
	}
	const limit = "at most 50.00 USD per transfer, 500.00 USD a day"
	testkit.Equal(t, "events", strings.Join(changes, "\n"), strings.Join([]string{
		"key_created payroll: at most 1.00 USD per transfer",
		"limit_changed " + limit + "; from " + later.Next.At.UTC().Format("2006-01-02 15:04 UTC") + " on: no limit of USD",
		"limit_changed " + limit,
	}, "\n"))
}
