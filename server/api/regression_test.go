package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
)

// The web wallet that Kizo replaces had the defects that these tests check for. Those with
// idempotency keys are in idempotency_test.go.

// TestNegativeAmountsAreRejected: a negative transfer would take money from the payee, and a
// negative withdrawal would create money.
func TestNegativeAmountsAreRejected(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	mallory, bob := h.signUp("mallory"), h.signUp("bob")
	h.fund(bob, 1000)
	h.fund(mallory, 1000)
	for _, amount := range []int64{-1, -500, -1000, -1 << 62, 0} {
		for path, body := range map[string]fields{
			"/v1/transfers":   pay(bob, amount),
			"/v1/withdrawals": {"amount": amount, "currency": "USD"},
			"/v1/deposits":    {"amount": amount, "currency": "USD"},
		} {
			h.wantRefused(path, mallory.asks(path, body), openapi.AmountOutOfRange)
		}
		h.wantRefused("authorize", mallory.asks("/v1/transfers", pay(bob, amount).with("authorize", true)), openapi.AmountOutOfRange)
	}
	sent := read[openapi.Transfer](h.post(bob, "/v1/transfers", pay(mallory, 10)).want(201)).Id.String()
	h.wantRefused("reverse", mallory.asks("/v1/transfers/"+sent+"/reverse", fields{"amount": -10}), openapi.AmountOutOfRange)
	h.wantBalance(mallory, 1010, 0)
	h.wantBalance(bob, 990, 0)
}

// TestHeldMoneyIsNotSpent: money that a withdrawal holds must not be sent as well.
func TestHeldMoneyIsNotSpent(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	out := read[openapi.Transfer](h.post(alice, "/v1/withdrawals", fields{"amount": 100, "currency": "USD"}).want(202))
	h.wantBalance(alice, 100, 100)
	h.post(alice, "/v1/transfers", pay(bob, 100)).wantProblem(openapi.InsufficientFunds)
	h.post(alice, "/v1/transfers", pay(bob, 1).with("authorize", true)).wantProblem(openapi.InsufficientFunds)
	h.post(alice, "/v1/withdrawals", fields{"amount": 1, "currency": "USD"}).wantProblem(openapi.InsufficientFunds)
	h.settle(out.Id, true)
	h.wantBalance(alice, 0, 0)
	h.wantBalance(bob, 0, 0)

	// Concurrent requests must not spend it either.
	h.fund(alice, 100)
	won := 0
	for _, got := range h.atOnce(40, func(i int) ask {
		if i%2 == 0 {
			return alice.asks("/v1/withdrawals", fields{"amount": 30, "currency": "USD"})
		}
		return alice.asks("/v1/transfers", pay(bob, 30))
	}) {
		if got.status < 300 {
			won++
			continue
		}
		got.wantProblem(openapi.InsufficientFunds)
	}
	testkit.Equal(t, "of forty that want 30 of 100", won, 3)
	testkit.Equal(t, "left to spend", h.wallet(alice).Available, 10)
}

// TestBalanceIsNeverStale: a balance must include what was received just before.
func TestBalanceIsNeverStale(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	for i := int64(1); i <= 20; i++ {
		h.wantBalance(bob, i-1, 0)
		sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 1)).want(201))
		h.wantBalance(bob, i, 0)
		h.wantBalance(alice, 1000-i, 0)
		newest := read[openapi.TransferList](h.get(bob, "/v1/transfers?limit=1").want(200)).Items[0]
		testkit.Equal(t, "newest", newest.Id, sent.Id)
		at := read[openapi.Balance](h.get(bob, "/v1/wallets/USD/balance").want(200))
		testkit.Equal(t, "balance as of now", at.Balance, i)
		then := h.get(bob, "/v1/wallets/USD/balance?at="+at.At.Format("2006-01-02T15:04:05.999999999Z")).want(200)
		testkit.Equal(t, "asked again", read[openapi.Balance](then).Balance, i)
	}
	testkit.Equal(t, "cache", h.get(bob, "/v1/wallets").header.Get("Cache-Control"), "no-store")
	h.post(alice, "/v1/withdrawals", fields{"amount": 5, "currency": "USD"}).want(202)
	h.wantBalance(alice, 980, 5)
}

