package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// books are the contents of the tables at the end, read as PostgreSQL's superuser.
type books struct {
	accounts  map[int64]accountRow
	transfers map[uuid.UUID]*transferRow
	byKey     map[ownerKey]*transferRow
	postings  []postingRow // by account and seq
	events    []eventRow   // by id
	payments  []paymentRow
	log       []logRow // by id
	differ    map[discrepancyRow]bool
	attempts  []attemptRow // by id
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
	Created           time.Time // the same for all transfers of a database transaction
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
	// The answer of Submit, if Status did not confirm it at once.
	Unconfirmed string
	Text        string
}

// discrepancyRow is a discrepancy that Kizo has recorded.
type discrepancyRow struct {
	Transfer uuid.UUID
	Kind     string
}

// attemptRow is the entry of an attempt in Kizo's own log of a payment.
type attemptRow struct {
	Transfer uuid.UUID
	Kind     string
	At       time.Time
}

// logRow is a row of chaos_payment_log (see system.go).
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

// read reads all rows of a query, whose columns are named as the fields of T.
func read[T any](ctx context.Context, conn *pgx.Conn, sql string, into *[]T) error {
	found, err := conn.Query(ctx, sql)
	if err == nil {
		*into, err = pgx.CollectRows(found, pgx.RowToStructByName[T])
	}
	if err != nil {
		return fmt.Errorf("read the books: %w", err)
	}
	return nil
}

const (
	readAccounts  = `SELECT id, owner, kind, balance, held, seq FROM accounts`
	readTransfers = `SELECT id, kind, state, debit_account AS debit, COALESCE(credit_account, 0) AS credit, amount,
		posted_amount AS posted, owner, created_at AS created, idem_key AS key, reason, target, row_to_json(t)::text AS text FROM transfers t`
	readPostings = `SELECT account_id AS account, seq, transfer_id AS transfer, amount, balance_after AS after
		FROM all_postings ORDER BY account_id, seq`
	// Ids are drawn while the accounts are locked, numbers (xid) may be taken before.
	readEvents   = `SELECT id, transfer_id AS transfer, state FROM all_events ORDER BY id`
	readPayments = `SELECT transfer_id AS transfer, direction, external_ref AS ref, amount, currency, state, unconfirmed,
		row_to_json(p)::text AS text FROM payments p`
	readDiscrepancies = `SELECT transfer_id AS transfer, kind FROM discrepancies WHERE transfer_id IS NOT NULL`
	readAttempts      = `SELECT transfer_id AS transfer, kind, at FROM payment_log WHERE kind <> 'callback' ORDER BY id`
	readLog           = `SELECT id, transfer_id AS transfer, who, state, attempts, fence, old_state, old_fence, old_lease,
		lease_until AS lease, at FROM chaos_payment_log ORDER BY id`
)

func readBooks(ctx context.Context, conn *pgx.Conn) (*books, error) {
	b := &books{
		accounts: make(map[int64]accountRow), transfers: make(map[uuid.UUID]*transferRow),
		byKey: make(map[ownerKey]*transferRow), differ: make(map[discrepancyRow]bool),
	}
	var accounts []accountRow
	var transfers []transferRow
	var discrepancies []discrepancyRow
	err := errors.Join(
		read(ctx, conn, readAccounts, &accounts), read(ctx, conn, readTransfers, &transfers),
		read(ctx, conn, readDiscrepancies, &discrepancies), read(ctx, conn, readPostings, &b.postings),
		read(ctx, conn, readEvents, &b.events), read(ctx, conn, readPayments, &b.payments),
		read(ctx, conn, readAttempts, &b.attempts), read(ctx, conn, readLog, &b.log),
	)
	for _, a := range accounts {
		b.accounts[a.ID] = a
	}
	for i := range transfers {
		t := &transfers[i]
		t.debitor, t.creditor = b.owner(t.Debit), b.owner(t.Credit)
		b.transfers[t.ID], b.byKey[ownerKey{t.Owner, t.Key}] = t, t
	}
	for _, d := range discrepancies {
		b.differ[d] = true
	}
	return b, err
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
