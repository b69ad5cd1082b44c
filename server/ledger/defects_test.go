package ledger_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/ledger"
)

// These are the defects of the system that Kizo replaces, as far as they concern the ledger. The
// number of each is the one that it had there.

// TestNegativeAmountsAreRejected, defect 01: a transfer of −N took N from the payee, and a
// withdrawal of −N created money.
func TestNegativeAmountsAreRejected(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(100)
	held := h.authorize(alice, bob, 10)
	for _, minor := range []int64{0, -1, -100, -money.Max, money.Max + 1} {
		o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(minor)}
		_, err := h.Transfer(t.Context(), o)
		wantCode(t, err, ledger.AmountOutOfRange)
		_, err = h.Authorize(t.Context(), o)
		wantCode(t, err, ledger.AmountOutOfRange)
		_, err = h.OpenDeposit(t.Context(), o)
		wantCode(t, err, ledger.AmountOutOfRange)
		_, err = h.OpenWithdrawal(t.Context(), o)
		wantCode(t, err, ledger.AmountOutOfRange)
		_, err = h.Preview(t.Context(), o, false)
		wantCode(t, err, ledger.AmountOutOfRange)
		if minor == 0 {
			continue // in a follow-up, 0 means all of it
		}
		f := ledger.FollowUp{Owner: bob, Key: newKey(), Target: held.ID, Amount: minor}
		_, err = h.Capture(t.Context(), f)
		wantCode(t, err, ledger.AmountOutOfRange)
		_, err = h.Reverse(t.Context(), f)
		wantCode(t, err, ledger.AmountOutOfRange)
	}
	if a, b := h.wallet(alice), h.wallet(bob); a.Balance != 100 || b.Balance != 100 {
		t.Errorf("alice has %d, bob %d", a.Balance, b.Balance)
	}
	h.books()
}

// TestHeldMoneyIsNotAvailable, defect 02: a user withdrew 100 and transferred the same 100, and the
// settlement made the balance −100.
func TestHeldMoneyIsNotAvailable(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	w := h.withdraw(alice, 100)
	_, err := h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(100)})
	wantCode(t, err, ledger.InsufficientFunds)
	_, err = h.OpenWithdrawal(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Amount: usd(1)})
	wantCode(t, err, ledger.InsufficientFunds)
	_, err = h.Authorize(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)})
	wantCode(t, err, ledger.InsufficientFunds)
	if _, err := h.Settle(t.Context(), ledger.Settlement{Transfer: w.ID, Executed: true}); err != nil {
		t.Fatal(err)
	}
	if got := h.wallet(alice); got.Balance != 0 || got.Held != 0 {
		t.Errorf("alice has %+v", got)
	}
	h.books()
}

// TestBalancesNeedPostings, defect 03: balances were numbers that any code could set. Here a
// balance is the sum of the account's postings, and the postings of a transfer sum to zero.
// TestDatabaseRefuses has the full list of statements.
func TestBalancesNeedPostings(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(100)
	app := testkit.Connect(t, h.db.AppURL)
	for _, sql := range []string{
		`UPDATE accounts SET balance = balance + 1 WHERE owner = $1`,
		`UPDATE accounts SET balance = balance + 1, seq = seq + 1 WHERE owner = $1`,
		`INSERT INTO postings SELECT id, seq + 1, gen_random_uuid(), 1, balance + 1, now() FROM accounts WHERE owner = $1`,
	} {
		_, err := app.Exec(t.Context(), sql, alice)
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != integrity {
			t.Errorf("%s: %v", sql, err)
		}
	}
	var postings, sum int64
	if err := app.QueryRow(t.Context(), `SELECT count(*), sum(amount) FROM all_postings`).Scan(&postings, &sum); err != nil || postings != 2 || sum != 0 {
		t.Errorf("%d postings with the sum %d, %v; want the 2 of the deposit", postings, sum, err)
	}
	h.books()
}

// TestSameKeyWithAnotherBodyIsRejected, defect 04: the same key with another body got the answer to
// the first body.
func TestSameKeyWithAnotherBodyIsRejected(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob, carol := h.user(100), h.user(10), h.user(0)
	first := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(10), Memo: "rent"}
	if _, err := h.Transfer(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	held := h.authorize(bob, alice, 10)
	for name, change := range map[string]func(*ledger.TransferRequest){
		"amount":  func(o *ledger.TransferRequest) { o.Amount = usd(11) },
		"payee":   func(o *ledger.TransferRequest) { o.Payee = carol },
		"memo":    func(o *ledger.TransferRequest) { o.Memo = "Rent" },
		"no memo": func(o *ledger.TransferRequest) { o.Memo = "" },
	} {
		o := first
		change(&o)
		_, err := h.Transfer(t.Context(), o)
		if e := wantCode(t, err, ledger.KeyReused); e.Transfer != nil {
			t.Errorf("%s: the answer shows the other transfer", name)
		}
	}
	_, err := h.OpenWithdrawal(t.Context(), first)
	wantCode(t, err, ledger.KeyReused)
	_, err = h.Authorize(t.Context(), first)
	wantCode(t, err, ledger.KeyReused)
	_, err = h.Void(t.Context(), ledger.FollowUp{Owner: alice, Key: first.Key, Target: held.ID})
	wantCode(t, err, ledger.KeyReused)
	if r, err := h.Transfer(t.Context(), first); err != nil || !r.Replayed {
		t.Errorf("the same body: %+v, %v", r, err)
	}
	// Keys belong to their owners: another user may use the same key.
	h.fund(bob, 50)
	if r, err := h.Transfer(t.Context(), ledger.TransferRequest{Owner: bob, Key: first.Key, Payee: alice, Amount: usd(1)}); err != nil || r.Replayed {
		t.Errorf("bob's own key: %+v, %v", r, err)
	}
	h.books()
}

