package ledger

import (
	"context"
	"fmt"
	"math/big"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// MaxStatementTotals is the maximum number of other parties whose totals a statement names.
	MaxStatementTotals = 500

	// MaxTotaledPostings is the maximum number of postings that are added up by other party, in one
	// query, whose time grows with them: docs/performance.md.
	MaxTotaledPostings = 1_000_000
)

// StatementTotal is what a wallet received in a month from one other party, and sent to it. In and
// Out are minor units; both are nil if JSON cannot represent one of them exactly.
type StatementTotal struct {
	With    *UserID // nil for the bank, and for several parties
	Parties int64   // 1, or those that are added up in one total
	Count   int64   // postings
	In, Out *int64
}

// StatementTotals are the totals of a statement by other party. All parts together are the In, Out
// and Count of the statement.
type StatementTotals struct {
	Items  []StatementTotal // with the largest sums of In and Out first
	Others *StatementTotal  // of the parties that Items has not; nil if there are none
}

// sumStatement adds up the postings of an account by other party, and names those with the largest
// sums, named at most. Equal sums are in the order of the ids of the users, so that the result for
// the same postings is always the same.
const sumStatement = `WITH moves AS (
		SELECT CASE WHEN p.amount < 0 THEN t.credit_account ELSE t.debit_account END AS other, p.amount
		FROM postings p JOIN transfers t ON t.id = p.transfer_id
		WHERE p.account_id = ANY (ARRAY[$1::bigint]) AND p.seq > $2 AND p.seq <= $3
	UNION ALL
		SELECT t.credit_account, -t.posted_amount FROM transfers t
		WHERE t.debit_account = ANY (ARRAY[$1::bigint]) AND t.id >= $4 AND t.id < $5 AND t.debit_seq > $2 AND t.debit_seq <= $3
	UNION ALL
		SELECT t.debit_account, t.posted_amount FROM transfers t
		WHERE t.credit_account = ANY (ARRAY[$1::bigint]) AND t.id >= $4 AND t.id < $5 AND t.credit_seq > $2 AND t.credit_seq <= $3),
	by_account AS (SELECT other, count(*) AS count, COALESCE(sum(amount) FILTER (WHERE amount > 0), 0) AS came,
		COALESCE(-sum(amount) FILTER (WHERE amount < 0), 0) AS went FROM moves GROUP BY other),
	by_party AS (SELECT a.owner, sum(count) AS count, sum(came) AS came, sum(went) AS went
		FROM by_account b JOIN accounts a ON a.id = b.other GROUP BY a.owner),
	ranked AS (SELECT *, least(row_number() OVER (ORDER BY came + went DESC, owner NULLS FIRST), $6 + 1) AS place FROM by_party)
	SELECT place, (array_agg(owner))[1], count(*), sum(count)::bigint, sum(came)::text, sum(went)::text
	FROM ranked GROUP BY place ORDER BY place`

// readTotals sets Totals from the postings between two numbers, in the snapshot of the statement.
func (s *Statement) readTotals(ctx context.Context, tx pgx.Tx, account AccountID, after, upTo int64, named int) error {
	if upTo-after > MaxTotaledPostings {
		return nil
	}
	rows, err := tx.Query(ctx, sumStatement, planEachTime, int64(account), after, upTo,
		firstTransferID(s.Since), firstTransferID(s.Until), named)
	if err != nil {
		return err
	}
	totals := &StatementTotals{Items: []StatementTotal{}}
	var (
		place, counted int64
		owner          *uuid.UUID
		came, went     string
		total          StatementTotal
	)
	_, err = pgx.ForEachRow(rows, []any{&place, &owner, &total.Parties, &total.Count, &came, &went}, func() error {
		one := total
		if one.In, one.Out, err = exactSums(came, went); err != nil {
			return err
		}
		counted += one.Count
		if place > int64(named) {
			totals.Others = &one
			return nil
		}
		if owner != nil {
			with := UserID(*owner)
			one.With = &with
		}
		totals.Items = append(totals.Items, one)
		return nil
	})
	if err != nil {
		return err
	}
	if counted != upTo-after {
		return fmt.Errorf("%w: the totals of account %d have %d of %d", errNotThere, account, counted, upTo-after)
	}
	s.Totals = totals
	return nil
}

// exactSums returns two sums, or nil for both if JSON cannot represent one of them exactly.
func exactSums(came, went string) (in, out *int64, err error) {
	var sums [2]int64
	for i, text := range []string{came, went} {
		sum, ok := new(big.Int).SetString(text, 10)
		if !ok {
			return nil, nil, fmt.Errorf("the sum %q of a statement is not a whole number", text)
		}
		if sum.CmpAbs(big.NewInt(balanceLimit)) >= 0 {
			return nil, nil, nil
		}
		sums[i] = sum.Int64()
	}
	return &sums[0], &sums[1], nil
}
