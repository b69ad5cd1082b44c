package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/problem"
)

// MaxPage is the most transfers that one page of a list holds.
const MaxPage = 100

// Query narrows a list of transfers; zero fields do not.
type Query struct {
	State     State
	Kind      Kind
	Direction string // "in" or "out", seen from the user's wallets
	Currency  money.Currency
	Since     time.Time // inclusive
	Until     time.Time // exclusive
	Memo      string    // text that the memo contains, in any case and normalization form
	MinAmount int64     // minor units that moved, or are to move, inclusive, as MaxAmount; no bound when 0
	MaxAmount int64
	With      uuid.UUID // the user on the other side
	Limit     int       // at most MaxPage; 20 when 0
	Cursor    string    // Next of the page before
}

// Page of transfers, newest first.
type Page struct {
	Transfers []Transfer
	Next      string // "" on the last page
}

// searches tells whether a page may have to pass over many transfers to find a few.
func (q *Query) searches() bool {
	return q.State != "" || q.Kind != "" || q.Memo != "" || q.MinAmount != 0 || q.MaxAmount != 0 ||
		q.With != uuid.Nil || !q.Since.IsZero() || !q.Until.IsZero()
}

// List gives the transfers that Find would show, newest first by
// id. Each page costs the same, however far back it lies: both sides of the books
// are walked along their own index and merged. A search looks at so many transfers
// a page and no more: its page may come short, and its Next goes on.
func (l *Ledger) List(ctx context.Context, user uuid.UUID, q Query) (Page, error) {
	limit := min(orDefault(q.Limit, 20), MaxPage)
	before, err := q.start()
	if err != nil {
		return Page{}, err
	}
	var others []int64
	if q.With != uuid.Nil {
		if others, err = l.accountsOf(ctx, q.With); err != nil {
			return Page{}, err
		}
	}
	var (
		found []Transfer
		floor uuid.UUID
	)
	for _, looked := range q.looks(l.config.MaxSearched) {
		floor = uuid.Nil
		if looked > 0 {
			if floor, err = l.searchFloor(ctx, user, before, q, looked); err != nil {
				return Page{}, err
			}
		}
		if found, err = l.list(ctx, q, span{user, before, floor, looked, limit + 1}, others); err != nil {
			return Page{}, err
		}
		if len(found) > limit || floor == uuid.Nil {
			break
		}
	}
	page := Page{Transfers: found}
	if len(found) > limit {
		page.Transfers = found[:limit]
		last := found[limit-1].ID
		page.Next = base64.RawURLEncoding.EncodeToString(last[:])
	} else if floor != uuid.Nil {
		page.Next = base64.RawURLEncoding.EncodeToString(floor[:])
	}
	return page, nil
}

// start is the id before which a page begins.
func (q *Query) start() (uuid.UUID, error) {
	before := uuid.Max
	if q.Cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		if err == nil {
			before, err = uuid.FromBytes(raw)
		}
		if err != nil {
			return before, problem.New(CursorMalformed, "the cursor is not one of ours: leave it out to begin anew")
		}
	}
	if !q.Until.IsZero() {
		before = earlier(before, idAround(q.Until.Add(idSlack)))
	}
	return before, nil
}

// looks are how many transfers to look at on either side: few first, since most
// searches fill their page with those, and then as many as a page may. 0 is no bound,
// for what finds all that it looks at.
func (q *Query) looks(most int) []int {
	const few = 1000
	switch {
	case !q.searches():
		return []int{0}
	case most <= few:
		return []int{most}
	default:
		return []int{few, most}
	}
}

// span is where a list looks.
type span struct {
	user   uuid.UUID
	before uuid.UUID // exclusive
	floor  uuid.UUID // inclusive
	looked int       // transfers on either side above the floor; no bound when 0
	limit  int       // how many to give
}

func (l *Ledger) list(ctx context.Context, q Query, s span, others []int64) ([]Transfer, error) {
	sql, args := listSQL(q, s, others)
	if s.looked > 0 {
		args = append([]any{planned}, args...) // what is searched for decides how
	}
	rows, err := l.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, unavailable("list the transfers", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Transfer, error) {
		t, err := scanTransfer(row)
		if err != nil {
			return Transfer{}, err
		}
		return *t, nil
	})
	if err != nil {
		return nil, unavailable("list the transfers", err)
	}
	return found, nil
}

// An id says when it was made, by the clock of the kizod that made it; created_at is
// the database's. A day is more than the two may differ, and saves a search for last
// week from looking at last year.
const idSlack = 24 * time.Hour

// idAround is the first id that could be made at a time (RFC 9562, 5.7).
func idAround(t time.Time) uuid.UUID {
	var id uuid.UUID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(t.UnixMilli(), 0))<<16)
	copy(id[:6], ms[:6])
	return id
}

func earlier(a, b uuid.UUID) uuid.UUID {
	if bytes.Compare(a[:], b[:]) < 0 {
		return a
	}
	return b
}

func later(a, b uuid.UUID) uuid.UUID {
	if bytes.Compare(a[:], b[:]) < 0 {
		return b
	}
	return a
}