// TestLogOutEndsAccess: after a log-out, neither token of the session is accepted.
func TestLogOutEndsAccess(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	other := read[openapi.Tokens](h.do(ask{method: "POST", path: "/v1/auth/login", body: fields{"login": "@alice", "password": password}}).want(200))
	h.log.keepOut(other.AccessToken, other.RefreshToken)
	h.post(alice, "/v1/auth/logout", nil).want(204)
	before := h.rows()
	h.post(alice, "/v1/transfers", pay(bob, 1)).wantProblem(openapi.SessionRevoked)
	h.get(alice, "/v1/me").wantProblem(openapi.SessionRevoked)
	h.do(ask{method: "POST", path: "/v1/auth/refresh", body: fields{"refresh_token": alice.refresh}}).wantProblem(openapi.RefreshTokenInvalid)
	h.post(alice, "/v1/auth/logout", nil).wantProblem(openapi.SessionRevoked)
	h.wantUntouched("a session that has ended", before)

	alice.access = other.AccessToken // the session of the other device stays open
	list := read[openapi.SessionList](h.get(alice, "/v1/sessions").want(200))
	testkit.Equal(t, "sessions left", len(list.Items), 1)
	testkit.Equal(t, "is this one", list.Items[0].Current, true)
	h.do(ask{method: "DELETE", path: "/v1/sessions/" + list.Items[0].Id.String(), token: alice.access}).want(204)
	h.get(alice, "/v1/me").wantProblem(openapi.SessionRevoked)
}

// TestRefreshTokenReuseEndsTheSession: the revocation must not be rolled back with the refused
// refresh.
func TestRefreshTokenReuseEndsTheSession(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	refresh := func(token string) *answer {
		return h.do(ask{method: "POST", path: "/v1/auth/refresh", body: fields{"refresh_token": token}})
	}
	next := read[openapi.Tokens](refresh(alice.refresh).want(200))
	h.log.keepOut(next.AccessToken, next.RefreshToken)
	fresh := &user{handle: "alice", access: next.AccessToken}
	h.get(fresh, "/v1/me").want(200)
	refresh(alice.refresh).wantProblem(openapi.RefreshTokenReused)
	h.get(fresh, "/v1/me").wantProblem(openapi.SessionRevoked)
	h.get(alice, "/v1/me").wantProblem(openapi.SessionRevoked)
	refresh(next.RefreshToken).wantProblem(openapi.RefreshTokenInvalid)
}

// TestSuspendedUserCannotPay: an access token of a suspended user is refused before it expires.
func TestSuspendedUserCannotPay(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	mallory, bob := h.pair(100)
	testkit.Must(t, h.auth.Suspend(t.Context(), mallory.id, "stolen card"))
	before := h.rows()
	h.post(mallory, "/v1/transfers", pay(bob, 1)).wantProblem(openapi.AccountSuspended)
	h.post(mallory, "/v1/withdrawals", fields{"amount": 1, "currency": "USD"}).wantProblem(openapi.AccountSuspended)
	h.get(mallory, "/v1/wallets").wantProblem(openapi.AccountSuspended)
	h.do(ask{method: "POST", path: "/v1/auth/login", body: fields{"login": "alice", "password": password}}).wantProblem(openapi.AccountSuspended)
	h.do(ask{method: "POST", path: "/v1/auth/refresh", body: fields{"refresh_token": mallory.refresh}}).wantProblem(openapi.RefreshTokenInvalid)
	h.wantUntouched("a suspended user", before)
}

