package ledger

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/money"
)

// MaxPage is the most transfers that one page of a list holds.
const MaxPage = 100

// Find is one transfer that has to do with one of the user's wallets;
// TransferNotFound otherwise, whether or not it exists. A refused one is its
// owner's alone: or a stranger without a cent could write memos into the lists of
// others.
func (l *Ledger) Find(ctx context.Context, user, id uuid.UUID) (Transfer, error) {
	const find = `SELECT ` + transferColumns + ` FROM transfers t
		WHERE t.id = $1 AND t.kind NOT IN ('capture', 'void') AND (t.state <> 'refused' OR t.owner = $2) AND EXISTS (
			SELECT FROM accounts a WHERE a.owner = $2 AND a.id IN (t.debit_account, t.credit_account))`
	t, err := scanTransfer(l.pool.QueryRow(ctx, find, id, user))
	if errors.Is(err, pgx.ErrNoRows) {
		return Transfer{}, fail(TransferNotFound, "you have no such transfer")
	}
	if err != nil {
		return Transfer{}, unavailable("read the transfer", err)
	}
	return *t, nil
}

// Query narrows a list of transfers; zero fields do not.
type Query struct {
	State     State
	Kind      Kind
	Direction string // "in" or "out", seen from the user's wallets
	Currency  money.Currency
	Since     time.Time // inclusive
	Until     time.Time // exclusive
	Memo      string    // text that the memo contains, in any case
	Limit     int       // at most MaxPage; 20 when 0
	Cursor    string    // Next of the page before
}

// Page of transfers, newest first.
type Page struct {
	Transfers []Transfer
	Next      string // "" on the last page
}

// List gives the transfers that Find would show, newest first by
// id. Each page costs the same, however far back it lies: both sides of the books
// are walked along their own index and merged.
func (l *Ledger) List(ctx context.Context, user uuid.UUID, q Query) (Page, error) {
	limit := min(orDefault(q.Limit, 20), MaxPage)
	before := uuid.Max
	if q.Cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		if err == nil {
			before, err = uuid.FromBytes(raw)
		}
		if err != nil {
			return Page{}, fail(CursorMalformed, "the cursor is not one of ours: leave it out to begin anew")
		}
	}
	sql, args := listSQL(user, before, limit+1, q)
	rows, err := l.pool.Query(ctx, sql, args...)
	if err != nil {
		return Page{}, unavailable("list the transfers", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Transfer, error) {
		t, err := scanTransfer(row)
		if err != nil {
			return Transfer{}, err
		}
		return *t, nil
	})
	if err != nil {
		return Page{}, unavailable("list the transfers", err)
	}
	page := Page{Transfers: found}
	if len(found) > limit {
		page.Transfers = found[:limit]
		last := found[limit-1].ID
		page.Next = base64.RawURLEncoding.EncodeToString(last[:])
	}
	return page, nil
}

// listSQL walks (account, id) of either side backwards for each of the user's
// accounts. A transfer between two of them would come twice; UNION drops one.
func listSQL(user, before uuid.UUID, limit int, q Query) (string, []any) {
	args := []any{user, before, limit}
	where := ""
	narrow := func(condition string, value any) {
		args = append(args, value)
		where += fmt.Sprintf(" AND "+condition, len(args))
	}
	if q.State != "" {
		narrow("t.state = $%d", q.State)
	}
	if q.Kind != "" {
		narrow("t.kind = $%d", q.Kind)
	}
	if q.Currency != "" {
		narrow("t.currency = $%d", q.Currency)
	}
	if !q.Since.IsZero() {
		narrow("t.created_at >= $%d", q.Since)
	}
	if !q.Until.IsZero() {
		narrow("t.created_at < $%d", q.Until)
	}
	if q.Memo != "" {
		narrow("position(lower($%d) IN lower(t.memo)) > 0", q.Memo)
	}
	side := func(column string) string {
		return `SELECT s.* FROM accounts a CROSS JOIN LATERAL (
			SELECT t.* FROM transfers t
			WHERE t.` + column + ` = a.id AND t.id < $2 AND t.kind NOT IN ('capture', 'void')
				AND (t.state <> 'refused' OR t.owner = $1)` + where + `
			ORDER BY t.id DESC LIMIT $3) s
		WHERE a.owner = $1`
	}
	sides := map[string][]string{
		"in": {"credit_account"}, "out": {"debit_account"}, "": {"debit_account", "credit_account"},
	}[q.Direction]
	selects := make([]string, len(sides))
	for i, column := range sides {
		selects[i] = side(column)
	}
	return `SELECT ` + transferColumns + ` FROM (` + strings.Join(selects, " UNION ") + `) t
		ORDER BY t.id DESC LIMIT $3`, args
}