// searchFloor is the transfer down to which a page of a search looks that may look at
// so many on either side; the nil UUID if it reaches the end.
func (l *Ledger) searchFloor(ctx context.Context, user, before uuid.UUID, q Query, looked int) (uuid.UUID, error) {
	const find = `SELECT f.id FROM (
			SELECT s.id FROM accounts a CROSS JOIN LATERAL (
				SELECT t.id FROM transfers t
				WHERE t.debit_account = ANY (ARRAY[a.id]) AND t.id < $2 AND t.id >= $6
				ORDER BY t.debit_account DESC, t.id DESC OFFSET $3 LIMIT 1) s
			WHERE a.owner = $1 AND $4 <> 'in' AND ($5 = '' OR a.currency = $5)
			UNION ALL
			SELECT s.id FROM accounts a CROSS JOIN LATERAL (
				SELECT t.id FROM transfers t
				WHERE t.credit_account = ANY (ARRAY[a.id]) AND t.id < $2 AND t.id >= $6
				ORDER BY t.credit_account DESC, t.id DESC OFFSET $3 LIMIT 1) s
			WHERE a.owner = $1 AND $4 <> 'out' AND ($5 = '' OR a.currency = $5)) f
		ORDER BY f.id DESC LIMIT 1`
	floor := uuid.Nil
	err := l.pool.QueryRow(ctx, find, planned, user, before, looked, q.Direction, string(q.Currency), q.oldest()).Scan(&floor)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, unavailable("list the transfers", err)
	}
	return floor, nil
}

// oldest is the first id that may be in the list.
func (q *Query) oldest() uuid.UUID {
	if q.Since.IsZero() {
		return uuid.Nil
	}
	return idAround(q.Since.Add(-idSlack))
}

// accountsOf are the ids of a user's wallets.
func (l *Ledger) accountsOf(ctx context.Context, user uuid.UUID) ([]int64, error) {
	const find = `SELECT id FROM accounts WHERE owner = $1`
	rows, err := l.pool.Query(ctx, find, user)
	if err != nil {
		return nil, unavailable("find the wallets", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, unavailable("find the wallets", err)
	}
	return ids, nil
}

// amountMoved is what moved of a posted transfer, and what any other asks for.
const amountMoved = `CASE t.state WHEN 'posted' THEN t.posted_amount ELSE t.amount END`

// memoForm is a memo as searches compare it: see text.Fold. It is stored only where it
// differs from the memo in lower case.
const memoForm = `COALESCE(t.memo_key, lower(t.memo COLLATE "C"))`

// memoKey is the stored form of a memo, "" where none is needed.
func memoKey(memo string) string {
	if text.IsASCII(memo) {
		return ""
	}
	if folded := text.Fold(memo); folded != text.LowerASCII(memo) {
		return folded
	}
	return ""
}

// listSQL walks (account, id) of either side backwards for each of the user's
// accounts. A transfer between two of them would come twice; UNION drops one.
//
// ANY (ARRAY[…]) is = that PostgreSQL does not see through, so that sorting by
// (account, id) stays what only that index gives. Else it may think that walking all
// transfers by id finds enough of the account's soon, and for one that has a handful
// it walks the whole table. (Comparing pairs would do as well, but such a walk goes
// on below its lower bound to the account's first transfer.) The inner LIMIT keeps it
// from walking what a condition names instead, such as everything of a busy user who
// is on the other side.
func listSQL(q Query, s span, others []int64) (string, []any) {
	var most *int
	if s.looked > 0 {
		bound := s.looked + 1 // with the floor
		most = &bound
	}
	args := []any{s.user, s.before, s.limit, later(s.floor, q.oldest()), most}
	where, whose, with := "", "", 0
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
		args = append(args, q.Currency)
		whose = fmt.Sprintf(" AND a.currency = $%d", len(args)) // an account's transfers are of its currency
	}
	if q.MinAmount != 0 {
		narrow(amountMoved+" >= $%d", q.MinAmount)
	}
	if q.MaxAmount != 0 {
		narrow(amountMoved+" <= $%d", q.MaxAmount)
	}
	if q.With != uuid.Nil {
		args = append(args, others)
		with = len(args)
	}
	if !q.Since.IsZero() {
		narrow("t.created_at >= $%d", q.Since)
	}
	if !q.Until.IsZero() {
		narrow("t.created_at < $%d", q.Until)
	}
	if q.Memo != "" {
		narrow("$%[1]d <> '' AND position($%[1]d IN "+memoForm+") > 0", text.Fold(q.Memo))
	}
	side := func(column, other string) string {
		where := where
		if with != 0 {
			where += fmt.Sprintf(" AND t.%s = ANY($%d)", other, with)
		}
		return `SELECT s.* FROM accounts a CROSS JOIN LATERAL (
			SELECT * FROM (
				SELECT x.* FROM transfers x
				WHERE x.` + column + ` = ANY (ARRAY[a.id]) AND x.id < $2 AND x.id >= $4
				ORDER BY x.` + column + ` DESC, x.id DESC LIMIT $5) t
			WHERE t.kind NOT IN ('capture', 'void') AND (t.state <> 'refused' OR t.owner = $1)` + where + `
			LIMIT $3) s
		WHERE a.owner = $1` + whose
	}
	var selects []string
	if q.Direction != "in" {
		selects = append(selects, side("debit_account", "credit_account"))
	}
	if q.Direction != "out" {
		selects = append(selects, side("credit_account", "debit_account"))
	}
	return `SELECT ` + transferColumns + ` FROM (` + strings.Join(selects, " UNION ") + `) t
		ORDER BY t.id DESC LIMIT $3`, args
}
