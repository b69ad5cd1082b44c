package ledger_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

// tally counts the outcomes of concurrent calls.
type tally struct {
	mu       sync.Mutex
	effects  int
	replayed int
	codes    map[problem.Code]int
	ids      map[uuid.UUID]bool
}

func (c *tally) add(r ledger.Result, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.codes == nil {
		c.codes, c.ids = map[problem.Code]int{}, map[uuid.UUID]bool{}
	}
	code := problem.CodeOf(err)
	switch {
	case code != "":
		c.codes[code]++
	case r.Replayed:
		c.replayed++
		c.ids[r.Transfer.ID] = true
	default:
		c.effects++
		c.ids[r.Transfer.ID] = true
	}
}

func (c *tally) want(t *testing.T, effects, replayed, reused int) {
	t.Helper()
	others := len(c.codes)
	if reused > 0 {
		others--
	}
	if c.effects != effects || c.replayed != replayed || c.codes[ledger.KeyReused] != reused || others != 0 || len(c.ids) != effects {
		t.Errorf("%d effects, %d replays, %v, %d transfers; want %d, %d and %d reused", c.effects, c.replayed, c.codes, len(c.ids), effects, replayed, reused)
	}
}

// together runs do in n goroutines that start at the same time.
func together(n int, do func(i int)) {
	var running sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		running.Go(func() {
			<-start
			do(i)
		})
	}
	close(start)
	running.Wait()
}

func TestOneKeyAtOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name             string
		callers, ledgers int
		bodies           int
		replayed, reused int
	}{
		{"same body", 200, 1, 1, 199, 0},
		{"same body, two processes", 200, 2, 1, 199, 0},
		{"other bodies", 50, 1, 50, 0, 49},
		{"other bodies, two processes", 50, 2, 50, 0, 49},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			ledgers := []*ledger.Ledger{h.Ledger, h.another(ledger.Config{Logger: h.watched()})}
			alice, bob := h.user(100_000), h.user(0)
			key := newKey()
			var outcomes tally
			together(tt.callers, func(i int) {
				amount := usd(int64(100 + i%tt.bodies))
				outcomes.add(ledgers[i%tt.ledgers].Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: amount}))
			})
			outcomes.want(t, 1, tt.replayed, tt.reused)
			if got := h.wallet(alice).Balance + h.wallet(bob).Balance; got != 100_000 {
				t.Errorf("%d is left of 100000", got)
			}
			h.books()
		})
	}
}

// TestOneKeyWithoutCommonAccounts: two commands with one key have no account in common, so that the
// locks of accounts do not order them. The unique key does, and the second command fails with
// KeyReused.
func TestOneKeyWithoutCommonAccounts(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	second := h.another(ledger.Config{})
	alice, bob := h.user(100), h.user(0)
	h.euros(alice, 100)
	h.euros(bob, 0)
	key := newKey()
	super := testkit.Connect(t, h.db.SuperuserURL)
	unblock := h.blockWrites()
	var outcomes tally
	var running sync.WaitGroup
	running.Go(func() {
		outcomes.add(h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: usd(10)}))
	})
	running.Go(func() {
		outcomes.add(second.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: eur(10)}))
	})
	h.untilWaiting(super, 2) // both have read the transfers and not found the key
	unblock()
	running.Wait()
	outcomes.want(t, 1, 0, 1)
	h.books()
}

