package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Paid is a user who has paid another one.
type Paid struct{ Payer, Payee UserID }

// maxPaidSearched is how many of the latest transfers of a wallet are searched for its payees.
const maxPaidSearched = 10_000

// The transfers of each wallet are read along (debit_account, id), newest first.
const listPaid = `SELECT DISTINCT d.owner, c.owner
	FROM accounts d
	CROSS JOIN LATERAL (SELECT t.credit_account, t.state FROM transfers t
		WHERE t.debit_account = d.id AND t.id < $2 AND t.kind IN ('transfer', 'authorization')
		ORDER BY t.debit_account DESC, t.id DESC LIMIT $4) t
	JOIN accounts c ON c.id = t.credit_account
	WHERE d.owner = ANY($1) AND c.owner = ANY($3) AND t.state <> 'refused'`

// PaidBefore returns who of the payers had paid whom of the payees before a time, by a transfer or
// an authorization. It searches the latest 10,000 transfers of each wallet.
func (l *Ledger) PaidBefore(ctx context.Context, payers, payees []UserID, before time.Time) ([]Paid, error) {
	rows, err := l.pool.Query(ctx, listPaid, planEachTime, payers, [16]byte(firstTransferID(before)), payees, maxPaidSearched)
	if err != nil {
		return nil, unavailable("look for earlier payments", err)
	}
	paid, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Paid])
	if err != nil {
		return nil, unavailable("look for earlier payments", err)
	}
	return paid, nil
}
