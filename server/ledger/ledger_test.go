package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// TestMain starts PostgreSQL without fsync, since no test crashes the server, and with a short
// deadlock timeout, so that a deadlock fails a test soon.
func TestMain(m *testing.M) {
	pgtest.Main(m, migrations.Apply, pgtest.WithSetting("fsync", "off"), pgtest.WithSetting("full_page_writes", "off"),
		pgtest.WithSetting("deadlock_timeout", "200ms"))
}

// fixture is a ledger on a database of its own.
type fixture struct {
	*ledger.Ledger
	t    testing.TB
	pool *pgxpool.Pool
	db   *pgtest.Database
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	db := pgtest.New(t)
	pool, err := pgxpool.New(t.Context(), db.AppURL)
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.Open(ledger.Config{Pool: pool})
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
		pool.Close()
	})
	return &fixture{l, t, pool, db}
}

func usd(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "USD"} }

func newKey() string { return uuid.NewString() }

// user opens a USD wallet for a new user and funds it by a deposit.
func (h *fixture) user(funds int64) ledger.UserID {
	h.t.Helper()
	id := ledger.UserID(uuid.Must(uuid.NewV7()))
	if _, err := h.OpenWallet(h.t.Context(), id, "USD"); err != nil {
		h.t.Fatal(err)
	}
	if funds > 0 {
		h.fund(id, funds)
	}
	return id
}

func (h *fixture) fund(id ledger.UserID, funds int64) {
	h.t.Helper()
	r, err := h.OpenDeposit(h.t.Context(), ledger.TransferRequest{Owner: id, Key: newKey(), Amount: usd(funds)})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.Settle(h.t.Context(), ledger.Settlement{Transfer: r.Transfer.ID, Executed: true}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *fixture) wallet(id ledger.UserID) ledger.Wallet {
	h.t.Helper()
	w, err := h.Wallet(h.t.Context(), id, "USD")
	if err != nil {
		h.t.Fatal(err)
	}
	return w
}

// refusal is an error of the ledger, with the transfer that it stored, if any.
type refusal struct {
	*problem.Error
	Transfer *ledger.Transfer
	Replayed bool
}

func refusalOf(err error) *refusal {
	e, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return nil
	}
	if stored, ok := errors.AsType[*ledger.Refusal](err); ok {
		return &refusal{e, &stored.Transfer, stored.Replayed}
	}
	return &refusal{Error: e}
}

func wantCode(t testing.TB, err error, code problem.Code) *refusal {
	t.Helper()
	if problem.CodeOf(err) != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return refusalOf(err)
}

func TestMoneyMoves(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)

	r, err := h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(12_50), Memo: "lunch"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Transfer.State != ledger.Posted || r.Replayed {
		t.Fatalf("got %+v", r)
	}
	if a, b := h.wallet(alice), h.wallet(bob); a.Balance != 87_50 || b.Balance != 12_50 {
		t.Fatalf("alice has %d, bob %d", a.Balance, b.Balance)
	}
	_, err = h.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(87_51)})
	wantCode(t, err, ledger.InsufficientFunds)
}

func BenchmarkTransfer(b *testing.B) {
	h := newFixture(b)
	users := make([]ledger.UserID, 1000)
	for i := range users {
		users[i] = h.user(1_000_000)
	}
	b.SetParallelism(50)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			x := uuid.New()
			from := users[(int(x[0])<<8|int(x[1]))%1000]
			to := users[(int(x[2])<<8|int(x[3]))%1000]
			if from == to {
				continue
			}
			if _, err := h.Transfer(context.Background(), ledger.TransferRequest{Owner: from, Key: fmt.Sprint(x), Payee: to, Amount: usd(1)}); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transfers/s")
}
