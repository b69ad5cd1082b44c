package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/problem"
)

// BalanceAt returns the posted balance of a wallet, in minor units, as of a time, and that time.
// The zero time means now; a time in the future fails with TimeInFuture. The answer for a time
// never changes afterwards, because every later posting gets a later time.
//
// A time before the wallet's last posting, or before the time of an earlier call, costs a few
// look-ups and waits for no lock. A later time updates a row, so the call waits for the batch in
// flight and for the disk.
func (l *Ledger) BalanceAt(ctx context.Context, owner UserID, c money.Currency, at time.Time) (int64, time.Time, error) {
	// No posting that is not committed yet has a time before as_of, not even one of a batch in
	// flight: the batch has locked the account, and gives its postings a time from as_of on.
	const look = `SELECT clock_timestamp(), as_of FROM accounts WHERE id = $1`
	account, err := l.walletID(ctx, owner, c)
	if err != nil {
		return 0, time.Time{}, err
	}
	if account == 0 {
		return 0, time.Time{}, problem.Errorf(WalletNotFound, "you have no %s wallet", c)
	}
	var now, asOf time.Time
	if err := l.pool.QueryRow(ctx, look, account).Scan(&now, &asOf); err != nil {
		return 0, time.Time{}, unavailable("read the clock", err)
	}
	if at.IsZero() {
		at = now
	}
	if at.After(now) {
		return 0, time.Time{}, problem.New(TimeInFuture, "that time is in the future: ask for one up to now")
	}
	at = at.UTC().Truncate(time.Microsecond)
	if !at.Before(asOf) {
		balance, reserved, err := l.reserve(ctx, account, at)
		if err != nil || reserved {
			return balance, at, err
		}
	}
	found, err := lastPostings(ctx, l.pool, []AccountID{account}, []time.Time{at.Add(time.Microsecond)})
	if err != nil {
		return 0, time.Time{}, unavailable("read the balance", err)
	}
	return found[account][0].balance, at, nil
}

// reserve makes every later posting of an account have a time after at, and returns the balance. It
// does neither if as_of has passed that time meanwhile. No posting has a time after as_of, so until
// then the balance of the account is the balance as of at.
func (l *Ledger) reserve(ctx context.Context, account AccountID, at time.Time) (balance int64, reserved bool, err error) {
	// Waits for the batch in flight, and then reads the row that the batch has committed.
	const reserve = `UPDATE accounts SET as_of = $2::timestamptz + interval '1 microsecond'
		WHERE id = $1 AND as_of <= $2 RETURNING balance`
	rows, err := l.pool.Query(ctx, reserve, account, at)
	if err != nil {
		return 0, false, unavailable("read the balance", err)
	}
	_, err = pgx.ForEachRow(rows, []any{&balance}, func() error {
		reserved = true
		return nil
	})
	if err != nil {
		return 0, false, unavailable("read the balance", err)
	}
	return balance, reserved, nil
}

// lastPosting is the number of a posting in its account, and the balance after it. The zero value
// is the state before the first posting.
type lastPosting struct{ seq, balance int64 }

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// lastPostings finds the last posting of each account before each time, in the order of the times.
func lastPostings(ctx context.Context, db querier, accounts []AccountID, before []time.Time) (map[AccountID][]lastPosting, error) {
	searches, err := searchPostings(ctx, db, accounts, before)
	if err != nil {
		return nil, err
	}
	if err := searches.addOwnPostings(ctx, db); err != nil {
		return nil, err
	}
	found := make(map[AccountID][]lastPosting, len(accounts))
	for _, account := range accounts {
		found[account] = make([]lastPosting, len(before))
	}
	for _, s := range searches {
		found[s.account][s.nth-1] = s.last
	}
	return found, nil
}

// postingSearch looks for the last posting of an account before a time.
type postingSearch struct {
	account AccountID
	nth     int64 // of the time
	before  time.Time
	last    lastPosting // the last posting found so far
	at      time.Time   // its time; the zero time if there is none
}

type postingSearches []postingSearch

