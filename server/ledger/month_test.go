package ledger_test

import (
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

// insertPostings inserts count postings of the owner's account. amount and at are SQL expressions
// of the number n of a posting. The triggers, which would refuse them, are off.
func (h *fixture) insertPostings(owner ledger.UserID, count int, amount, at string) {
	h.t.Helper()
	super := testkit.Connect(h.t, h.db.SuperuserURL)
	for _, sql := range []string{
		`SET session_replication_role = replica`,
		`INSERT INTO postings (account_id, seq, transfer_id, amount, balance_after, posted_at)
			SELECT id, n, gen_random_uuid(), amount, sum(amount) OVER (ORDER BY n), at
			FROM (SELECT n, ` + amount + ` AS amount, ` + at + ` AS at FROM generate_series(1, $2::int) n) s, accounts WHERE owner = $1`,
		`UPDATE accounts a SET seq = p.seq, balance = p.balance_after, as_of = p.posted_at
			FROM postings p WHERE a.owner = $1 AND p.account_id = a.id AND p.seq = $2::int`,
	} {
		var args []any
		if sql[:3] != "SET" {
			args = []any{owner, count}
		}
		if _, err := super.Exec(h.t.Context(), sql, args...); err != nil {
			h.t.Fatal(err)
		}
	}
}

// TestMonthIsSummedInParts: if a month has more postings than one summary adds up, its sums are
// known after a few summaries, and stay known when postings are added.
func TestMonthIsSummedInParts(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(0), h.user(100)
	// 1200 postings of 3, -2, 3, -2, …
	h.insertPostings(alice, 1200, `CASE WHEN n % 2 = 1 THEN 3 ELSE -2 END`, `date_trunc('month', now(), 'UTC')`)
	ledger.SetMaxSummed(h.Ledger, 500)
	summary := func(known bool, in, out int64) {
		t.Helper()
		s, err := h.Summary(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		w := s.Wallets[0]
		switch {
		case !known && (w.In != nil || w.Out != nil):
			t.Errorf("known already: in %d, out %d", *w.In, *w.Out)
		case known && (w.In == nil || w.Out == nil):
			t.Error("not known yet")
		case known && (*w.In != in || *w.Out != out):
			t.Errorf("in %d, out %d; want %d and %d", *w.In, *w.Out, in, out)
		}
	}
	summary(false, 0, 0)
	summary(false, 0, 0)
	summary(true, 1800, 1200)
	summary(true, 1800, 1200)
	h.transfer(bob, alice, 7)
	h.transfer(alice, bob, 5)
	summary(true, 1807, 1205)
	summary(true, 1807, 1205)
}

// TestNewMonthStartsFromZero: the cached sum of one month is no part of the next one, which begins
// at another posting.
func TestNewMonthStartsFromZero(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(0)
	h.insertPostings(alice, 1000, `1`, `date_trunc('month', now(), 'UTC')`)
	in := func(want int64) {
		t.Helper()
		s, err := h.Summary(t.Context(), alice)
		if err != nil || s.Wallets[0].In == nil || *s.Wallets[0].In != want {
			t.Errorf("%+v, %v; want %d", s.Wallets[0], err, want)
		}
	}
	in(1000)
	// The test cannot advance the clock to the next month, so that it moves postings back instead.
	super := testkit.Connect(t, h.db.SuperuserURL)
	for _, sql := range []string{
		`SET session_replication_role = replica`,
		`UPDATE postings p SET posted_at = posted_at - interval '1 day' FROM accounts a WHERE a.id = p.account_id AND a.owner = '` + alice.String() + `' AND p.seq <= 300`,
	} {
		if _, err := super.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	in(700)
}

// TestBalancesOfLongHistory compares the binary search of BalanceAt with a search of all postings,
// also where several postings have the same time.
func TestBalancesOfLongHistory(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(0)
	first := h.now().Add(-48 * time.Hour).Truncate(time.Second)
	h.insertPostings(alice, 3000, `1 + n % 7`, `'`+first.Format(time.RFC3339)+`'::timestamptz + (n / 3) * interval '1 minute'`)
	const searchAll = `SELECT COALESCE((SELECT balance_after FROM postings p JOIN accounts a ON a.id = p.account_id
		WHERE a.owner = $1 AND posted_at <= $2 ORDER BY p.seq DESC LIMIT 1), 0)`
	for minute := -1; minute <= 1001; minute += 7 {
		for _, off := range []time.Duration{-time.Microsecond, 0, time.Microsecond} {
			at := first.Add(time.Duration(minute)*time.Minute + off)
			var want int64
			if err := h.pool.QueryRow(t.Context(), searchAll, alice, at).Scan(&want); err != nil {
				t.Fatal(err)
			}
			if got, _, err := h.BalanceAt(t.Context(), alice, "USD", at); err != nil || got != want {
				t.Fatalf("as of %v: %d, %v; want %d", at, got, err, want)
			}
		}
	}
}
