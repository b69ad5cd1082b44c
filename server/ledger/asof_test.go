package ledger_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

// observation is an answer of BalanceAt.
type observation struct {
	user    int
	at      time.Time
	balance int64
}

// TestBalancesAtATimeNeverChange: the test reads the balances of all users at one time while
// transfers are committed, and reads them again afterwards. Both answers are the same, and the
// balances of each time sum to all the money.
func TestBalancesAtATimeNeverChange(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledgers := []*ledger.Ledger{h.Ledger, h.another(ledger.Config{})}
	const userCount, funds, times = 5, 1000, 25
	users := make([]ledger.UserID, userCount)
	for i := range users {
		users[i] = h.user(funds)
	}
	start := h.now()

	stop := make(chan struct{})
	var writing sync.WaitGroup
	for i := range 6 {
		writing.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				o := ledger.TransferRequest{Owner: users[n%userCount], Key: newKey(), Payee: users[(n+1+i%2)%userCount], Amount: usd(int64(1 + n%7))}
				if _, err := ledgers[i%2].Transfer(t.Context(), o); err != nil {
					if !errors.Is(err, ledger.InsufficientFunds) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	observe := func(user int, at time.Time) observation {
		balance, at, err := ledgers[user%2].BalanceAt(t.Context(), users[user], "USD", at)
		if err != nil {
			t.Error(err)
		}
		return observation{user, at, balance}
	}
	var observed []observation
	for range times {
		first := observe(0, time.Time{}) // now
		sum := first.balance
		observed = append(observed, first)
		for user := 1; user < userCount; user++ {
			o := observe(user, first.at)
			sum += o.balance
			observed = append(observed, o)
		}
		if sum != userCount*funds {
			t.Errorf("at %v the balances sum to %d", first.at, sum)
		}
	}
	close(stop)
	writing.Wait()
	changed := false
	for _, o := range observed {
		if again := observe(o.user, o.at); again != o {
			t.Errorf("observed %+v, and later %+v", o, again)
		}
		changed = changed || o.balance != funds
	}
	if !changed {
		t.Error("no transfer was committed meanwhile")
	}
	if o := observe(2, start); o.balance != funds {
		t.Errorf("at the start the balance was %d", o.balance)
	}
	h.books()
}

func (h *fixture) now() time.Time {
	h.t.Helper()
	var now time.Time
	if err := h.pool.QueryRow(h.t.Context(), `SELECT clock_timestamp()`).Scan(&now); err != nil {
		h.t.Fatal(err)
	}
	return now
}

func TestBalanceAtLimits(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	beforeAll := h.now().Add(-24 * time.Hour)
	alice, bob := h.user(100), h.user(0)
	funded := h.now()
	paid := h.transfer(alice, bob, 40)
	balance := func(at time.Time, want int64) {
		t.Helper()
		got, when, err := h.BalanceAt(t.Context(), alice, "USD", at)
		if err != nil || got != want {
			t.Errorf("as of %v: %d, %v; want %d", at, got, err, want)
		}
		if !at.IsZero() && !when.Equal(at.Truncate(time.Microsecond)) {
			t.Errorf("asked for %v, answered for %v", at, when)
		}
	}
	balance(beforeAll, 0)
	balance(funded, 100)
	balance(paid.ResolvedAt.Add(-time.Microsecond), 100)
	balance(paid.ResolvedAt, 60)
	balance(time.Time{}, 60)
	_, _, err := h.BalanceAt(t.Context(), alice, "USD", h.now().Add(time.Minute))
	wantCode(t, err, ledger.TimeInFuture)
	_, _, err = h.BalanceAt(t.Context(), alice, "EUR", funded)
	wantCode(t, err, ledger.WalletNotFound)
}

// TestBalanceAtReservesItsTime: if the clock steps back after an answer, later postings must still
// have a later time than the answer. A test cannot set the clock back, so that it checks the
// reserved time.
func TestBalanceAtReservesItsTime(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(100)
	_, at, err := h.BalanceAt(t.Context(), alice, "USD", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var asOf time.Time
	if err := h.pool.QueryRow(t.Context(), `SELECT as_of FROM accounts WHERE owner = $1`, alice).Scan(&asOf); err != nil || !asOf.After(at) {
		t.Errorf("answered for %v, but the next posting may have the time %v, %v", at, asOf, err)
	}
}

// TestClockStepsBack: as_of of an account is ahead of the clock, as after the clock has stepped
// back by an hour. Earlier answers stay valid, and new postings get later times than the old ones.
func TestClockStepsBack(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(50)
	super := testkit.Connect(t, h.db.SuperuserURL)
	var ahead time.Time
	if err := super.QueryRow(t.Context(), `UPDATE accounts SET as_of = clock_timestamp() + interval '1 hour'
		WHERE owner = $1 RETURNING as_of`, alice).Scan(&ahead); err != nil {
		t.Fatal(err)
	}
	answered, at, err := h.BalanceAt(t.Context(), alice, "USD", time.Time{})
	if err != nil || answered != 100 {
		t.Fatal(answered, err)
	}
	for range 2 {
		// Both postings have the same time, that of the account whose as_of is later.
		if r := h.transfer(alice, bob, 5); r.ResolvedAt.Before(ahead) {
			t.Errorf("posted at %v, before %v", r.ResolvedAt, ahead)
		}
		if r := h.transfer(bob, alice, 1); r.ResolvedAt.Before(ahead) {
			t.Errorf("posted at %v, before %v", r.ResolvedAt, ahead)
		}
	}
	if again, _, err := h.BalanceAt(t.Context(), alice, "USD", at); err != nil || again != answered {
		t.Errorf("answered %d, and now %d, %v", answered, again, err)
	}
	if now, _, err := h.BalanceAt(t.Context(), bob, "USD", time.Time{}); err != nil || now != 50 {
		t.Errorf("bob's postings of the next hour are in the balance of now: %d, %v", now, err)
	}
	if got := h.wallet(bob).Balance; got != 58 {
		t.Errorf("bob has %d", got)
	}
	h.books()
}
