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

// tally counts what came of many calls at once.
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

// together runs n goroutines that start at once.
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
			var came tally
			together(tt.callers, func(i int) {
				amount := usd(int64(100 + i%tt.bodies))
				came.add(ledgers[i%tt.ledgers].Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: amount}))
			})
			came.want(t, 1, tt.replayed, tt.reused)
			if got := h.wallet(alice).Balance + h.wallet(bob).Balance; got != 100_000 {
				t.Errorf("%d is left of 100000", got)
			}
			h.books()
		})
	}
}

// TestOneKeyWithoutCommonAccounts: the locks of the accounts do not order these
// two, so the unique key has to, and its loser must still be told the truth.
func TestOneKeyWithoutCommonAccounts(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	second := h.another(ledger.Config{})
	alice, bob := h.user(100), h.user(0)
	h.euros(alice, 100)
	h.euros(bob, 0)
	key := newKey()
	super := testkit.Connect(t, h.db.SuperuserURL)
	lift := h.barrier()
	var came tally
	var running sync.WaitGroup
	running.Go(func() {
		came.add(h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: usd(10)}))
	})
	running.Go(func() {
		came.add(second.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: eur(10)}))
	})
	h.untilWaiting(super, 2) // both have looked for the key and found nothing
	lift()
	running.Wait()
	came.want(t, 1, 0, 1)
	h.books()
}

// TestKeysLockNoCircle: batches that share keys but no account meet at the unique
// index, where the earlier key must come first whatever the order of commands.
func TestKeysLockNoCircle(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{Committers: 1, Logger: h.watched()})
	alice, bob := h.user(100), h.user(0)
	super := testkit.Connect(t, h.db.SuperuserURL)
	other, err := testkit.Connect(t, h.db.AppURL).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	take := func(key string) { // as another batch would, from accounts of its own
		if _, err := other.Exec(t.Context(), `INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount, currency,
				owner, idem_key, fingerprint, created_at)
			VALUES (gen_random_uuid(), 'deposit', 'pending', 1000, 1001, 1, 'EUR', $1, $2, sha256(''), now())`, alice, key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	take("key-1")
	var came tally
	send := func(key string) func() {
		return func() {
			came.add(l.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: key, Payee: bob, Amount: usd(1)}))
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
	came.want(t, 2, 0, 0)
	h.books()
}

func TestHotAccount(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledgers := []*ledger.Ledger{h.Ledger, h.another(ledger.Config{Logger: h.watched()})}
	const callers, each = 64, 5
	shop := h.user(0)
	people := make([]uuid.UUID, callers)
	together(callers, func(i int) { people[i] = h.user(100) })
	var came tally
	together(callers, func(i int) {
		for range each {
			came.add(ledgers[i%2].Transfer(t.Context(), ledger.TransferRequest{Owner: people[i], Key: newKey(), Payee: shop, Amount: usd(3)}))
		}
	})
	came.want(t, callers*each, 0, 0)
	if got := h.wallet(shop); got.Balance != callers*each*3 {
		t.Errorf("the shop has %d", got.Balance)
	}
	h.books()
}

// TestManySpendersOfOneWallet: more is asked for than there is; not a cent more is
// given.
func TestManySpendersOfOneWallet(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledgers := []*ledger.Ledger{h.Ledger, h.another(ledger.Config{})}
	alice, bob := h.user(100), h.user(0)
	var came tally
	together(64, func(i int) {
		o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(7)}
		if i%4 == 0 {
			came.add(ledgers[i%2].OpenWithdrawal(t.Context(), o))
		} else {
			came.add(ledgers[i%2].Transfer(t.Context(), o))
		}
	})
	if came.effects != 14 || came.codes[ledger.InsufficientFunds] != 50 {
		t.Errorf("%d effects, %v", came.effects, came.codes)
	}
	if got := h.wallet(alice).Available(); got != 2 {
		t.Errorf("%d is available", got)
	}
	h.books()
}

// TestHoldEndsOnce: captures, voids and the clock race for one authorization.
func TestHoldEndsOnce(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledgers := []*ledger.Ledger{h.Ledger, h.another(ledger.Config{})}
	alice, bob := h.user(1000), h.user(0)
	for range 10 {
		a := h.authorize(alice, bob, 10)
		var came tally
		together(12, func(i int) {
			f := ledger.FollowUp{Owner: bob, Key: newKey(), Target: a.ID}
			if i%3 == 0 {
				came.add(ledgers[i%2].Void(t.Context(), f))
			} else {
				came.add(ledgers[i%2].Capture(t.Context(), f))
			}
		})
		if came.effects != 1 || came.codes[ledger.TransferNotPending] != 11 {
			t.Fatalf("%d effects, %v", came.effects, came.codes)
		}
	}
	h.books()
}

// TestUserWalletsAreNoCircle: freezing a user locks all wallets of one owner, and
// must do it in the order that batches do.
func TestUserWalletsAreNoCircle(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(0)
	h.euros(alice, 0) // a later id, and an earlier name
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
	running.Go(func() { // a batch, next in the queue for the first wallet
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

// TestOppositePairs: A→B in one process, B→A in the other, many pairs over.
func TestOppositePairs(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledgers := []*ledger.Ledger{h.another(ledger.Config{Logger: h.watched()}), h.another(ledger.Config{Logger: h.watched()})}
	users := make([]uuid.UUID, 6)
	together(len(users), func(i int) { users[i] = h.user(10_000) })
	var came tally
	together(40, func(i int) {
		for j := range 10 {
			from := (i/2 + j) % len(users)
			to := (from + 1) % len(users)
			if i%2 == 1 {
				from, to = to, from
			}
			came.add(ledgers[i%2].Transfer(t.Context(), ledger.TransferRequest{Owner: users[from], Key: newKey(), Payee: users[to], Amount: usd(1)}))
		}
	})
	came.want(t, 400, 0, 0)
	h.books()
}
