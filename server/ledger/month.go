package ledger

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// maxSummedPostings is how many postings are added up for what came into a wallet since a time.
// Checkpoints are closer to each other: only the time before the first checkpoint of a wallet can
// have more, in books that are older than schema 7.
const maxSummedPostings = 100_000

// creditPoint is a place among the postings of an account: after its last posting before a time.
type creditPoint struct {
	account AccountID
	after   int64 // seq of that posting
	before  time.Time
}

// creditRange is a range of the postings of an account whose credits have to be added up, because
// one of its ends is a creditPoint, and the other one is the checkpoint next to it.
type creditRange struct {
	after, upTo int64     // seq; the range excludes after and includes upTo
	since       uuid.UUID // transfers with their own postings in the range have ids from since on,
	until       uuid.UUID // and below until
	counted     string    // decimal: what came in since the checkpoint
	sign        int64     // 1 if the range belongs to what is asked for, -1 if counted includes it by mistake
}

// readMonths sets In, Out and Count of all wallets.
func (s *Summary) readMonths(ctx context.Context, tx pgx.Tx) error {
	points := make([]creditPoint, len(s.Wallets))
	for i := range s.Wallets {
		w := &s.Wallets[i]
		points[i] = creditPoint{w.account, w.before.seq, s.MonthStart}
		w.Count = w.seq - w.before.seq
	}
	came, err := creditedSince(ctx, tx, points)
	if err != nil {
		return err
	}
	for i := range s.Wallets {
		w := &s.Wallets[i]
		w.In, w.Out = turnover(came[i], w.Balance-w.before.balance)
	}
	return nil
}

// turnover returns what came in and what went out, in minor units, while the balance changed by
// change. Both are nil if what came in is not known, or if JSON cannot represent one of them
// exactly.
func turnover(came *big.Int, change int64) (in, out *int64) {
	if came == nil || came.CmpAbs(big.NewInt(balanceLimit)) >= 0 {
		return nil, nil
	}
	i := came.Int64()
	o := i - change
	if o >= balanceLimit {
		return nil, nil
	}
	return &i, &o
}

// creditedSince returns what has come into accounts since each point, in minor units. It is nil
// where more than maxSummedPostings would have to be added up.
func creditedSince(ctx context.Context, tx pgx.Tx, points []creditPoint) ([]*big.Int, error) {
	ranges, err := findRanges(ctx, tx, points)
	if err != nil {
		return nil, err
	}
	return addCredits(ctx, tx, points, ranges)
}

// findRanges finds the checkpoint next to each point.
func findRanges(ctx context.Context, tx pgx.Tx, points []creditPoint) ([]creditRange, error) {
	// A wallet without a checkpoint has its last posting for one, since which nothing came in.
	// Of the three candidates, the nearest one leaves the fewest postings to add up.
	const find = `SELECT d.nth, c.seq, c.posted_at, (a.credited - c.credited)::text
		FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS d (account, before, nth)
		CROSS JOIN LATERAL (SELECT * FROM accounts x WHERE x.id = d.account OFFSET 0) a
		CROSS JOIN LATERAL (SELECT * FROM (
				(SELECT x.seq, x.posted_at, x.credited FROM account_checkpoints x
				WHERE x.account_id = ANY (ARRAY[d.account]) AND x.seq <= d.before ORDER BY x.account_id DESC, x.seq DESC LIMIT 1)
			UNION ALL
				(SELECT x.seq, x.posted_at, x.credited FROM account_checkpoints x
				WHERE x.account_id = ANY (ARRAY[d.account]) AND x.seq > d.before ORDER BY x.account_id, x.seq LIMIT 1)
			UNION ALL
				SELECT a.seq, a.as_of, a.credited) x
			ORDER BY abs(x.seq - d.before) LIMIT 1) c`
	accounts, after := make([]int64, len(points)), make([]int64, len(points))
	for i, p := range points {
		accounts[i], after[i] = int64(p.account), p.after
	}
	rows, err := tx.Query(ctx, find, planEachTime, accounts, after)
	if err != nil {
		return nil, err
	}
	ranges := make([]creditRange, len(points))
	var (
		nth, seq int64
		at       time.Time
		counted  string
	)
	_, err = pgx.ForEachRow(rows, []any{&nth, &seq, &at, &counted}, func() error {
		p := points[nth-1]
		if seq <= p.after {
			ranges[nth-1] = creditRange{seq, p.after, firstTransferID(at), firstTransferID(p.before), counted, -1}
		} else {
			ranges[nth-1] = creditRange{p.after, seq, firstTransferID(p.before), firstTransferID(at.Add(time.Microsecond)), counted, 1}
		}
		return nil
	})
	return ranges, err
}

// addCredits adds up the ranges.
func addCredits(ctx context.Context, tx pgx.Tx, points []creditPoint, ranges []creditRange) ([]*big.Int, error) {
	// Own postings have no index by seq: those of the range are found by the ids of their
	// transfers. ANY (ARRAY[…]) and ORDER BY: see listSQL.
	const add = `SELECT d.nth, m.came::text
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::uuid[], $5::uuid[], $6::text[], $7::bigint[])
			WITH ORDINALITY AS d (account, after, up_to, since, until, counted, sign, nth)
		CROSS JOIN LATERAL (SELECT d.counted::numeric + d.sign * COALESCE(sum(amount), 0) AS came FROM (
			SELECT p.amount FROM postings p
			WHERE p.account_id = ANY (ARRAY[d.account]) AND p.seq > d.after AND p.seq <= d.up_to AND p.amount > 0
			UNION ALL
			SELECT t.posted_amount FROM (SELECT x.credit_seq, x.posted_amount FROM transfers x
				WHERE x.credit_account = ANY (ARRAY[d.account]) AND x.id >= d.since AND x.id < d.until AND x.debit_seq IS NOT NULL
				ORDER BY x.credit_account, x.id LIMIT d.up_to - d.after + 1) t
			WHERE t.credit_seq > d.after AND t.credit_seq <= d.up_to) c) m
		WHERE d.up_to - d.after <= $8`
	n := len(ranges)
	accounts, after, upTo, sign := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	since, until, counted := make([][16]byte, n), make([][16]byte, n), make([]string, n)
	for i, r := range ranges {
		accounts[i], after[i], upTo[i], sign[i] = int64(points[i].account), r.after, r.upTo, r.sign
		since[i], until[i], counted[i] = r.since, r.until, r.counted
	}
	rows, err := tx.Query(ctx, add, planEachTime, accounts, after, upTo, since, until, counted, sign, maxSummedPostings)
	if err != nil {
		return nil, err
	}
	came := make([]*big.Int, n)
	var (
		nth int64
		sum string
	)
	_, err = pgx.ForEachRow(rows, []any{&nth, &sum}, func() error {
		var ok bool
		if came[nth-1], ok = new(big.Int).SetString(sum, 10); !ok {
			return fmt.Errorf("the sum %q of an account is not a whole number", sum)
		}
		return nil
	})
	return came, err
}
