package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
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

// MaxPage is the maximum number of transfers on one page of a list.
const MaxPage = 100

// Query selects transfers of a list. Zero fields select all.
type Query struct {
	State     State
	Kind      Kind
	Direction string // "in" or "out", from the view of the user
	Currency  money.Currency
	Since     time.Time // inclusive
	Until     time.Time // exclusive
	Memo      string    // text that the memo contains, ignoring case and normalization form
	MinAmount int64     // minor units that have moved or will move; inclusive, like MaxAmount; no limit if 0
	MaxAmount int64
	With      UserID // the user on the other side
	Tag       string // from TagFilter
	Key       string // of a command of the user: at most the transfer of that command is in the list
	Limit     int    // at most MaxPage; 20 if 0
	Cursor    string // Next of the previous page
}

// Page of transfers, newest first.
type Page struct {
	Transfers []Transfer
	Next      string // "" on the last page
}

// searches reports whether a page may have to skip many transfers to find a few.
func (q *Query) searches() bool {
	return q.State != "" || q.Kind != "" || q.Memo != "" || q.Tag != "" || q.MinAmount != 0 || q.MaxAmount != 0 ||
		!q.With.IsZero() || !q.Since.IsZero() || !q.Until.IsZero()
}

// List returns the transfers that Find would return, newest first by id. Every page costs the same,
// however old its transfers are: debits and credits are read along an index each and merged. A page
// of a search reads at most Config.MaxSearched debits and credits of a wallet. It may contain fewer
// than q.Limit transfers although there are more; Next continues the search.
func (l *Ledger) List(ctx context.Context, user UserID, q Query) (Page, error) {
	limit := min(orDefault(q.Limit, 20), MaxPage)
	before, err := q.start()
	if err != nil {
		return Page{}, err
	}
	var others []AccountID
	if !q.With.IsZero() {
		if others, err = l.accountsOf(ctx, q.With); err != nil {
			return Page{}, err
		}
	}
	if q.Key != "" {
		return l.listOfKey(ctx, user, before, q, others)
	}
	var (
		found []Transfer
		floor uuid.UUID
	)
	for _, scanLimit := range q.scanLimits(l.config.MaxSearched) {
		floor = uuid.Nil
		if scanLimit > 0 {
			if floor, err = l.searchFloor(ctx, user, before, q, scanLimit); err != nil {
				return Page{}, err
			}
		}
		if found, err = l.list(ctx, q, pageRange{user, before, floor, scanLimit, limit + 1}, others); err != nil {
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

// listOfKey returns a list of the transfer that a command of the user made, captured or voided, if
// it is on the page that ends at before.
func (l *Ledger) listOfKey(ctx context.Context, user UserID, before uuid.UUID, q Query, others []AccountID) (Page, error) {
	const find = `SELECT CASE WHEN kind IN ('capture', 'void') THEN target ELSE id END FROM transfers
		WHERE owner = $1 AND idem_key = $2`
	var id uuid.UUID
	err := l.pool.QueryRow(ctx, find, user, q.Key).Scan((*[16]byte)(&id))
	if errors.Is(err, pgx.ErrNoRows) {
		return Page{}, nil
	}
	if err != nil {
		return Page{}, unavailable("find the transfer of a key", err)
	}
	found, err := l.list(ctx, q, pageRange{user: user, before: earlier(before, following(id)), floor: id, limit: 1}, others)
	return Page{Transfers: found}, err
}

// following returns the least id after id.
func following(id uuid.UUID) uuid.UUID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}

// start returns the id before which a page begins. It fails with CursorMalformed.
func (q *Query) start() (uuid.UUID, error) {
	before := uuid.Max
	if q.Cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		if err == nil {
			before, err = uuid.FromBytes(raw)
		}
		if err != nil {
			return before, problem.New(CursorMalformed, "the cursor was not issued by this API: leave it out to begin with the first page")
		}
	}
	if !q.Until.IsZero() {
		before = earlier(before, firstTransferID(q.Until.Add(idSlack)))
	}
	return before, nil
}

// scanLimits returns how many debits and credits to read in each attempt to fill a page: few first,
// which suffices for most searches, and then maxSearched. 0 means no limit, for lists that skip
// nothing.
func (q *Query) scanLimits(maxSearched int) []int {
	const few = 1000
	switch {
	case !q.searches():
		return []int{0}
	case maxSearched <= few:
		return []int{maxSearched}
	default:
		return []int{few, maxSearched}
	}
}

// pageRange is the range of transfers that one page reads.
type pageRange struct {
	user      UserID
	before    uuid.UUID // exclusive
	floor     uuid.UUID // inclusive
	scanLimit int       // debits and credits, each, above the floor; no limit if 0
	limit     int       // transfers on the page
}

func (l *Ledger) list(ctx context.Context, q Query, s pageRange, others []AccountID) ([]Transfer, error) {
	sql, args := listSQL(q, s, others)
	if s.scanLimit > 0 {
		args = append([]any{planEachTime}, args...) // the best plan depends on the conditions
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

// The time in an id is that of a posting, or created_at; of a transfer that was inserted by a
// version before 0004_postings_in_transfers, it is that of the clock of a kizod process. The two
// differ by less than a day, so that a search for last week need not read the ids of last year.
const idSlack = 24 * time.Hour

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

// searchFloor returns the last transfer that a page of a search reads if it may read scanLimit
// debits and credits; the nil UUID if the page reaches the end.
func (l *Ledger) searchFloor(ctx context.Context, user UserID, before uuid.UUID, q Query, scanLimit int) (uuid.UUID, error) {
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
	err := l.pool.QueryRow(ctx, find, planEachTime, user, before, scanLimit, q.Direction, string(q.Currency), q.oldest()).Scan(&floor)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, unavailable("list the transfers", err)
	}
	return floor, nil
}

// oldest returns the first id that may be in the list.
func (q *Query) oldest() uuid.UUID {
	if q.Since.IsZero() {
		return uuid.Nil
	}
	return firstTransferID(q.Since.Add(-idSlack))
}

// accountsOf returns the accounts of a user's wallets.
func (l *Ledger) accountsOf(ctx context.Context, user UserID) ([]AccountID, error) {
	const find = `SELECT id FROM accounts WHERE owner = $1`
	rows, err := l.pool.Query(ctx, find, user)
	if err != nil {
		return nil, unavailable("find the wallets", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[AccountID])
	if err != nil {
		return nil, unavailable("find the wallets", err)
	}
	return ids, nil
}

// amountMoved is the amount that a posted transfer moved, and the requested one of any other.
const amountMoved = `CASE t.state WHEN 'posted' THEN t.posted_amount ELSE t.amount END`

// memoSearchKey is the form of a memo that searches compare; see text.Fold. It is stored only if it
// differs from the memo in lower case.
const memoSearchKey = `COALESCE(t.memo_key, lower(t.memo COLLATE "C"))`

// memoKey returns the stored search key of a memo, or "" if it needs none.
func memoKey(memo string) string {
	if text.IsASCII(memo) {
		return ""
	}
	if folded := text.Fold(memo); folded != text.LowerASCII(memo) {
		return folded
	}
	return ""
}

// listSQL reads debits and credits backwards along (account, id) for each of the user's accounts. A
// transfer between two of them is found twice; UNION removes one.
//
// ANY (ARRAY[…]) compares like = but hides the single value from the planner, so that only the
// index on (account, id) gives the order. Otherwise PostgreSQL may expect that reading all
// transfers by id finds enough of the account's soon; for an account with few transfers, that reads
// the whole table. (Comparing pairs would work as well, but such a scan continues below its lower
// bound to the first transfer of the account.) The inner LIMIT keeps PostgreSQL from using the
// index of a condition instead, such as that of a busy user on the other side.
func listSQL(q Query, s pageRange, others []AccountID) (string, []any) {
	var maxRows *int
	if s.scanLimit > 0 {
		bound := s.scanLimit + 1 // includes the floor
		maxRows = &bound
	}
	args := []any{s.user, s.before, s.limit, later(s.floor, q.oldest()), maxRows}
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
		whose = fmt.Sprintf(" AND a.currency = $%d", len(args)) // transfers have the currency of their accounts
	}
	if q.MinAmount != 0 {
		narrow(amountMoved+" >= $%d", q.MinAmount)
	}
	if q.MaxAmount != 0 {
		narrow(amountMoved+" <= $%d", q.MaxAmount)
	}
	if !q.With.IsZero() {
		args = append(args, rawIDs(others))
		with = len(args)
	}
	if !q.Since.IsZero() {
		narrow("t.created_at >= $%d", q.Since)
	}
	if !q.Until.IsZero() {
		narrow("t.created_at < $%d", q.Until)
	}
	if q.Memo != "" {
		narrow("$%[1]d <> '' AND position($%[1]d IN "+memoSearchKey+") > 0", text.Fold(q.Memo))
	}
	if q.Tag != "" {
		// Only the owner of a transfer sees its tags.
		narrow("t.owner = $1 AND position($%d IN E'\\n' || t.tags || E'\\n') > 0", tagLine(q.Tag))
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
