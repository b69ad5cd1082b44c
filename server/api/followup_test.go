package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/ledger"
)

// authorize makes an authorization of alice's for bob.
func (h *fixture) authorize(from, to *user, amount int64) string {
	h.t.Helper()
	held := read[openapi.Transfer](h.post(from, "/v1/transfers", pay(to, amount).with("authorize", true).with("memo", canary)).want(201))
	testkit.Equal(h.t, "kind", held.Kind, openapi.TransferKindAuthorization)
	testkit.Equal(h.t, "state", held.State, openapi.Pending)
	if held.ExpiresAt == nil || time.Until(*held.ExpiresAt) < 6*24*time.Hour || held.ResolvedAt != nil {
		h.t.Errorf("an authorization of %+v", held)
	}
	return "/v1/transfers/" + held.Id.String()
}

func TestCapture(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	mallory := h.signUp("mallory")
	path := h.authorize(alice, bob, 60)
	h.wantBalance(alice, 100, 60)
	h.wantBalance(bob, 0, 0)
	h.post(alice, path+"/capture", fields{}).wantProblem(openapi.Forbidden)
	h.post(mallory, path+"/capture", fields{}).wantProblem(openapi.TransferNotFound)
	h.post(bob, path+"/capture", fields{"amount": 61}).wantProblem(openapi.CaptureExceedsHold)
	h.post(bob, path+"/reverse", fields{}).wantProblem(openapi.TransferNotReversible)
	h.wantBalance(alice, 100, 60)

	got := read[openapi.Transfer](h.post(bob, path+"/capture", fields{"amount": 25}).want(201))
	testkit.Equal(t, "state", got.State, openapi.Posted)
	testkit.Equal(t, "amount", got.Amount, 25)
	testkit.Equal(t, "authorized", *got.AuthorizedAmount, 60)
	testkit.Equal(t, "direction for bob", got.Direction, openapi.In)
	h.wantBalance(alice, 75, 0)
	h.wantBalance(bob, 25, 0)
	h.post(bob, path+"/capture", fields{}).wantProblem(openapi.TransferNotPending)
	h.post(bob, path+"/void", nil).wantProblem(openapi.TransferNotPending)

	whole := read[openapi.Transfer](h.post(bob, h.authorize(alice, bob, 75)+"/capture", fields{}).want(201))
	testkit.Equal(t, "amount of the whole", whole.Amount, 75)
	testkit.Equal(t, "authorized whole", *whole.AuthorizedAmount, 75)
	h.wantBalance(alice, 0, 0)
	h.wantBalance(bob, 100, 0)
}

// TestCaptureRacesVoid: of many concurrent captures and voids, one succeeds.
func TestCaptureRacesVoid(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	path := h.authorize(alice, bob, 100)
	won := 0
	for _, got := range h.atOnce(30, func(i int) ask {
		if i%2 == 0 {
			return bob.asks(path+"/capture", fields{})
		}
		return bob.asks(path+"/void", nil)
	}) {
		if got.status == 201 {
			won++
			continue
		}
		got.wantProblem(openapi.TransferNotPending)
	}
	testkit.Equal(t, "winners", won, 1)
	testkit.Equal(t, "money", h.wallet(alice).Balance+h.wallet(bob).Balance, 100)
	testkit.Equal(t, "held", h.wallet(alice).Held, 0)
}

