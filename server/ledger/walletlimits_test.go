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

func (h *fixture) limitWallet(owner ledger.UserID, want ledger.CurrencyLimit) ledger.WalletLimit {
	h.t.Helper()
	limit, err := h.SetWalletLimit(h.t.Context(), owner, want, nil)
	testkit.Must(h.t, err)
	return limit
}

// walletLimit returns the limit of the owner's wallet in USD.
func (h *fixture) walletLimit(owner ledger.UserID) ledger.WalletLimit {
	h.t.Helper()
	limits, err := h.WalletLimits(h.t.Context(), owner)
	testkit.Must(h.t, err)
	for _, limit := range limits {
		if limit.Currency == "USD" {
			return limit
		}
	}
	h.t.Fatal("no limit in USD")
	return ledger.WalletLimit{}
}

// TestWalletLimitHoldsForManySpenders: 64 spenders at two processes share a wallet whose owner
// allows 10 of 1.00, each command twice. A third of them have an API key whose own limit allows
// 3. Some withdraw.
func TestWalletLimitHoldsForManySpenders(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	h.limitWallet(alice, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 10_05, MaxPerTransfer: 1_00})
	key := h.limit(alice, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 3_00})
	processes := []*ledger.Ledger{h.Ledger, h.another(ledger.Config{Logger: h.watched()})}
	var (
		spending sync.WaitGroup
		mu       sync.Mutex
		codes    = map[problem.Code]int{}
		byKey    int
	)
	for i := range 64 {
		spending.Go(func() {
			request := ledger.TransferRequest{Owner: alice, Key: fmt.Sprint("spender-", i), Payee: bob, Amount: usd(1_00)}
			if i%3 == 0 {
				request.Limit = key
			}
			spend := (*ledger.Ledger).Transfer
			if i%5 == 0 {
				request.Payee, spend = ledger.UserID{}, (*ledger.Ledger).OpenWithdrawal
			}
			_, first := spend(processes[i%2], t.Context(), request)
			_, again := spend(processes[(i+1)%2], t.Context(), request)
			mu.Lock()
			defer mu.Unlock()
			codes[problem.CodeOf(first)]++
			if first == nil && i%3 == 0 {
				byKey++
			}
			if problem.CodeOf(first) != problem.CodeOf(again) {
				t.Errorf("first %v, then %v", first, again)
			}
		})
	}
	spending.Wait()
	testkit.Equal(t, "outcomes", fmt.Sprint(codes), fmt.Sprint(map[problem.Code]int{"": 10, ledger.LimitExceeded: 54}))
	testkit.Equal(t, "spent", h.walletLimit(alice).SpentToday, int64(10_00))
	testkit.Equal(t, "spent by the key", h.spentToday(key), int64(byKey)*1_00)
	if byKey > 3 {
		t.Errorf("the key has spent %d times, and its limit allows 3", byKey)
	}
	h.wantSound()
}

// TestWalletLimitGivesBack: what is not captured, voided, expired or rejected by the bank is given
// back, also to a limit that was lowered meanwhile.
func TestWalletLimitGivesBack(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ctx, alice, bob := t.Context(), h.user(100_00), h.user(0)
	before := h.authorize(alice, bob, 7) // does not count, and gives nothing back
	h.limitWallet(alice, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 50})
	request := func(minor int64) ledger.TransferRequest {
		return ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(minor)}
	}
	want := func(what string, spent int64) {
		t.Helper()
		testkit.Equal(t, "spent after "+what, h.walletLimit(alice).SpentToday, spent)
	}
	must := func(r ledger.Result, err error) ledger.FollowUp {
		t.Helper()
		testkit.Must(t, err)
		return ledger.FollowUp{Owner: bob, Key: newKey(), Target: r.Transfer.ID}
	}
	first, second := must(h.Authorize(ctx, request(30))), must(h.Authorize(ctx, request(20)))
	want("two holds", 50)
	must(h.Void(ctx, ledger.FollowUp{Owner: bob, Key: newKey(), Target: before.ID}))
	want("a void of a hold from before the limit", 50)
	_, err := h.Transfer(ctx, request(1))
	refused := wantCode(t, err, ledger.LimitExceeded)
	if !strings.Contains(err.Error(), "your own limit allows 0.50 USD a day (UTC), of which 0.00 USD is left until ") || !strings.Contains(err.Error(), "T00:00:00Z") {
		t.Errorf("the refusal does not say what is left, and until when: %v", err)
	}
	h.limitWallet(alice, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 20})
	first.Amount = 12
	must(h.Capture(ctx, first))
	want("a capture of 12 of 30", 32)
	must(h.Capture(ctx, first)) // a replay gives nothing back
	want("the same capture again", 32)
	_, err = h.Transfer(ctx, request(1))
	wantCode(t, err, ledger.LimitExceeded)
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
	out := must(h.OpenWithdrawal(ctx, request(8)))
	want("a withdrawal", 20)
	for range 2 {
		must(h.Settle(ctx, ledger.Settlement{Transfer: out.Target, Executed: false}))
	}
	want("the bank's rejection", 12)
	// What was refused stays refused, though now it would be allowed.
	again := request(1)
	again.Key = refused.Transfer.Key
	_, err = h.Transfer(ctx, again)
	wantCode(t, err, ledger.LimitExceeded)
	must(h.OpenDeposit(ctx, request(1000))) // money in
	want("a deposit", 12)
	must(h.Transfer(ctx, ledger.TransferRequest{Owner: bob, Key: newKey(), Payee: alice, Amount: usd(1)}))
	want("a transfer to the limited wallet", 12)
	h.wantSound()
}

