package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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

// checkMonth compares the totals of a user's wallets since a time with the sums of the postings.
func checkMonth(ctx context.Context, l *ledger.Ledger, conn querier, user ledger.UserID, since time.Time) error {
	const sum = `SELECT a.currency, count(p.seq), COALESCE(sum(p.amount) FILTER (WHERE p.amount > 0), 0)::bigint,
			COALESCE(-sum(p.amount) FILTER (WHERE p.amount < 0), 0)::bigint
		FROM accounts a LEFT JOIN all_postings p ON p.account_id = a.id AND p.posted_at >= $2 WHERE a.owner = $1 GROUP BY a.currency`
	type totals struct{ count, in, out int64 }
	s, err := l.SummarySince(ctx, user, since)
	if err != nil {
		return err
	}
	got := map[string]totals{}
	for _, w := range s.Wallets {
		if w.In == nil || w.Out == nil {
			return fmt.Errorf("the month of %s since %s is not known", user, since)
		}
		got[string(w.Currency)] = totals{w.Count, *w.In, *w.Out}
	}
	rows, err := conn.Query(ctx, sum, user, since)
	if err != nil {
		return err
	}
	want, currency, x := map[string]totals{}, "", totals{}
	_, err = pgx.ForEachRow(rows, []any{&currency, &x.count, &x.in, &x.out}, func() error {
		want[currency] = x
		return nil
	})
	if err == nil && !maps.Equal(got, want) {
		err = fmt.Errorf("since %s the postings of %s are %v, the summary says %v", since, user, want, got)
	}
	return err
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// checkMonths is checkMonth for months that begin at the times of count postings of the user, which
// are spread over all of them, or a microsecond later.
func checkMonths(ctx context.Context, l *ledger.Ledger, conn querier, user ledger.UserID, count int) error {
	const spread = `SELECT posted_at FROM (
			SELECT p.posted_at, row_number() OVER (ORDER BY p.posted_at) AS nth, count(*) OVER () AS postings
			FROM all_postings p JOIN accounts a ON a.id = p.account_id WHERE a.owner = $1) p
		WHERE nth * $2 / postings > (nth - 1) * $2 / postings`
	rows, err := conn.Query(ctx, spread, user, count)
	if err != nil {
		return err
	}
	times, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	for _, at := range times {
		err = errors.Join(err, checkMonth(ctx, l, conn, user, at), checkMonth(ctx, l, conn, user, at.Add(time.Microsecond)))
	}
	return err
}

// checkpoints returns how many checkpoints the wallets of a user have.
func (h *fixture) checkpoints(user ledger.UserID) (count int64) {
	h.t.Helper()
	testkit.Must(h.t, h.pool.QueryRow(h.t.Context(), `SELECT count(*) FROM account_checkpoints c JOIN accounts a ON a.id = c.account_id
		WHERE a.owner = $1`, user).Scan(&count))
	return count
}

// TestMonthMatchesPostings: the totals of a month are the sums of its postings, wherever it begins:
// before, at, between and after the checkpoints of a wallet, in postings of both kinds.
func TestMonthMatchesPostings(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(10_000), h.user(10_000)
	var running sync.WaitGroup
	for worker := range 8 {
		running.Go(func() {
			for n := range 50 {
				payer, payee := alice, bob
				if (worker+n)%3 == 0 {
					payer, payee = bob, alice
				}
				if (worker+n)%5 != 0 {
					h.transfer(payer, payee, int64(1+n))
					continue
				}
				x := h.authorize(payer, payee, int64(1+n)) // its postings are rows of their own
				if _, err := h.Capture(t.Context(), ledger.FollowUp{Owner: payee, Key: newKey(), Target: x.ID}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if n := h.checkpoints(alice); n != 3 { // 401 postings
		t.Errorf("%d checkpoints", n)
	}
	for _, user := range []ledger.UserID{alice, bob} {
		testkit.Must(t, checkMonths(t.Context(), h.Ledger, h.pool, user, 100))
		testkit.Must(t, checkMonth(t.Context(), h.Ledger, h.pool, user, h.now().Add(-time.Hour)))
		testkit.Must(t, checkMonth(t.Context(), h.Ledger, h.pool, user, h.now().Add(time.Hour)))
	}
	h.books()
}

// TestMonthBeforeFirstCheckpoint: in books that are older than the checkpoints, the postings before
// the first one are added up.
func TestMonthBeforeFirstCheckpoint(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(0), h.user(1000)
	h.insertPostings(alice, 1200, `CASE WHEN n % 2 = 1 THEN 3 ELSE -2 END`, `now() - (1200 - n / 3) * interval '1 minute'`)
	testkit.Must(t, checkMonths(t.Context(), h.Ledger, h.pool, alice, 20))
	for range 150 {
		h.transfer(bob, alice, 2)
	}
	if n := h.checkpoints(alice); n != 1 { // at the posting 1280
		t.Errorf("%d checkpoints", n)
	}
	testkit.Must(t, checkMonths(t.Context(), h.Ledger, h.pool, alice, 50))
}

// TestMonthWithTooManyPostings: the totals are not known where more postings than the maximum would
// have to be added up. As soon as the month begins near a checkpoint, they are.
func TestMonthWithTooManyPostings(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(0), h.user(1000)
	old := h.now().Add(-time.Hour)
	h.insertPostings(alice, 100_001, `1`, `'`+old.Format(time.RFC3339Nano)+`'::timestamptz`)
	known := func(since time.Time, want bool) {
		t.Helper()
		s, err := h.SummarySince(t.Context(), alice, since)
		testkit.Must(t, err)
		if w := s.Wallets[0]; (w.In != nil) != want || (w.Out != nil) != want {
			t.Errorf("%+v", w)
		}
	}
	known(old, false)
	known(old.Add(time.Microsecond), true)
	for range 128 {
		h.transfer(bob, alice, 2)
	}
	known(old, false)
	testkit.Must(t, checkMonth(t.Context(), h.Ledger, h.pool, alice, old.Add(time.Microsecond)))
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
