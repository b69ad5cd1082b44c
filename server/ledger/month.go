package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// maxSummedPostings is how many postings a summary adds up for one wallet. Checkpoints are closer
// to each other: only the time before the first checkpoint of a wallet can have more, in books that
// are older than schema 7.
const maxSummedPostings = 100_000

// creditRange is a range of the postings of a wallet whose credits have to be added up, because one
// of its ends is the last posting before the month, and the other one is the checkpoint next to it.
type creditRange struct {
	after, upTo int64     // seq; the range excludes after and includes upTo
	since       uuid.UUID // transfers with their own postings in the range have ids from since on,
	until       uuid.UUID // and below until
	counted     string    // decimal: what came in since the checkpoint
	sign        int64     // 1 if the range belongs to the month, -1 if counted includes it by mistake
}

// readMonths sets In, Out and Count of all wallets.
func (s *Summary) readMonths(ctx context.Context, tx pgx.Tx) error {
	ranges, err := s.findRanges(ctx, tx)
	if err != nil {
		return err
	}
	return s.addCredits(ctx, tx, ranges)
}

// findRanges finds the checkpoint next to the beginning of the month, and sets Count.
func (s *Summary) findRanges(ctx context.Context, tx pgx.Tx) ([]creditRange, error) {
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
	accounts, before := make([]int64, len(s.Wallets)), make([]int64, len(s.Wallets))
	for i := range s.Wallets {
		w := &s.Wallets[i]
		accounts[i], before[i] = int64(w.account), w.before.seq
		w.Count = w.seq - w.before.seq
	}
	rows, err := tx.Query(ctx, find, planEachTime, accounts, before)
	if err != nil {
		return nil, err
	}
	ranges := make([]creditRange, len(s.Wallets))
	var (
		nth, seq int64
		at       time.Time
		counted  string
	)
	_, err = pgx.ForEachRow(rows, []any{&nth, &seq, &at, &counted}, func() error {
		month, checkpoint := before[nth-1], seq
		if checkpoint <= month {
			ranges[nth-1] = creditRange{checkpoint, month, firstTransferID(at), firstTransferID(s.MonthStart), counted, -1}
		} else {
			ranges[nth-1] = creditRange{month, checkpoint, firstTransferID(s.MonthStart), firstTransferID(at.Add(time.Microsecond)), counted, 1}
		}
		return nil
	})
	return ranges, err
}

// addCredits adds up the ranges, and sets In and Out.
func (s *Summary) addCredits(ctx context.Context, tx pgx.Tx, ranges []creditRange) error {
	// Own postings have no index by seq: those of the range are found by the ids of their
	// transfers. ANY (ARRAY[…]) and ORDER BY: see listSQL.
	const add = `SELECT d.nth, CASE WHEN m.came < 9007199254740992 THEN m.came::bigint END
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
		accounts[i], after[i], upTo[i], sign[i] = int64(s.Wallets[i].account), r.after, r.upTo, r.sign
		since[i], until[i], counted[i] = r.since, r.until, r.counted
	}
	rows, err := tx.Query(ctx, add, planEachTime, accounts, after, upTo, since, until, counted, sign, maxSummedPostings)
	if err != nil {
		return err
	}
	var (
		nth int64
		in  *int64
	)
	_, err = pgx.ForEachRow(rows, []any{&nth, &in}, func() error {
		w := &s.Wallets[nth-1]
		if in == nil {
			return nil
		}
		came := *in
		if went := came - (w.Balance - w.before.balance); went < balanceLimit {
			w.In, w.Out = &came, &went
		}
		return nil
	})
	return err
}
