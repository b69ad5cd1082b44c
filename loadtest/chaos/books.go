package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// books are the tables as they stand at the end, read as PostgreSQL's superuser.
type books struct {
	accounts  map[int64]accountRow
	transfers map[uuid.UUID]*transferRow
	byKey     map[ownerKey]*transferRow
	postings  []postingRow // by account and seq
	events    []eventRow   // by id
	payments  []paymentRow
	log       []logRow                      // by id
	differ    map[uuid.UUID]map[string]bool // kinds of the differences found, by transfer
	attempts  []attemptRow                  // by id
}

type ownerKey struct {
	owner uuid.UUID
	key   string
}

type accountRow struct {
	ID                 int64
	Owner              *uuid.UUID
	Kind               string
	Balance, Held, Seq int64
}

type transferRow struct {
	ID                uuid.UUID
	Kind, State       string
	Debit, Credit     int64
	Amount, Posted    int64
	Owner             uuid.UUID
	Key, Reason       string
	Target            *uuid.UUID
	Text              string // all of it, as evidence
	debitor, creditor uuid.UUID
}

type postingRow struct {
	Account, Seq  int64
	Transfer      uuid.UUID
	Amount, After int64
}

type eventRow struct {
	ID       int64
	Transfer uuid.UUID
	State    string
}

type paymentRow struct {
	Transfer  uuid.UUID
	Direction string
	Ref       string
	Amount    int64
	Currency  string
	State     string
	// What Submit answered, where Status did not say so at once.
	Unconfirmed string
	Text        string
}

// attemptRow is what an attempt left in Kizo's own log of a payment.
type attemptRow struct {
	Transfer uuid.UUID
	What     string
	At       time.Time
}

// logRow is a line of the payments' log.
type logRow struct {
	ID         int64
	Transfer   uuid.UUID
	Who, State string
	Attempts   int
	Fence      int64
	OldState   *string
	OldFence   *int64
	OldLease   *time.Time
	Lease      *time.Time
	At         time.Time
}

const (
	readAccounts  = `SELECT id, owner, kind, balance, held, seq FROM accounts`
	readTransfers = `SELECT id, kind, state, debit_account, COALESCE(credit_account, 0), amount, posted_amount,
		owner, idem_key, reason, target, row_to_json(t)::text FROM transfers t`
	readPostings    = `SELECT account_id, seq, transfer_id, amount, balance_after FROM postings ORDER BY account_id, seq`
	readEvents      = `SELECT id, transfer_id, state FROM events ORDER BY id`
	readPayments    = `SELECT transfer_id, direction, external_ref, amount, currency, state, unconfirmed, row_to_json(p)::text FROM payments p`
	readDifferences = `SELECT transfer_id, kind FROM discrepancies WHERE transfer_id IS NOT NULL`
	readAttempts    = `SELECT transfer_id, kind, at FROM payment_log WHERE kind <> 'callback' ORDER BY id`
	readLog         = `SELECT id, transfer_id, who, state, attempts, fence, old_state, old_fence, old_lease, lease_until, at
		FROM chaos_payment_log ORDER BY id`
	readUsers = `SELECT handle, id FROM users`
)

func rows[T any](ctx context.Context, conn *pgx.Conn, sql string, scan func(pgx.CollectableRow, *T) error) ([]T, error) {
	found, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("read the books: %w", err)
	}
	list, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (value T, err error) {
		return value, scan(row, &value)
	})
	if err != nil {
		return nil, fmt.Errorf("read the books: %w", err)
	}
	return list, nil
}

func readBooks(ctx context.Context, conn *pgx.Conn) (*books, error) {
	b := &books{
		accounts: make(map[int64]accountRow), transfers: make(map[uuid.UUID]*transferRow), byKey: make(map[ownerKey]*transferRow),
	}
	accounts, err := rows(ctx, conn, readAccounts, func(row pgx.CollectableRow, a *accountRow) error {
		return row.Scan(&a.ID, &a.Owner, &a.Kind, &a.Balance, &a.Held, &a.Seq)
	})
	if err != nil {
		return nil, err
	}
	for _, a := range accounts {
		b.accounts[a.ID] = a
	}
	transfers, err := rows(ctx, conn, readTransfers, func(row pgx.CollectableRow, t *transferRow) error {
		return row.Scan(&t.ID, &t.Kind, &t.State, &t.Debit, &t.Credit, &t.Amount, &t.Posted, &t.Owner, &t.Key, &t.Reason, &t.Target, &t.Text)
	})
	if err != nil {
		return nil, err
	}
	for i := range transfers {
		t := &transfers[i]
		t.debitor, t.creditor = b.owner(t.Debit), b.owner(t.Credit)
		b.transfers[t.ID], b.byKey[ownerKey{t.Owner, t.Key}] = t, t
	}
	return b, b.readLines(ctx, conn)
}

func (b *books) readLines(ctx context.Context, conn *pgx.Conn) (err error) {
	if b.postings, err = rows(ctx, conn, readPostings, func(row pgx.CollectableRow, p *postingRow) error {
		return row.Scan(&p.Account, &p.Seq, &p.Transfer, &p.Amount, &p.After)
	}); err != nil {
		return err
	}
	if b.events, err = rows(ctx, conn, readEvents, func(row pgx.CollectableRow, e *eventRow) error {
		return row.Scan(&e.ID, &e.Transfer, &e.State)
	}); err != nil {
		return err
	}
	if b.payments, err = rows(ctx, conn, readPayments, func(row pgx.CollectableRow, p *paymentRow) error {
		return row.Scan(&p.Transfer, &p.Direction, &p.Ref, &p.Amount, &p.Currency, &p.State, &p.Unconfirmed, &p.Text)
	}); err != nil {
		return err
	}
	if b.attempts, err = rows(ctx, conn, readAttempts, func(row pgx.CollectableRow, l *attemptRow) error {
		return row.Scan(&l.Transfer, &l.What, &l.At)
	}); err != nil {
		return err
	}
	if err := b.readDifferences(ctx, conn); err != nil {
		return err
	}
	b.log, err = rows(ctx, conn, readLog, func(row pgx.CollectableRow, l *logRow) error {
		return row.Scan(&l.ID, &l.Transfer, &l.Who, &l.State, &l.Attempts, &l.Fence, &l.OldState, &l.OldFence, &l.OldLease, &l.Lease, &l.At)
	})
	return err
}

func (b *books) readDifferences(ctx context.Context, conn *pgx.Conn) error {
	type difference struct {
		transfer uuid.UUID
		kind     string
	}
	found, err := rows(ctx, conn, readDifferences, func(row pgx.CollectableRow, d *difference) error {
		return row.Scan(&d.transfer, &d.kind)
	})
	b.differ = make(map[uuid.UUID]map[string]bool)
	for _, d := range found {
		if b.differ[d.transfer] == nil {
			b.differ[d.transfer] = make(map[string]bool)
		}
		b.differ[d.transfer][d.kind] = true
	}
	return err
}

func (b *books) owner(account int64) uuid.UUID {
	if a, ok := b.accounts[account]; ok && a.Owner != nil {
		return *a.Owner
	}
	return uuid.Nil
}

// wallet is the account of a user.
func (b *books) wallet(owner uuid.UUID) (accountRow, bool) {
	for _, a := range b.accounts {
		if a.Owner != nil && *a.Owner == owner {
			return a, true
		}
	}
	return accountRow{}, false
}
