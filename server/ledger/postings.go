package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

// Posting is one line on one account.
type Posting struct {
	Account      int64
	Seq          int64
	Amount       int64 // minor units; negative where money left
	BalanceAfter int64
	At           time.Time
}

// Postings are the two lines of a posted transfer, that of the debited account
// first; none where it has not been posted.
func (l *Ledger) Postings(ctx context.Context, t Transfer) ([]Posting, error) {
	const find = `SELECT account_id, seq, amount, balance_after, posted_at FROM postings
		WHERE transfer_id = $1 ORDER BY amount`
	rows, err := l.pool.Query(ctx, find, t.ID)
	if err != nil {
		return nil, unavailable("read the postings", err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Posting])
	if err != nil {
		return nil, unavailable("read the postings", err)
	}
	return lines, nil
}

// maxFollowUps bounds FollowUps. A transfer can be sent back in as many parts as it has minor units.
const maxFollowUps = 100

// FollowUps are the captures, voids and reversals of a transfer that were carried out, oldest first, at
// most 100.
func (l *Ledger) FollowUps(ctx context.Context, t Transfer) ([]Transfer, error) {
	const find = `SELECT ` + transferColumns + ` FROM transfers t
		WHERE t.target = $1 AND t.state <> 'refused' ORDER BY t.created_at, t.id LIMIT $2`
	rows, err := l.pool.Query(ctx, find, t.ID, maxFollowUps)
	if err != nil {
		return nil, unavailable("read what was done with the transfer", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Transfer, error) {
		t, err := scanTransfer(row)
		if err != nil {
			return Transfer{}, err
		}
		return *t, nil
	})
	if err != nil {
		return nil, unavailable("read what was done with the transfer", err)
	}
	return found, nil
}

// Get is any transfer, for operators; TransferNotFound if there is none.
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