func TestVoid(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	mallory := h.signUp("mallory")
	path := h.authorize(alice, bob, 60)
	refused := h.post(alice, path+"/void", nil).wantProblem(openapi.Forbidden)
	expires := read[openapi.Transfer](h.get(alice, path).want(200)).ExpiresAt.UTC().Format(time.RFC3339)
	if !strings.Contains(refused.Detail, "only @"+bob.handle) || !strings.Contains(refused.Detail, expires) {
		t.Errorf("who can void it, and when it ends by itself: %s", refused.Detail)
	}
	h.post(mallory, path+"/void", nil).wantProblem(openapi.TransferNotFound)
	h.wantBalance(alice, 100, 60)
	request := bob.asks(path+"/void", nil)
	for i := range 2 {
		got := h.do(request).want(201)
		testkit.Equal(t, "replayed", got.replayed(), i == 1)
		testkit.Equal(t, "state", read[openapi.Transfer](got).State, openapi.Voided)
		testkit.Equal(t, "reason", text(read[openapi.Transfer](got).Reason), ledger.ReasonVoided)
	}
	h.wantBalance(alice, 100, 0)
	h.post(bob, path+"/capture", fields{}).wantProblem(openapi.TransferNotPending)
	h.get(mallory, path).wantProblem(openapi.TransferNotFound)
	testkit.Equal(t, "as alice sees it", read[openapi.Transfer](h.get(alice, path).want(200)).State, openapi.Voided)
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	soon := pay(bob, 60).with("authorize", true).with("expires_at", time.Now().Add(150*time.Millisecond).Format(time.RFC3339Nano))
	held := read[openapi.Transfer](h.post(alice, "/v1/transfers", soon).want(201))
	path := "/v1/transfers/" + held.Id.String()
	testkit.Eventually(t, "the authorization to lapse", func() bool {
		expired, err := h.ledger.ExpireDue(context.Background(), 10)
		testkit.Must(t, err)
		return expired == 1
	})
	h.post(bob, path+"/capture", fields{}).wantProblem(openapi.AuthorizationExpired)
	h.post(bob, path+"/void", nil).wantProblem(openapi.AuthorizationExpired)
	testkit.Equal(t, "reason", text(read[openapi.Transfer](h.get(alice, path).want(200)).Reason), ledger.ReasonExpired)
	h.wantBalance(alice, 100, 0)

	past := pay(bob, 60).with("authorize", true).with("expires_at", "2020-01-01T00:00:00Z")
	h.post(alice, "/v1/transfers", past).wantProblem(openapi.AuthorizationExpired)
	h.wantBalance(alice, 100, 0)
}

func TestReverse(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	mallory := h.signUp("mallory")
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 60).with("memo", canary)).want(201))
	path := "/v1/transfers/" + sent.Id.String()
	if refused := h.post(alice, path+"/reverse", fields{}).wantProblem(openapi.Forbidden); !strings.Contains(refused.Detail, "only @"+bob.handle) {
		t.Errorf("who can send it back: %s", refused.Detail)
	}
	h.post(mallory, path+"/reverse", fields{}).wantProblem(openapi.TransferNotFound)
	h.post(bob, path+"/reverse", fields{"amount": 61}).wantProblem(openapi.ReversalExceedsTransfer)
	h.post(bob, path+"/capture", fields{}).wantProblem(openapi.TransferNotPending)

	request := bob.asks(path+"/reverse", fields{"amount": 20})
	for i := range 2 {
		got := h.do(request).want(201)
		testkit.Equal(t, "replayed", got.replayed(), i == 1)
		back := read[openapi.Transfer](got)
		testkit.Equal(t, "kind", back.Kind, openapi.TransferKindReversal)
		testkit.Equal(t, "reverses", *back.Reverses, sent.Id)
		testkit.Equal(t, "direction for bob", back.Direction, openapi.Out)
		testkit.Equal(t, "to", text(back.To.Handle), "alice")
	}
	testkit.Equal(t, "reversed so far", *read[openapi.Transfer](h.get(alice, path).want(200)).ReversedAmount, 20)
	h.wantBalance(alice, 60, 0)
	h.post(bob, path+"/reverse", fields{}).want(201) // the rest
	h.post(bob, path+"/reverse", fields{}).wantProblem(openapi.ReversalExceedsTransfer)
	h.wantBalance(alice, 100, 0)
	h.wantBalance(bob, 0, 0)

	deposit := read[openapi.Transfer](h.post(alice, "/v1/deposits", fields{"amount": 5, "currency": "USD"}).want(202))
	for _, action := range []string{"capture", "void", "reverse"} { // only the bank ends a deposit
		got := h.post(alice, fmt.Sprintf("/v1/transfers/%s/%s", deposit.Id, action), fields{})
		if action == "reverse" {
			got.wantProblem(openapi.TransferNotReversible)
			continue
		}
		got.wantProblem(openapi.TransferNotPending)
	}
	h.wantBalance(alice, 100, 0)
}

// TestReverseAfterTheMoneyIsSpent: a payee who has spent the money cannot send it back.
func TestReverseAfterTheMoneyIsSpent(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	carol := h.signUp("carol")
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 60)).want(201))
	h.post(bob, "/v1/transfers", pay(carol, 60)).want(201)
	refused := h.post(bob, "/v1/transfers/"+sent.Id.String()+"/reverse", fields{}).wantProblem(openapi.InsufficientFunds)
	h.get(bob, "/v1/transfers/"+refused.TransferId.String()).want(200)
	h.get(alice, "/v1/transfers/"+refused.TransferId.String()).wantProblem(openapi.TransferNotFound)
	h.wantBalance(bob, 0, 0)
	h.wantBalance(carol, 60, 0)
}
