package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

// Posting is a change of the balance of one account.
type Posting struct {
	Account      AccountID
	Seq          int64
	Amount       int64 // minor units; negative if money left the account
	BalanceAfter int64
	At           time.Time
}

// Postings returns the two postings of a posted transfer, that of the debited account first, and
// none for any other transfer.
func (l *Ledger) Postings(ctx context.Context, t Transfer) ([]Posting, error) {
	const find = `SELECT account_id, seq, amount, balance_after, posted_at FROM all_postings
		WHERE transfer_id = $1 ORDER BY amount`
	rows, err := l.pool.Query(ctx, find, t.ID)
	if err != nil {
		return nil, unavailable("read the postings", err)
	}
	postings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Posting])
	if err != nil {
		return nil, unavailable("read the postings", err)
	}
	return postings, nil
}

// maxFollowUps limits FollowUps: a transfer can be reversed in as many parts as it has minor units.
const maxFollowUps = 100

// FollowUps returns the captures, voids and reversals of a transfer that were not refused, oldest
// first, and at most 100 of them.
func (l *Ledger) FollowUps(ctx context.Context, t Transfer) ([]Transfer, error) {
	const find = `SELECT ` + transferColumns + ` FROM transfers t
		WHERE t.target = $1 AND t.state <> 'refused' ORDER BY t.created_at, t.id LIMIT $2`
	rows, err := l.pool.Query(ctx, find, t.ID, maxFollowUps)
	if err != nil {
		return nil, unavailable("read the follow-ups of the transfer", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Transfer, error) {
		t, err := scanTransfer(row)
		if err != nil {
			return Transfer{}, err
		}
		return *t, nil
	})
	if err != nil {
		return nil, unavailable("read the follow-ups of the transfer", err)
	}
	return found, nil
}

// Get returns any transfer, for operators. It fails with TransferNotFound if there is none.
func (l *Ledger) Get(ctx context.Context, id uuid.UUID) (Transfer, error) {
	const find = `SELECT ` + transferColumns + ` FROM transfers t WHERE t.id = $1 AND t.kind NOT IN ('capture', 'void')`
	t, err := scanTransfer(l.pool.QueryRow(ctx, find, id))
	if errors.Is(err, pgx.ErrNoRows) {
		return Transfer{}, problem.New(TransferNotFound, "there is no such transfer")
	}
	if err != nil {
		return Transfer{}, unavailable("read the transfer", err)
	}
	return *t, nil
}