// TestConcurrentRequestsWithOneKey, defect 05: of two concurrent requests with one key, one got
// status 500. TestOneKeyAtOnce does the same for transfers, with more callers.
func TestConcurrentRequestsWithOneKey(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(100)
	for _, do := range []func(*ledger.Ledger, ledger.TransferRequest) (ledger.Result, error){
		func(l *ledger.Ledger, o ledger.TransferRequest) (ledger.Result, error) {
			return l.OpenDeposit(t.Context(), o)
		},
		func(l *ledger.Ledger, o ledger.TransferRequest) (ledger.Result, error) {
			return l.OpenWithdrawal(t.Context(), o)
		},
	} {
		o := ledger.TransferRequest{Owner: alice, Key: newKey(), Amount: usd(10)}
		var outcomes tally
		together(20, func(int) { outcomes.add(do(h.Ledger, o)) })
		outcomes.want(t, 1, 19, 0)
	}
	h.books()
}

// TestKeyIsCheckedBeforeFunds, defect 06: the balance was checked before the key, so that the
// repetition of a successful transfer was answered with insufficient funds.
func TestKeyIsCheckedBeforeFunds(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	all := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(100)}
	first, err := h.Transfer(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SetStatus(t.Context(), alice, ledger.Frozen); err != nil {
		t.Fatal(err)
	}
	again, err := h.Transfer(t.Context(), all) // the wallet is empty and frozen now
	if err != nil || !again.Replayed || again.Transfer.ID != first.Transfer.ID {
		t.Errorf("got %+v, %v", again, err)
	}
	if err := h.SetStatus(t.Context(), alice, ledger.Active); err != nil {
		t.Fatal(err)
	}
	// A refusal stays a refusal as well, although there is enough money now.
	poor := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(5)}
	_, err = h.Transfer(t.Context(), poor)
	refusal := wantCode(t, err, ledger.InsufficientFunds)
	h.fund(alice, 100)
	_, err = h.Transfer(t.Context(), poor)
	if e := wantCode(t, err, ledger.InsufficientFunds); !e.Replayed || e.Transfer.ID != refusal.Transfer.ID {
		t.Errorf("got %+v", e)
	}
	h.books()
}

// TestHoldAndPaymentCommitTogether, defect 08: the hold was committed first, and the task was
// queued afterwards; a crash in between held the money forever. Here the payment is inserted in the
// transaction of the hold.
func TestHoldAndPaymentCommitTogether(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(100)
	owner := testkit.Connect(t, h.db.AdminURL)
	if _, err := owner.Exec(t.Context(), `ALTER TABLE payments ADD CONSTRAINT planted CHECK (amount <> 66)`); err != nil {
		t.Fatal(err)
	}
	o := ledger.TransferRequest{Owner: alice, Key: newKey(), Amount: usd(66)}
	for _, open := range []func() (ledger.Result, error){
		func() (ledger.Result, error) { return h.OpenWithdrawal(t.Context(), o) },
		func() (ledger.Result, error) { return h.OpenDeposit(t.Context(), o) },
	} {
		_, err := open()
		wantCode(t, err, ledger.Internal)
	}
	if got := h.wallet(alice); got.Held != 0 {
		t.Errorf("%d is held although there is no payment", got.Held)
	}
	var left int
	if err := owner.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM transfers WHERE amount = 66)
		+ (SELECT count(*) FROM all_events e JOIN transfers t ON t.id = e.transfer_id WHERE t.amount = 66)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
	if _, err := owner.Exec(t.Context(), `ALTER TABLE payments DROP CONSTRAINT planted`); err != nil {
		t.Fatal(err)
	}
	if r, err := h.OpenWithdrawal(t.Context(), o); err != nil || r.Replayed { // the failure stored nothing
		t.Errorf("got %+v, %v", r, err)
	}
	h.books()
}