// passDelay moves the time of the change of all limits into the past. Only a superuser without
// triggers can do that.
func (h *fixture) passDelay() {
	h.t.Helper()
	conn := testkit.Connect(h.t, h.db.SuperuserURL)
	_, err := conn.Exec(h.t.Context(), `SET session_replication_role = replica; UPDATE wallet_limits SET next_at = now() - interval '1 second' WHERE next_at IS NOT NULL`)
	testkit.Must(h.t, err)
}

// TestWalletLimitRisesLater: a lower limit holds at once. A higher one, and none, hold a day later.
func TestWalletLimitRisesLater(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	pay := func(minor int64, want problem.Code) {
		t.Helper()
		_, err := h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(minor)})
		if problem.CodeOf(err) != want {
			t.Errorf("a transfer of %d: %v, want %q", minor, err, want)
		}
	}
	limit := func(perTransfer, perDay int64) ledger.CurrencyLimit {
		return ledger.CurrencyLimit{Currency: "USD", MaxPerTransfer: perTransfer, MaxPerDay: perDay}
	}
	check := func(what string, got ledger.WalletLimit, now ledger.CurrencyLimit, next *ledger.CurrencyLimit) {
		t.Helper()
		testkit.Equal(t, what+": in effect", got.CurrencyLimit, now)
		testkit.Equal(t, what+": a change waits", got.Next != nil, next != nil)
		if next == nil || got.Next == nil {
			return
		}
		testkit.Equal(t, what+": later", *got.Next, *next)
		if wait := time.Until(got.NextAt); wait < 23*time.Hour || wait > 25*time.Hour {
			t.Errorf("%s: in effect in %v", what, wait)
		}
	}
	none := limit(0, 0)
	check("no limit", h.limitWallet(alice, none), none, nil)
	check("the first limit", h.limitWallet(alice, limit(10, 30)), limit(10, 30), nil)
	pay(11, ledger.LimitExceeded)
	pay(10, "")
	check("a lower one", h.limitWallet(alice, limit(5, 15)), limit(5, 15), nil)
	pay(6, ledger.LimitExceeded)
	pay(5, "")
	pay(1, ledger.LimitExceeded)

	higher := limit(50, 70)
	raised := h.limitWallet(alice, higher)
	check("a higher one", raised, limit(5, 15), &higher)
	pay(1, ledger.LimitExceeded)
	less := limit(50, 60)
	same := h.limitWallet(alice, less)
	check("less than that", same, limit(5, 15), &less)
	testkit.Equal(t, "the time of less than that", same.NextAt, raised.NextAt)
	later := h.limitWallet(alice, higher)
	if !later.NextAt.After(raised.NextAt) {
		t.Errorf("more than was asked for takes effect at %v, not after %v", later.NextAt, raised.NextAt)
	}
	mixed := limit(50, 10)
	check("one higher, one lower", h.limitWallet(alice, mixed), limit(5, 10), &mixed)
	check("the change taken back", h.limitWallet(alice, limit(5, 10)), limit(5, 10), nil)

	h.limitWallet(alice, higher)
	h.passDelay()
	check("a day after", h.walletLimit(alice), higher, nil)
	pay(50, "")
	pay(6, ledger.LimitExceeded)
	check("lowered again", h.limitWallet(alice, limit(50, 66)), limit(50, 66), nil)
	check("removed", h.limitWallet(alice, none), limit(50, 66), &none)
	pay(51, ledger.LimitExceeded)
	h.passDelay()
	check("a day after the removal", h.walletLimit(alice), none, nil)
	pay(500, "")
	check("set again", h.limitWallet(alice, limit(10, 66)), limit(10, 66), nil)
	pay(2, ledger.LimitExceeded) // 65 were spent under the limit of the same day
	pay(1, "")
	_, err := h.SetWalletLimit(t.Context(), alice, ledger.CurrencyLimit{Currency: "EUR", MaxPerDay: 1}, nil)
	wantCode(t, err, ledger.WalletNotFound)
	_, err = h.SetWalletLimit(t.Context(), alice, limit(-1, 0), nil)
	wantCode(t, err, ledger.AmountOutOfRange)
	h.wantSound()
}

