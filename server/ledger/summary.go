package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// MaxMonth is the longest time since the beginning of a month, in any time zone.
const MaxMonth = 32 * 24 * time.Hour

// TrendDays is the number of days of a trend, including today.
const TrendDays = 14

// Summary shows the wallets and the latest transfers of a user. Everything except Recent was read
// in one snapshot.
type Summary struct {
	At         time.Time // by the database's clock
	MonthStart time.Time // where In, Out and Count of the wallets begin
	Wallets    []WalletSummary
	PendingIn  int // pending transfers, at most 1000 of each wallet
	PendingOut int
	Recent     []Transfer // the newest five
}

// WalletSummary is a wallet with its month and its trend. Days are days of UTC.
type WalletSummary struct {
	Wallet
	// In and Out are minor units since MonthStart. Both are nil if JSON cannot represent one of
	// them exactly, and in the month of the upgrade to schema 7 if a wallet had more than 100,000
	// postings in it before.
	In, Out *int64
	Count   int64   // postings since then
	Trend   []int64 // balance in minor units at the end of each day; the last one is that of now
	Days    []time.Time
	account AccountID
	seq     int64       // of the last posting
	before  lastPosting // before this month
}

// Summary returns the summary of a user. The month is that of UTC.
func (l *Ledger) Summary(ctx context.Context, user UserID) (Summary, error) {
	return l.summary(ctx, user, func(now time.Time) time.Time {
		return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	})
}

// SummarySince is Summary for a user whose month began at another time; callers limit it to
// MaxMonth.
func (l *Ledger) SummarySince(ctx context.Context, user UserID, monthStart time.Time) (Summary, error) {
	return l.summary(ctx, user, func(time.Time) time.Time { return monthStart.UTC() })
}

func (l *Ledger) summary(ctx context.Context, user UserID, month func(now time.Time) time.Time) (Summary, error) {
	var s Summary
	err := pgx.BeginTxFunc(ctx, l.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
		func(tx pgx.Tx) error { return s.read(ctx, tx, user, month) })
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

func (s *Summary) read(ctx context.Context, tx pgx.Tx, user UserID, month func(now time.Time) time.Time) error {
	const wallets = `SELECT ` + walletColumns + `, id, seq FROM accounts WHERE owner = $1 ORDER BY id`
	// LATERAL makes this a look-up by account, however many other transfers are pending.
	const pending = `SELECT
		(SELECT count(*) FROM accounts a CROSS JOIN LATERAL (
			SELECT FROM transfers t WHERE t.credit_account = a.id AND t.state = 'pending' LIMIT 1000) i WHERE a.owner = $1),
		(SELECT count(*) FROM accounts a CROSS JOIN LATERAL (
			SELECT FROM transfers t WHERE t.debit_account = a.id AND t.state = 'pending' LIMIT 1000) o WHERE a.owner = $1)`
	if err := tx.QueryRow(ctx, readClock).Scan(&s.At); err != nil {
		return err
	}
	s.At = s.At.UTC()
	s.MonthStart = month(s.At)
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
	if err := s.readTrends(ctx, tx); err != nil {
		return err
	}
	return s.readMonths(ctx, tx)
}

// readTrends reads the balances at the ends of days, and the last posting before the month.
func (s *Summary) readTrends(ctx context.Context, tx pgx.Tx) error {
	today := time.Date(s.At.Year(), s.At.Month(), s.At.Day(), 0, 0, 0, 0, time.UTC)
	ends := []time.Time{s.MonthStart}
	days := make([]time.Time, TrendDays)
	for i := range days {
		days[i] = today.AddDate(0, 0, i-TrendDays+1)
		if i > 0 {
			ends = append(ends, days[i]) // the end of the day before
		}
	}
	accounts := make([]AccountID, len(s.Wallets))
	for i := range s.Wallets {
		accounts[i] = s.Wallets[i].account
	}
	found, err := lastPostings(ctx, tx, accounts, ends)
	if err != nil {
		return err
	}
	for i := range s.Wallets {
		w := &s.Wallets[i]
		last := found[w.account]
		w.before, w.Days = last[0], days
		for _, posting := range last[1:] {
			w.Trend = append(w.Trend, posting.balance)
		}
		w.Trend = append(w.Trend, w.Balance)
	}
	return nil
}