// TestSearchIsBoundedAndHidesAddresses: a search must not return all users, nor e-mail addresses.
func TestSearchIsBoundedAndHidesAddresses(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	for i := range 13 {
		_, _, err := h.auth.SignUp(t.Context(), auth.SignUpInput{
			Email: fmt.Sprintf("sam%d@example.com", i), Handle: fmt.Sprintf("sam%d", i), Name: "Sam", Password: password,
		})
		testkit.Must(t, err)
	}
	got := h.get(alice, "/v1/users?q=sam").want(200)
	testkit.Equal(t, "found", len(read[openapi.PersonList](got).Items), 10)
	testkit.Equal(t, "addresses", strings.Contains(string(got.body), "example.com"), false)
	for _, q := range []string{"", "%25", "_", "sam1@example.com", "@", "example", "+", "%27"} {
		testkit.Equal(t, "found by "+q, len(read[openapi.PersonList](h.get(alice, "/v1/users?q="+q).want(200)).Items), 0)
	}
	// A transfer does not show an e-mail address either, even if it was sent to one.
	h.fund(alice, 10)
	sent := h.post(alice, "/v1/transfers", fields{"to": "sam1@example.com", "amount": 1, "currency": "USD"})
	testkit.Equal(t, "addresses in a transfer", strings.Contains(string(sent.body), "@example"), false)
}

// TestAmountsAreExactAndRetriesAreSafe: amounts must not be floats, and a retry must not pay again.
func TestAmountsAreExactAndRetriesAreSafe(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	const maxAmount = 1_000_000_000_000_000 // 10^15
	alice, bob := h.pair(maxAmount)
	want := int64(0)
	for _, amount := range []int64{999_999_999_999_999 - 30, 1, 29} { // a float32 or rounding would lose these
		request := alice.asks("/v1/transfers", pay(bob, amount))
		want += amount
		for range 3 { // the request and two retries
			got := h.do(request).want(201)
			var raw struct {
				Amount json.Number `json:"amount"`
			}
			testkit.Must(t, json.Unmarshal(got.body, &raw))
			testkit.Equal(t, "amount as it is written", raw.Amount.String(), fmt.Sprint(amount))
		}
		h.wantBalance(bob, want, 0)
	}
	h.wantBalance(alice, maxAmount-want, 0)

	// Currencies with no minor unit, and with three.
	for currency, amount := range map[string]int64{"JPY": 1, "KWD": 1, "CLF": 12345} {
		h.post(alice, "/v1/wallets", fields{"currency": currency}).want(201)
		h.post(bob, "/v1/wallets", fields{"currency": currency}).want(201)
		in := read[openapi.Transfer](h.post(alice, "/v1/deposits", fields{"amount": amount, "currency": currency}).want(202))
		h.settle(in.Id, true)
		sent := h.post(alice, "/v1/transfers", pay(bob, amount).with("currency", currency)).want(201)
		testkit.Equal(t, currency, read[openapi.Transfer](sent).Amount, amount)
	}
}

// TestPayeeWithoutTheWallet: the transfer is refused, and no wallet is opened for the payee.
func TestPayeeWithoutTheWallet(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(0 + 1)
	h.post(alice, "/v1/wallets", fields{"currency": "EUR"}).want(201)
	request := alice.asks("/v1/transfers", pay(bob, 1).with("currency", "EUR"))
	refused := h.do(request).wantProblem(openapi.PayeeWalletMissing)
	again := h.do(request)
	again.wantProblem(openapi.PayeeWalletMissing)
	testkit.Equal(t, "replayed", again.replayed(), true)
	id := refused.TransferId.String()
	shown := read[openapi.Transfer](h.get(alice, "/v1/transfers/"+id).want(200))
	testkit.Equal(t, "shown to bob", text(shown.To.Handle), "")
	h.post(alice, "/v1/transfers/"+id+"/reverse", fields{}).wantProblem(openapi.Forbidden)
	h.get(bob, "/v1/transfers/"+id).wantProblem(openapi.TransferNotFound)
	h.get(bob, "/v1/transfers/"+uuid.NewString()).wantProblem(openapi.TransferNotFound)
}
