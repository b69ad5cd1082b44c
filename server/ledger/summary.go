package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// TrendDays is how many days a trend shows, today among them.
const TrendDays = 14

// maxMonth is how many postings of a month are added up, at most, for one wallet.
const maxMonth = 250_000

// Summary is what a user has and what came of late. All of it but Recent is of one
// moment.
type Summary struct {
	At         time.Time // by the database's clock
	Wallets    []WalletSummary
	PendingIn  int // transfers that have not ended, at most 1000
	PendingOut int
	Recent     []Transfer // the newest five
}

// WalletSummary is a wallet with its month and its trend. Days and months are UTC's.
type WalletSummary struct {
	Wallet
	In, Out *int64  // minor units since the first of the month; nil where there is too much to add up
	Count   int64   // postings since then
	Trend   []int64 // balance in minor units at the end of each day, now for the last
	Days    []time.Time
	account int64
	seq     int64 // of the last posting
	before  int64 // of the last posting before this month
}

// Summary looks a user's wallets over.
func (l *Ledger) Summary(ctx context.Context, user uuid.UUID) (Summary, error) {
	var s Summary
	err := pgx.BeginTxFunc(ctx, l.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
		func(tx pgx.Tx) error { return s.read(ctx, tx, user) })
	if err != nil {
		return Summary{}, unavailable("read the summary", err)
	}
	page, err := l.List(ctx, user, Query{Limit: 5})
	if err != nil {
		return Summary{}, err
	}
	s.Recent = page.Transfers
	return s, nil
}

func (s *Summary) read(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	const wallets = `SELECT ` + walletColumns + `, id, seq FROM accounts WHERE owner = $1 ORDER BY id`
	const pending = `SELECT
		(SELECT count(*) FROM (SELECT FROM accounts a JOIN transfers t ON t.credit_account = a.id AND t.state = 'pending'
			WHERE a.owner = $1 LIMIT 1000) i),
		(SELECT count(*) FROM (SELECT FROM accounts a JOIN transfers t ON t.debit_account = a.id AND t.state = 'pending'
			WHERE a.owner = $1 LIMIT 1000) o)`
	if err := tx.QueryRow(ctx, readClock).Scan(&s.At); err != nil {
		return err
	}
	s.At = s.At.UTC()
	rows, err := tx.Query(ctx, wallets, user)
	if err != nil {
		return err
	}
	s.Wallets, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w WalletSummary, err error) {
		err = row.Scan(&w.ID, &w.Owner, &w.Currency, &w.Balance, &w.Held, &w.Status, &w.account, &w.seq)
		return w, err
	})
	if err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, pending, user).Scan(&s.PendingIn, &s.PendingOut); err != nil {
		return err
	}
	if err := s.readTrends(ctx, tx, user); err != nil {
		return err
	}
	for i := range s.Wallets {
		if err := s.Wallets[i].readMonth(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// readTrends finds the balances at the ends of days, and where the month begins.
func (s *Summary) readTrends(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	// The last posting of an account before a time. Times never fall as seq rises,
	// so halving finds it in a dozen look-ups by the primary key, however many
	// postings there are. Each search ends in one row: low = high.
	const search = `WITH RECURSIVE search (account, ends, low, high) AS (
			SELECT a.id, d.ends, 0::bigint, a.seq
			FROM accounts a CROSS JOIN unnest($2::timestamptz[]) AS d (ends) WHERE a.owner = $1
		UNION ALL
			SELECT s.account, s.ends, CASE WHEN p.posted_at < s.ends THEN s.middle ELSE s.low END,
				CASE WHEN p.posted_at < s.ends THEN s.high ELSE s.middle - 1 END
			FROM (SELECT *, (low + high + 1) / 2 AS middle FROM search WHERE low < high) s
			CROSS JOIN LATERAL (SELECT x.posted_at FROM postings x
				WHERE x.account_id = s.account AND x.seq = s.middle OFFSET 0) p)
		SELECT s.account, s.ends, s.low, COALESCE((SELECT x.balance_after FROM postings x
			WHERE x.account_id = s.account AND x.seq = s.low), 0)
		FROM search s WHERE s.low = s.high`
	today := time.Date(s.At.Year(), s.At.Month(), s.At.Day(), 0, 0, 0, 0, time.UTC)
	month := time.Date(s.At.Year(), s.At.Month(), 1, 0, 0, 0, 0, time.UTC)
	ends := []time.Time{month}
	days := make([]time.Time, TrendDays)
	for i := range days {
		days[i] = today.AddDate(0, 0, i-TrendDays+1)
		if i > 0 {
			ends = append(ends, days[i]) // the end of the day before
		}
	}
	type moment struct {
		account int64
		ends    int64 // UnixMicro: a time.Time is no key
	}
	type posted struct{ seq, balance int64 }
	found := make(map[moment]posted)
	rows, err := tx.Query(ctx, search, planned, user, ends)
	if err != nil {
		return err
	}
	var (
		account int64
		end     time.Time
		last    posted
	)
	_, err = pgx.ForEachRow(rows, []any{&account, &end, &last.seq, &last.balance}, func() error {
		found[moment{account, end.UnixMicro()}] = last
		return nil
	})
	if err != nil {
		return err
	}
	for i := range s.Wallets {
		w := &s.Wallets[i]
		w.before, w.Days = found[moment{w.account, month.UnixMicro()}].seq, days
		for _, next := range days[1:] {
			w.Trend = append(w.Trend, found[moment{w.account, next.UnixMicro()}].balance)
		}
		w.Trend = append(w.Trend, w.Balance)
	}
	return nil
}

// readMonth adds up what came and went this month. What JSON could not hold exactly
// is left out.
func (w *WalletSummary) readMonth(ctx context.Context, tx pgx.Tx) error {
	const add = `SELECT CASE WHEN came < 9007199254740992 THEN came::bigint END, CASE WHEN went < 9007199254740992 THEN went::bigint END
		FROM (SELECT COALESCE(sum(amount) FILTER (WHERE amount > 0), 0) AS came, COALESCE(-sum(amount) FILTER (WHERE amount < 0), 0) AS went
			FROM postings WHERE account_id = $1 AND seq > $2 AND seq <= $3) m`
	w.Count = w.seq - w.before
	if w.Count > maxMonth {
		return nil
	}
	return tx.QueryRow(ctx, add, planned, w.account, w.before, w.seq).Scan(&w.In, &w.Out)
}