// searchPostings finds the last ones in the table postings.
func searchPostings(ctx context.Context, db querier, accounts []AccountID, before []time.Time) (postingSearches, error) {
	// Times never decrease as seq increases, so a binary search finds the posting in about two
	// dozen look-ups by the primary key, however many postings there are. Numbers are missing where
	// a transfer has its own postings, so each step looks at the first posting from the middle on.
	// Each search ends in one row, where low = high.
	const search = `WITH RECURSIVE search (account, nth, ends, low, high) AS (
			SELECT a.id, d.nth, d.ends, 0::bigint, COALESCE((SELECT x.seq FROM postings x
				WHERE x.account_id = ANY (ARRAY[a.id]) ORDER BY x.account_id DESC, x.seq DESC LIMIT 1), 0)
			FROM accounts a CROSS JOIN unnest($2::timestamptz[]) WITH ORDINALITY AS d (ends, nth) WHERE a.id = ANY($1)
		UNION ALL
			SELECT s.account, s.nth, s.ends, CASE WHEN p.posted_at < s.ends THEN p.seq ELSE s.low END,
				CASE WHEN p.posted_at < s.ends THEN s.high ELSE s.middle - 1 END
			FROM (SELECT *, (low + high + 1) / 2 AS middle FROM search WHERE low < high) s
			CROSS JOIN LATERAL (SELECT x.seq, x.posted_at FROM postings x
				WHERE x.account_id = ANY (ARRAY[s.account]) AND x.seq >= s.middle ORDER BY x.account_id, x.seq LIMIT 1) p)
		SELECT s.account, s.nth, s.ends, s.low, COALESCE(p.balance_after, 0), p.posted_at
		FROM search s LEFT JOIN LATERAL (SELECT x.balance_after, x.posted_at FROM postings x
			WHERE x.account_id = s.account AND x.seq = s.low OFFSET 0) p ON true
		WHERE s.low = s.high`
	rows, err := db.Query(ctx, search, planEachTime, rawIDs(accounts), before)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s postingSearch, err error) {
		var at *time.Time
		err = row.Scan((*int64)(&s.account), &s.nth, &s.before, &s.last.seq, &s.last.balance, &at)
		if at != nil {
			s.at = *at
		}
		return s, err
	})
}

// addOwnPostings continues the searches among the transfers that have their own postings.
func (searches postingSearches) addOwnPostings(ctx context.Context, db querier) error {
	// Along the ids of such transfers, the times and the numbers of an account's postings increase.
	// The lower bound keeps the search from passing over all transfers whose postings are in the
	// table. ANY (ARRAY[…]): see listSQL.
	const find = `SELECT d.nth, o.seq, o.balance
		FROM unnest($1::bigint[], $2::uuid[], $3::uuid[]) WITH ORDINALITY AS d (account, since, before, nth)
		CROSS JOIN LATERAL (SELECT * FROM (
				(SELECT t.debit_seq AS seq, t.debit_balance AS balance FROM transfers t
				WHERE t.debit_account = ANY (ARRAY[d.account]) AND t.id >= d.since AND t.id < d.before AND t.debit_seq IS NOT NULL
				ORDER BY t.debit_account DESC, t.id DESC LIMIT 1)
			UNION ALL
				(SELECT t.credit_seq, t.credit_balance FROM transfers t
				WHERE t.credit_account = ANY (ARRAY[d.account]) AND t.id >= d.since AND t.id < d.before AND t.debit_seq IS NOT NULL
				ORDER BY t.credit_account DESC, t.id DESC LIMIT 1)) x
			ORDER BY x.seq DESC LIMIT 1) o`
	n := len(searches)
	accounts, since, before := make([]int64, n), make([][16]byte, n), make([][16]byte, n)
	for i, s := range searches {
		accounts[i], since[i], before[i] = int64(s.account), firstTransferID(s.at), firstTransferID(s.before)
	}
	rows, err := db.Query(ctx, find, planEachTime, accounts, since, before)
	if err != nil {
		return err
	}
	var (
		nth int64
		own lastPosting
	)
	_, err = pgx.ForEachRow(rows, []any{&nth, &own.seq, &own.balance}, func() error {
		if own.seq > searches[nth-1].last.seq {
			searches[nth-1].last = own
		}
		return nil
	})
	return err
}
