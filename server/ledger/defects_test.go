package ledger_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/ledger"
)

// The defects of the system that Kizo takes over from, by their numbers there, as
// far as they are about the books. Each was real money once.

// 01: a transfer of −N took N from the victim, a withdrawal of −N made money.
func TestOriginalDefect01NegativeAmounts(t *testing.T) {
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
			continue // of a follow-up, 0 is all of it
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

// 02: withdraw 100, transfer the same 100, and the settlement made it −100.
func TestOriginalDefect02HoldIgnored(t *testing.T) {
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

// 03: balances were numbers that anybody could set. Here they are what the lines
// say, and each line has its other side: TestDatabaseRefuses has the full list.
func TestOriginalDefect03MoneyFromNowhere(t *testing.T) {
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
		if told, ok := errors.AsType[*pgconn.PgError](err); !ok || told.Code != integrity {
			t.Errorf("%s: %v", sql, err)
		}
	}
	var lines, sum int64
	if err := app.QueryRow(t.Context(), `SELECT count(*), sum(amount) FROM postings`).Scan(&lines, &sum); err != nil || lines != 2 || sum != 0 {
		t.Errorf("%d lines, together %d, %v: funding is one transfer with two sides", lines, sum, err)
	}
	h.books()
}

// 04: the same key with another body was answered as if it were the same.
func TestOriginalDefect04SameKeyOtherBody(t *testing.T) {
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
	// A key is its owner's: somebody else may have the same.
	h.fund(bob, 50)
	if r, err := h.Transfer(t.Context(), ledger.TransferRequest{Owner: bob, Key: first.Key, Payee: alice, Amount: usd(1)}); err != nil || r.Replayed {
		t.Errorf("bob's own key: %+v, %v", r, err)
	}
	h.books()
}

// 05: two at once under one key ended in a 500. TestOneKeyAtOnce has the crowds.
func TestOriginalDefect05ConcurrentSameKey(t *testing.T) {
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
		var came tally
		together(20, func(int) { came.add(do(h.Ledger, o)) })
		came.want(t, 1, 19, 0)
	}
	h.books()
}

// 06: the balance was checked before the key, so that a repetition could hear
// "insufficient" about money that had already gone where it should.
func TestOriginalDefect06KeyBeforeFunds(t *testing.T) {
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
	again, err := h.Transfer(t.Context(), all) // nothing is left, and she is frozen
	if err != nil || !again.Replayed || again.Transfer.ID != first.Transfer.ID {
		t.Errorf("got %+v, %v", again, err)
	}
	if err := h.SetStatus(t.Context(), alice, ledger.Active); err != nil {
		t.Fatal(err)
	}
	// And the other way round: refused is refused, even when there is money now.
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

// 08: the hold was committed, then the queue was told; a crash in between locked
// the money for good. Here the payment is part of the same transaction.
func TestOriginalDefect08DualWrite(t *testing.T) {
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
		+ (SELECT count(*) FROM events e JOIN transfers t ON t.id = e.transfer_id WHERE t.amount = 66)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
	if _, err := owner.Exec(t.Context(), `ALTER TABLE payments DROP CONSTRAINT planted`); err != nil {
		t.Fatal(err)
	}
	if r, err := h.OpenWithdrawal(t.Context(), o); err != nil || r.Replayed { // nothing remembers the failure
		t.Errorf("got %+v, %v", r, err)
	}
	h.books()
}

// 12: a status could be written over any other, and the failure's text over the
// user's own words.
func TestOriginalDefect12StatusAndMemo(t *testing.T) {
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
		t.Errorf("the same again: %+v, %v", r, err)
	}
	_, err = h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: h.user(0), Amount: usd(1000), Memo: "too much"})
	if e := wantCode(t, err, ledger.InsufficientFunds); e.Transfer.Memo != "too much" || e.Transfer.Reason != string(ledger.InsufficientFunds) {
		t.Errorf("got %+v", e.Transfer)
	}
	h.books()
}

// 13: accounts were locked "in order", by a query without an order. Here two
// processes pay each other's users; TestOppositePairs has the crowds.
func TestOriginalDefect13LockOrder(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	ledgers := []*ledger.Ledger{h.another(ledger.Config{Logger: h.watched()}), h.another(ledger.Config{Logger: h.watched()})}
	alice, bob := h.user(1000), h.user(1000)
	var came tally
	together(60, func(i int) {
		from, to := alice, bob
		if i%2 == 1 {
			from, to = bob, alice
		}
		came.add(ledgers[i%2].Transfer(t.Context(), ledger.TransferRequest{Owner: from, Key: newKey(), Payee: to, Amount: usd(1)}))
	})
	came.want(t, 60, 0, 0)
	h.books()
}

// 17: a suspended sender could pay until the token ran out. The books know it at
// once; what was promised before is still carried out.
func TestOriginalDefect17FrozenSender(t *testing.T) {
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

// 20: amounts below 1.00 were refused, and others rounded from floats.
func TestOriginalDefect20SmallAmounts(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(0)
	for _, minor := range []int64{1, 7, 29, 57} { // 0.29 × 100 is 28.999… in floats
		if got := h.transfer(alice, bob, minor); got.PostedAmount != minor {
			t.Errorf("%d arrived of %d", got.PostedAmount, minor)
		}
	}
	if a, b := h.wallet(alice), h.wallet(bob); a.Balance != 6 || b.Balance != 94 {
		t.Errorf("alice has %d, bob %d", a.Balance, b.Balance)
	}
	h.books()
}