// BalanceAt is the posted balance of a wallet, in minor units, as of a time that
// has come; the zero time means now. What it answers for a time never changes
// afterwards: asking dates every later posting after it.
func (l *Ledger) BalanceAt(ctx context.Context, owner uuid.UUID, c money.Currency, at time.Time) (int64, time.Time, error) {
	// Waits for the batch in flight, whose postings may be dated before $2, and
	// leaves word for the next one. Older times need neither: as_of says so.
	const reserve = `UPDATE accounts
		SET as_of = $2::timestamptz + interval '1 microsecond' WHERE id = $1 AND as_of <= $2`
	const lookUp = `SELECT COALESCE((SELECT balance_after FROM postings
		WHERE account_id = $1 AND posted_at <= $2 ORDER BY seq DESC LIMIT 1), 0)`
	account, err := l.walletID(ctx, owner, c)
	if err != nil {
		return 0, time.Time{}, err
	}
	if account == 0 {
		return 0, time.Time{}, fail(WalletNotFound, "you have no %s wallet", c)
	}
	var now time.Time
	if err := l.pool.QueryRow(ctx, readClock).Scan(&now); err != nil {
		return 0, time.Time{}, unavailable("read the clock", err)
	}
	if at.IsZero() {
		at = now
	}
	if at.After(now) {
		return 0, time.Time{}, fail(TimeInFuture, "that time is still to come: ask for one up to now")
	}
	at = at.UTC().Truncate(time.Microsecond)
	if _, err := l.pool.Exec(ctx, reserve, account, at); err != nil {
		return 0, time.Time{}, unavailable("read the balance", err)
	}
	var balance int64
	if err := l.pool.QueryRow(ctx, lookUp, account, at).Scan(&balance); err != nil {
		return 0, time.Time{}, unavailable("read the balance", err)
	}
	return balance, at, nil
}

// Preview is what an order would do, decided by the same rules on the books as
// they stand, and not written.
type Preview struct {
	Wallet Wallet // the owner's, as it would be afterwards
}

// Preview decides a transfer, or with authorise set an authorisation, without
// writing it. A refusal is the same *Error as in earnest, but nothing is stored.
func (l *Ledger) Preview(ctx context.Context, o Order, authorise bool) (Preview, error) {
	op := opTransfer
	if authorise {
		op = opAuthorise
	}
	c, err := l.prepare(ctx, op, o)
	if err != nil {
		return Preview{}, err
	}
	const look = `SELECT id, COALESCE(owner, '00000000-0000-0000-0000-000000000000'), currency, kind,
			balance, held, seq, floor, status, as_of
		FROM accounts WHERE id = ANY($1)`
	b := newBook(1)
	b.now = time.Now()
	rows, err := l.pool.Query(ctx, look, []int64{c.debit, c.credit})
	if err != nil {
		return Preview{}, unavailable("read the wallets", err)
	}
	defer rows.Close()
	if err := b.scanAccounts(rows); err != nil {
		return Preview{}, unavailable("read the wallets", err)
	}
	if o := b.decide(c); o.err != nil {
		if e, ok := errors.AsType[*Error](o.err); ok {
			e.Transfer = nil // it was never stored
		}
		return Preview{}, o.err
	}
	debit := b.accounts[c.debit]
	return Preview{Wallet{
		Owner: debit.owner, Currency: debit.currency, Balance: debit.balance, Held: debit.held, Status: debit.status,
	}}, nil
}
