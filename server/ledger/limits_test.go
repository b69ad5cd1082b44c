package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// limit stores a limit of the owner.
func (h *fixture) limit(owner ledger.UserID, c ledger.CurrencyLimit, payees ...ledger.UserID) uuid.UUID {
	h.t.Helper()
	limit := ledger.SpendingLimit{ID: uuid.Must(uuid.NewV7()), Owner: owner, Currencies: []ledger.CurrencyLimit{c}, Payees: payees}
	testkit.Must(h.t, limit.Check())
	testkit.Must(h.t, h.AddLimit(h.t.Context(), limit))
	return limit.ID
}

func (h *fixture) spentToday(limit uuid.UUID) int64 {
	h.t.Helper()
	found, err := h.Limits(h.t.Context(), []uuid.UUID{limit})
	testkit.Must(h.t, err)
	return found[limit].SpentToday[0]
}

func (h *fixture) wantSound() {
	h.t.Helper()
	report, err := ledger.Audit(h.t.Context(), h.pool)
	testkit.Must(h.t, err)
	if !report.OK() {
		h.t.Errorf("the audit fails:\n%s", table(report))
	}
}

// TestLimitHoldsForManySpenders: 64 spenders at two processes share a limit that allows 10. Each
// sends its command twice: a replay neither spends nor is allowed later.
func TestLimitHoldsForManySpenders(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	limit := h.limit(alice, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 10_05, MaxPerTransfer: 1_00})
	processes := []*ledger.Ledger{h.Ledger, h.another(ledger.Config{Logger: h.watched()})}
	var (
		spending sync.WaitGroup
		mu       sync.Mutex
		codes    = map[problem.Code]int{}
	)
	for i := range 64 {
		spending.Go(func() {
			request := ledger.TransferRequest{Owner: alice, Key: fmt.Sprint("spender-", i), Payee: bob, Amount: usd(1_00), Limit: limit}
			_, first := processes[i%2].Transfer(t.Context(), request)
			_, again := processes[(i+1)%2].Transfer(t.Context(), request)
			mu.Lock()
			defer mu.Unlock()
			codes[problem.CodeOf(first)]++
			if problem.CodeOf(first) != problem.CodeOf(again) {
				t.Errorf("first %v, then %v", first, again)
			}
		})
	}
	spending.Wait()
	testkit.Equal(t, "outcomes", fmt.Sprint(codes), fmt.Sprint(map[problem.Code]int{"": 10, ledger.LimitExceeded: 54}))
	testkit.Equal(t, "spent", h.spentToday(limit), int64(10_00))
	h.wantSound()
}

// TestLimitGivesBack: a hold counts when it is made; what is not captured, voided, expired or
// rejected by the bank is given back.
func TestLimitGivesBack(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ctx, alice, bob := t.Context(), h.user(100_00), h.user(0)
	limit := h.limit(alice, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 50})
	request := func(minor int64) ledger.TransferRequest {
		return ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(minor), Limit: limit}
	}
	want := func(what string, spent int64) {
		t.Helper()
		testkit.Equal(t, "spent after "+what, h.spentToday(limit), spent)
	}
	must := func(r ledger.Result, err error) ledger.FollowUp {
		t.Helper()
		testkit.Must(t, err)
		return ledger.FollowUp{Owner: bob, Key: newKey(), Target: r.Transfer.ID}
	}
	first, second := must(h.Authorize(ctx, request(30))), must(h.Authorize(ctx, request(20)))
	want("two holds", 50)
	_, err := h.Transfer(ctx, request(1))
	refused := wantCode(t, err, ledger.LimitExceeded)
	if !strings.Contains(err.Error(), "0.00 USD is left until ") || !strings.Contains(err.Error(), "T00:00:00Z") {
		t.Errorf("the refusal does not say what is left, and until when: %v", err)
	}
	first.Amount = 12
	must(h.Capture(ctx, first))
	want("a capture of 12 of 30", 32)
	must(h.Capture(ctx, first)) // a replay gives nothing back
	want("the same capture again", 32)
	must(h.Void(ctx, second))
	want("a void", 12)
	soon := request(5)
	soon.ExpiresAt = time.Now().Add(50 * time.Millisecond)
	must(h.Authorize(ctx, soon))
	want("a hold that expires", 17)
	testkit.Eventually(t, "the hold expires", func() bool {
		n, err := h.ExpireDue(ctx, 10)
		testkit.Must(t, err)
		return n == 1
	})
	want("the expiry", 12)
	out := must(h.OpenWithdrawal(ctx, request(38)))
	want("a withdrawal", 50)
	for range 2 {
		must(h.Settle(ctx, ledger.Settlement{Transfer: out.Target, Executed: false}))
	}
	want("the bank's rejection", 12)
	// What was refused stays refused, though now it would be allowed.
	again := request(1)
	again.Key = refused.Transfer.Key
	_, err = h.Transfer(ctx, again)
	wantCode(t, err, ledger.LimitExceeded)
	// A transfer that breaks another rule counts nothing.
	poor := request(20)
	poor.Payee = ledger.UserID(uuid.New())
	_, err = h.Transfer(ctx, poor)
	wantCode(t, err, ledger.PayeeWalletMissing)
	want("a refusal", 12)
	h.wantSound()
}

