package ledger

import (
	"bytes"
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// auditDigests encodes every transfer and compares the SHA-256 with the digest in the event of its
// state. Another check finds missing events.
func auditDigests(ctx context.Context, tx pgx.Tx, of scope) ([][]Check, error) {
	const stream = `SELECT ` + transferColumns + `, t.stated, t.stated_debit, COALESCE(t.stated_credit, 0), t.stated_at
		FROM stated_transfers t`
	began := time.Now()
	check := Check{
		Name:     "digests",
		Sentence: "the event of a transfer's state has the SHA-256 of the transfer",
		Broken:   []string{},
	}
	rows, err := tx.Query(ctx, of.statement(stream), of.arguments()...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var (
		row           transferRow
		want          []byte
		debit, credit AccountID
		at            time.Time
	)
	into := row.into(&want, (*int64)(&debit), (*int64)(&credit), &at) // once: there may be millions of rows
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		t := row.transfer()
		check.Rows++
		got := digest(t)
		when := t.CreatedAt
		if !t.ResolvedAt.IsZero() {
			when = t.ResolvedAt
		}
		if bytes.Equal(got[:], want) && debit == t.DebitAccount && credit == t.CreditAccount && at.Equal(when) {
			continue
		}
		check.BrokenRows++
		if len(check.Broken) < maxBroken {
			check.Broken = append(check.Broken, "transfer "+t.ID.String())
		}
	}
	check.Duration = time.Since(began)
	return [][]Check{{check}}, rows.Err()
}
