package ledger

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

// Find returns a transfer that debits or credits one of the user's wallets. It fails with
// TransferNotFound for every other id, whether or not the transfer exists. Only its owner sees a
// refused transfer: otherwise a user without money could write memos into the lists of others.
func (l *Ledger) Find(ctx context.Context, user UserID, id uuid.UUID) (Transfer, error) {
	const find = `SELECT ` + transferColumns + ` FROM transfers t
		WHERE t.id = $1 AND t.kind NOT IN ('capture', 'void') AND (t.state <> 'refused' OR t.owner = $2) AND EXISTS (
			SELECT FROM accounts a WHERE a.owner = $2 AND a.id IN (t.debit_account, t.credit_account))`
	t, err := scanTransfer(l.pool.QueryRow(ctx, find, id, user))
	if errors.Is(err, pgx.ErrNoRows) {
		return Transfer{}, problem.New(TransferNotFound, "you have no such transfer")
	}
	if err != nil {
		return Transfer{}, unavailable("read the transfer", err)
	}
	return *t, nil
}

// Preview is what a request would do now. It is decided by the same rules and not written.
type Preview struct {
	Wallet Wallet // the owner's wallet, as it would be afterwards
}

// Preview decides a transfer, or with authorize set an authorization, without
// writing it. A refusal is returned as a [problem.Error] and not as a [Refusal], since nothing is
// stored.
func (l *Ledger) Preview(ctx context.Context, r TransferRequest, authorize bool) (Preview, error) {
	op := opTransfer
	if authorize {
		op = opAuthorize
	}
	c, err := l.newCommand(ctx, op, r, l.walletID)
	if err != nil {
		return Preview{}, err
	}
	b := newBatch(1)
	var (
		queue  pgx.Batch
		limits limitsToLoad
	)
	limits.add(c)
	queue.Queue(selectAccounts, rawIDs([]AccountID{c.debit, c.credit})).Query(b.scanAccounts)
	queue.Queue(readClock).QueryRow(func(row pgx.Row) error { return row.Scan(&b.now) })
	b.queueLimits(&queue, selectLimits, limits)
	oneSnapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, l.pool, oneSnapshot, func(tx pgx.Tx) error {
		if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
			return err
		}
		return b.readWalletLimits(ctx, tx, nil)
	})
	if err != nil {
		return Preview{}, unavailable("read the wallets", err)
	}
	if o := b.decide(c); o.err != nil {
		if refusal, ok := errors.AsType[*Refusal](o.err); ok {
			return Preview{}, refusal.Unwrap() // without the transfer, which was never stored
		}
		return Preview{}, o.err
	}
	debit := b.accounts[c.debit]
	return Preview{Wallet{
		Owner: debit.owner, Currency: debit.currency, Balance: debit.balance, Held: debit.held, Status: debit.status,
	}}, nil
}