func TestLimitNamesPayeesCurrenciesAndMaximum(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ctx, alice, bob, carol := t.Context(), h.user(100_00), h.user(0), h.user(0)
	h.euros(alice, 100)
	h.euros(bob, 0)
	limit := h.limit(alice, ledger.CurrencyLimit{Currency: "USD", MaxPerTransfer: 10}, bob)
	for name, c := range map[string]struct {
		request ledger.TransferRequest
		do      func(context.Context, ledger.TransferRequest) (ledger.Result, error)
		code    problem.Code
	}{
		"allowed":              {ledger.TransferRequest{Payee: bob, Amount: usd(10)}, h.Transfer, ""},
		"one more":             {ledger.TransferRequest{Payee: bob, Amount: usd(11)}, h.Transfer, ledger.LimitExceeded},
		"a hold":               {ledger.TransferRequest{Payee: bob, Amount: usd(11)}, h.Authorize, ledger.LimitExceeded},
		"another payee":        {ledger.TransferRequest{Payee: carol, Amount: usd(1)}, h.Transfer, ledger.LimitExceeded},
		"a withdrawal":         {ledger.TransferRequest{Amount: usd(1)}, h.OpenWithdrawal, ledger.LimitExceeded},
		"another currency":     {ledger.TransferRequest{Payee: bob, Amount: eur(1)}, h.Transfer, ledger.LimitExceeded},
		"a deposit, money in":  {ledger.TransferRequest{Amount: usd(1000)}, h.OpenDeposit, ""},
		"an unknown limit":     {ledger.TransferRequest{Payee: bob, Amount: usd(1), Limit: uuid.New()}, h.Transfer, ledger.LimitExceeded},
		"a limit that is void": {ledger.TransferRequest{Payee: bob, Amount: usd(1), Limit: uuid.Max}, h.Transfer, ledger.LimitExceeded},
	} {
		c.request.Owner, c.request.Key = alice, newKey()
		if c.request.Limit == uuid.Nil {
			c.request.Limit = limit
		}
		if _, err := c.do(ctx, c.request); problem.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
	}
	// A reversal sends money out as well.
	received := h.transfer(alice, bob, 20)
	theirs := h.limit(bob, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 15})
	_, err := h.Reverse(ctx, ledger.FollowUp{Owner: bob, Key: newKey(), Target: received.ID, Limit: theirs})
	wantCode(t, err, ledger.LimitExceeded)
	_, err = h.Reverse(ctx, ledger.FollowUp{Owner: bob, Key: newKey(), Target: received.ID, Amount: 15, Limit: theirs})
	testkit.Must(t, err)
	testkit.Equal(t, "spent by the reversal", h.spentToday(theirs), int64(15))
	h.wantSound()
}

// TestLimitOfAtomicBatch: a group that goes beyond the limit spends nothing.
func TestLimitOfAtomicBatch(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	limit := h.limit(alice, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 25})
	group := func() (requests []ledger.GroupRequest) {
		for range 3 {
			requests = append(requests, ledger.GroupRequest{TransferRequest: ledger.TransferRequest{
				Owner: alice, Key: newKey(), Payee: bob, Amount: usd(10), Limit: limit}})
		}
		return requests
	}
	for i, result := range h.TransferMany(t.Context(), group(), true) {
		want := ledger.BatchRefused
		if i == 2 {
			want = ledger.LimitExceeded
		}
		if !errors.Is(result.Err, want) {
			t.Errorf("transfer %d: %v", i, result.Err)
		}
	}
	found, err := h.Limits(t.Context(), []uuid.UUID{limit})
	testkit.Must(t, err)
	testkit.Equal(t, "spent by a refused group", found[limit].SpentToday[0], int64(0))
	posted := 0
	for _, result := range h.TransferMany(t.Context(), group(), false) {
		if result.Err == nil {
			posted++
		}
	}
	testkit.Equal(t, "posted of three", posted, 2)
	testkit.Equal(t, "spent", h.spentToday(limit), int64(20))
	h.wantSound()
}