// TestWalletAndKeyLimitsBothHold: a transfer of a key counts against both, and a transfer that one
// of them refuses counts against none. A preview is decided by both.
func TestWalletAndKeyLimitsBothHold(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ctx, alice, bob := t.Context(), h.user(100_00), h.user(0)
	h.limitWallet(alice, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 40, MaxPerTransfer: 25})
	key := h.limit(alice, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 30, MaxPerTransfer: 28})
	for _, c := range []struct {
		minor       int64
		limit       uuid.UUID
		why         string // "" if it is executed
		both, byKey int64  // spent afterwards
	}{
		{26, key, "your own limit allows at most 0.25 USD", 0, 0},
		{29, key, "API key allow at most 0.28 USD", 0, 0},
		{20, key, "", 20, 20},
		{11, key, "API key allow 0.30 USD a day (UTC), of which 0.10 USD is left", 20, 20},
		{15, uuid.Nil, "", 35, 20},
		{6, key, "your own limit allows 0.40 USD a day (UTC), of which 0.05 USD is left", 35, 20},
		{5, key, "", 40, 25},
	} {
		request := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(c.minor), Limit: c.limit}
		_, previewed := h.Preview(ctx, request, false)
		_, err := h.Transfer(ctx, request)
		for _, err := range []error{previewed, err} {
			if c.why == "" && err != nil || c.why != "" && (problem.CodeOf(err) != ledger.LimitExceeded || !strings.Contains(err.Error(), c.why)) {
				t.Errorf("%d: %v, want %q", c.minor, err, c.why)
			}
		}
		testkit.Equal(t, "spent", h.walletLimit(alice).SpentToday, c.both)
		testkit.Equal(t, "spent by the key", h.spentToday(key), c.byKey)
	}
	// A reversal leaves the wallet of the one who received.
	h.limitWallet(bob, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 3})
	received := h.transfer(h.user(10), bob, 10)
	_, err := h.Reverse(ctx, ledger.FollowUp{Owner: bob, Key: newKey(), Target: received.ID})
	wantCode(t, err, ledger.LimitExceeded)
	_, err = h.Reverse(ctx, ledger.FollowUp{Owner: bob, Key: newKey(), Target: received.ID, Amount: 3})
	testkit.Must(t, err)
	h.wantSound()
}

// TestWalletLimitOfAtomicBatch: a group that goes beyond the limit spends nothing.
func TestWalletLimitOfAtomicBatch(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	h.limitWallet(alice, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 25})
	group := func() (requests []ledger.GroupRequest) {
		for range 3 {
			requests = append(requests, ledger.GroupRequest{TransferRequest: ledger.TransferRequest{
				Owner: alice, Key: newKey(), Payee: bob, Amount: usd(10)}})
		}
		return requests
	}
	for _, result := range h.TransferMany(t.Context(), group(), true) {
		if !errors.Is(result.Err, ledger.BatchRefused) && !errors.Is(result.Err, ledger.LimitExceeded) {
			t.Errorf("a transfer of a group beyond the limit: %v", result.Err)
		}
	}
	testkit.Equal(t, "spent by a refused group", h.walletLimit(alice).SpentToday, int64(0))
	for _, result := range h.TransferMany(t.Context(), group()[:2], true) {
		testkit.Must(t, result.Err)
	}
	testkit.Equal(t, "spent", h.walletLimit(alice).SpentToday, int64(20))
	h.wantSound()
}

// TestWalletLimitIsSetWhileItIsSpent: when SetWalletLimit returns, every later transfer in every
// process is decided with the new limit.
func TestWalletLimitIsSetWhileItIsSpent(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	processes := []*ledger.Ledger{h.Ledger, h.another(ledger.Config{Logger: h.watched()})}
	ctx, stop := context.WithCancel(t.Context())
	var spending sync.WaitGroup
	for i := range 8 {
		spending.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, err := processes[i%2].Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)})
				if err != nil && !errors.Is(err, ledger.LimitExceeded) && !errors.Is(err, ledger.InsufficientFunds) {
					t.Error(err)
				}
			}
		})
	}
	for most := int64(40); most > 0; most -= 10 {
		h.limitWallet(alice, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: most})
		var refused bool
		testkit.Eventually(t, "the limit is reached", func() bool {
			_, err := processes[1].Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)})
			refused = errors.Is(err, ledger.LimitExceeded)
			return refused
		})
		if spent := h.walletLimit(alice).SpentToday; spent > 40 {
			t.Errorf("%d were spent, and the highest limit was 40", spent)
		}
	}
	stop()
	spending.Wait()
	h.wantSound()
}
