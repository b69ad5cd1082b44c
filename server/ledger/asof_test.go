package ledger_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

type question struct {
	who     int
	at      time.Time
	balance int64
}

// TestAnswersAsOfNeverChange: while others write, everybody's balance is asked for
// at one instant, and again when much has been written since. The answers are the
// same, and at each instant all money is there.
func TestAnswersAsOfNeverChange(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledgers := []*ledger.Ledger{h.Ledger, h.another(ledger.Config{})}
	const people, funds, instants = 5, 1000, 25
	users := make([]uuid.UUID, people)
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
				o := ledger.TransferRequest{Owner: users[n%people], Key: newKey(), Payee: users[(n+1+i%2)%people], Amount: usd(int64(1 + n%7))}
				if _, err := ledgers[i%2].Transfer(t.Context(), o); err != nil {
					if !errors.Is(err, ledger.InsufficientFunds) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	ask := func(who int, at time.Time) question {
		balance, at, err := ledgers[who%2].BalanceAt(t.Context(), users[who], "USD", at)
		if err != nil {
			t.Error(err)
		}
		return question{who, at, balance}
	}
	var given []question
	for range instants {
		first := ask(0, time.Time{}) // as close to now as can be
		sum, asked := first.balance, []question{first}
		for who := 1; who < people; who++ {
			q := ask(who, first.at)
			sum, asked = sum+q.balance, append(asked, q)
		}
		if sum != people*funds {
			t.Errorf("at %v there were %d", first.at, sum)
		}
		given = append(given, asked...)
	}
	close(stop)
	writing.Wait()
	changed := false
	for _, q := range given {
		if again := ask(q.who, q.at); again != q {
			t.Errorf("answered %+v, and later %+v", q, again)
		}
		changed = changed || q.balance != funds
	}
	if !changed {
		t.Error("nothing was written meanwhile")
	}
	if q := ask(2, start); q.balance != funds {
		t.Errorf("at the start there were %d", q.balance)
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

func TestBalanceAtItsEdges(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	long := h.now().Add(-24 * time.Hour)
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
	balance(long, 0)
	balance(funded, 100)
	balance(paid.ResolvedAt.Add(-time.Microsecond), 100)
	balance(paid.ResolvedAt, 60)
	balance(time.Time{}, 60)
	_, _, err := h.BalanceAt(t.Context(), alice, "USD", h.now().Add(time.Minute))
	wantCode(t, err, ledger.TimeInFuture)
	_, _, err = h.BalanceAt(t.Context(), alice, "EUR", funded)
	wantCode(t, err, ledger.WalletNotFound)
}

// TestAnswerReservesItsTime: should the clock step back after an answer, what is
// posted then must still be dated after it. The clock of a test cannot step, so
// the reservation itself is looked at.
func TestAnswerReservesItsTime(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(100)
	_, at, err := h.BalanceAt(t.Context(), alice, "USD", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var asOf time.Time
	if err := h.pool.QueryRow(t.Context(), `SELECT as_of FROM accounts WHERE owner = $1`, alice).Scan(&asOf); err != nil || !asOf.After(at) {
		t.Errorf("answered for %v, but lines may be dated %v, %v", at, asOf, err)
	}
}

// TestClockStepsBack: the account's lines are dated ahead of the clock, as after a
// step of an hour. What has been answered stands, and new lines follow the old.
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
		// Both lines bear one time, which is that of the account further ahead.
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
		t.Errorf("bob's lines of the next hour count already: %d, %v", now, err)
	}
	if got := h.wallet(bob).Balance; got != 58 {
		t.Errorf("bob has %d", got)
	}
	h.books()
}