// TestFinalStateAndMemoAreKept, defect 12: a state could be replaced by any other, and the text of
// a failure replaced the memo of the user.
func TestFinalStateAndMemoAreKept(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(100)
	o := ledger.TransferRequest{Owner: alice, Key: newKey(), Amount: usd(10), Memo: "for the rent"}
	r, err := h.OpenWithdrawal(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	id := r.Transfer.ID
	if _, err := h.Settle(t.Context(), ledger.Settlement{Transfer: id, Note: "account closed"}); err != nil {
		t.Fatal(err)
	}
	got, err := h.Find(t.Context(), alice, id)
	if err != nil || got.State != ledger.Voided || got.Memo != o.Memo || got.Reason != ledger.ReasonBankRejected {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = h.Settle(t.Context(), ledger.Settlement{Transfer: id, Executed: true})
	wantCode(t, err, ledger.SettlementConflicts)
	if r, err := h.Settle(t.Context(), ledger.Settlement{Transfer: id}); err != nil || !r.Replayed {
		t.Errorf("the same settlement again: %+v, %v", r, err)
	}
	_, err = h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: h.user(0), Amount: usd(1000), Memo: "too much"})
	if e := wantCode(t, err, ledger.InsufficientFunds); e.Transfer.Memo != "too much" || e.Transfer.Reason != string(ledger.InsufficientFunds) {
		t.Errorf("got %+v", e.Transfer)
	}
	h.books()
}

// TestOppositeTransfersDoNotDeadlock, defect 13: the query that locked the accounts had no ORDER
// BY. Here two processes transfer between the same two users in opposite directions.
// TestOppositePairs does the same with more users.
func TestOppositeTransfersDoNotDeadlock(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledgers := []*ledger.Ledger{h.another(ledger.Config{Logger: h.watched()}), h.another(ledger.Config{Logger: h.watched()})}
	alice, bob := h.user(1000), h.user(1000)
	var outcomes tally
	together(60, func(i int) {
		from, to := alice, bob
		if i%2 == 1 {
			from, to = bob, alice
		}
		outcomes.add(ledgers[i%2].Transfer(t.Context(), ledger.TransferRequest{Owner: from, Key: newKey(), Payee: to, Amount: usd(1)}))
	})
	outcomes.want(t, 60, 0, 0)
	h.books()
}

// TestFrozenUserCannotTransfer, defect 17: a suspended user could pay until the access token
// expired. The ledger refuses new transfers at once; holds that were opened before are still
// captured and settled.
func TestFrozenUserCannotTransfer(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(100)
	held, sent, withdrawn := h.authorize(alice, bob, 10), h.transfer(alice, bob, 10), h.withdraw(alice, 10)
	if err := h.SetStatus(t.Context(), alice, ledger.Frozen); err != nil {
		t.Fatal(err)
	}
	pay := func(o ledger.TransferRequest, do func(ledger.TransferRequest) (ledger.Result, error)) {
		t.Helper()
		o.Key, o.Amount = newKey(), usd(1)
		_, err := do(o)
		wantCode(t, err, ledger.AccountFrozen)
	}
	ctx := t.Context()
	pay(ledger.TransferRequest{Owner: alice, Payee: bob}, func(o ledger.TransferRequest) (ledger.Result, error) { return h.Transfer(ctx, o) })
	pay(ledger.TransferRequest{Owner: bob, Payee: alice}, func(o ledger.TransferRequest) (ledger.Result, error) { return h.Transfer(ctx, o) })
	pay(ledger.TransferRequest{Owner: alice, Payee: bob}, func(o ledger.TransferRequest) (ledger.Result, error) { return h.Authorize(ctx, o) })
	pay(ledger.TransferRequest{Owner: alice}, func(o ledger.TransferRequest) (ledger.Result, error) { return h.OpenWithdrawal(ctx, o) })
	pay(ledger.TransferRequest{Owner: alice}, func(o ledger.TransferRequest) (ledger.Result, error) { return h.OpenDeposit(ctx, o) })
	_, err := h.Reverse(ctx, ledger.FollowUp{Owner: bob, Key: newKey(), Target: sent.ID})
	wantCode(t, err, ledger.AccountFrozen)
	if _, err := h.Capture(ctx, ledger.FollowUp{Owner: bob, Key: newKey(), Target: held.ID}); err != nil {
		t.Error(err)
	}
	if _, err := h.Settle(ctx, ledger.Settlement{Transfer: withdrawn.ID, Executed: true}); err != nil {
		t.Error(err)
	}
	h.books()
}

// TestSmallAmountsAreExact, defect 20: amounts below 1.00 were refused, and others were rounded
// from floating-point numbers.
func TestSmallAmountsAreExact(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	for _, minor := range []int64{1, 7, 29, 57} { // 0.29 × 100 is 28.999… in floats
		if got := h.transfer(alice, bob, minor); got.PostedAmount != minor {
			t.Errorf("%d was posted of %d", got.PostedAmount, minor)
		}
	}
	if a, b := h.wallet(alice), h.wallet(bob); a.Balance != 6 || b.Balance != 94 {
		t.Errorf("alice has %d, bob %d", a.Balance, b.Balance)
	}
	h.books()
}