// TestKeysDoNotDeadlock: batches that share keys but no account wait for each other at the unique
// index. Each must insert its keys in their order, whatever the order of its commands.
func TestKeysDoNotDeadlock(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{Committers: 1, Logger: h.watched()})
	alice, bob := h.user(100), h.user(0)
	super := testkit.Connect(t, h.db.SuperuserURL)
	other, err := testkit.Connect(t, h.db.AppURL).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	take := func(key string) { // as a batch with other accounts would
		if _, err := other.Exec(t.Context(), `INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount, currency,
				owner, idem_key, fingerprint, created_at)
			VALUES (gen_random_uuid(), 'deposit', 'pending', 1000, 1001, 1, 'EUR', $1, $2, sha256(''), now())`, alice, key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	take("key-1")
	var outcomes tally
	send := func(key string) func() {
		return func() {
			outcomes.add(l.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: usd(1)}))
		}
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		h.asOneBatch(l, send("key-2"), send("key-1"))
	}()
	testkit.Eventually(t, "the batch waits for key-1", func() bool {
		var waiting int
		if err := super.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event = 'transactionid' AND query LIKE 'INSERT%'`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		return waiting > 0
	})
	take("key-2")
	if err := other.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-sent
	outcomes.want(t, 2, 0, 0)
	h.books()
}

func TestHotAccount(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledgers := []*ledger.Ledger{h.Ledger, h.another(ledger.Config{Logger: h.watched()})}
	const callers, each = 64, 5
	shop := h.user(0)
	payers := make([]ledger.UserID, callers)
	together(callers, func(i int) { payers[i] = h.user(100) })
	var outcomes tally
	together(callers, func(i int) {
		for range each {
			outcomes.add(ledgers[i%2].Transfer(t.Context(), ledger.TransferRequest{Owner: payers[i], Key: newKey(), Payee: shop, Amount: usd(3)}))
		}
	})
	outcomes.want(t, callers*each, 0, 0)
	if got := h.wallet(shop); got.Balance != callers*each*3 {
		t.Errorf("the shop has %d", got.Balance)
	}
	h.books()
}

// TestManySpendersOfOneWallet: concurrent requests ask for more than the wallet has. Exactly as
// many succeed as its money covers.
func TestManySpendersOfOneWallet(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledgers := []*ledger.Ledger{h.Ledger, h.another(ledger.Config{})}
	alice, bob := h.user(100), h.user(0)
	var outcomes tally
	together(64, func(i int) {
		o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(7)}
		if i%4 == 0 {
			outcomes.add(ledgers[i%2].OpenWithdrawal(t.Context(), o))
		} else {
			outcomes.add(ledgers[i%2].Transfer(t.Context(), o))
		}
	})
	if outcomes.effects != 14 || outcomes.codes[ledger.InsufficientFunds] != 50 {
		t.Errorf("%d effects, %v", outcomes.effects, outcomes.codes)
	}
	if got := h.wallet(alice).Available(); got != 2 {
		t.Errorf("%d is available", got)
	}
	h.books()
}

// TestHoldEndsOnce: of concurrent captures and voids of one authorization, exactly one succeeds.
func TestHoldEndsOnce(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledgers := []*ledger.Ledger{h.Ledger, h.another(ledger.Config{})}
	alice, bob := h.user(1000), h.user(0)
	for range 10 {
		a := h.authorize(alice, bob, 10)
		var outcomes tally
		together(12, func(i int) {
			f := ledger.FollowUp{Owner: bob, Key: newKey(), Target: a.ID}
			if i%3 == 0 {
				outcomes.add(ledgers[i%2].Void(t.Context(), f))
			} else {
				outcomes.add(ledgers[i%2].Capture(t.Context(), f))
			}
		})
		if outcomes.effects != 1 || outcomes.codes[ledger.TransferNotPending] != 11 {
			t.Fatalf("%d effects, %v", outcomes.effects, outcomes.codes)
		}
	}
	h.books()
}

// TestFreezeDoesNotDeadlock: freezing a user locks all wallets of the user, and must do so in the
// order in which batches lock accounts.
func TestFreezeDoesNotDeadlock(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(0)
	h.euros(alice, 0) // its id is later, and its currency is earlier in the alphabet
	super := testkit.Connect(t, h.db.SuperuserURL)
	var ids []int64
	if err := super.QueryRow(t.Context(), `SELECT array_agg(id ORDER BY id) FROM accounts WHERE owner = $1`, alice).Scan(&ids); err != nil {
		t.Fatal(err)
	}
	first, err := testkit.Connect(t, h.db.AppURL).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Exec(t.Context(), ledger.LockAccounts, ids[:1]); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { // a batch that waits for the lock of the first wallet
		batch := testkit.Connect(t, h.db.AppURL)
		if _, err := batch.Exec(context.Background(), ledger.LockAccounts, ids); err != nil {
			t.Error(err)
		}
	})
	h.untilWaiting(super, 1)
	running.Go(func() {
		if err := h.SetStatus(t.Context(), alice, ledger.Frozen); err != nil {
			t.Error(err)
		}
	})
	h.untilWaiting(super, 2)
	if err := first.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	running.Wait()
}

// TestOppositePairs: two processes transfer between the same pairs of users, in opposite
// directions.
func TestOppositePairs(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledgers := []*ledger.Ledger{h.another(ledger.Config{Logger: h.watched()}), h.another(ledger.Config{Logger: h.watched()})}
	users := make([]ledger.UserID, 6)
	together(len(users), func(i int) { users[i] = h.user(10_000) })
	var outcomes tally
	together(40, func(i int) {
		for j := range 10 {
			from := (i/2 + j) % len(users)
			to := (from + 1) % len(users)
			if i%2 == 1 {
				from, to = to, from
			}
			outcomes.add(ledgers[i%2].Transfer(t.Context(), ledger.TransferRequest{Owner: users[from], Key: newKey(), Payee: users[to], Amount: usd(1)}))
		}
	})
	outcomes.want(t, 400, 0, 0)
	h.books()
}
