package ledger

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/problem"
)

// MaxStatementPage is the maximum number of lines on one page of a statement.
const MaxStatementPage = 500

// StatementQuery selects a page of the statement of a wallet for a month of UTC.
type StatementQuery struct {
	Currency money.Currency
	Month    time.Time // any time in the month
	Limit    int       // lines; at most MaxStatementPage; 100 if 0
	Cursor   string    // Next of the previous page
	Totals   int       // other parties that Totals names, at most MaxStatementTotals; 0 for no totals
}

// Statement is a page of the statement of a wallet. Everything but Lines and Next is the same on
// all pages that ask for the same totals. Amounts are minor units.
type Statement struct {
	Wallet   uuid.UUID
	Currency money.Currency
	Since    time.Time // the beginning of the month
	Until    time.Time // the beginning of the next month
	// AsOf is the time up to which the statement has all postings: the last microsecond of a month
	// that has ended, and otherwise the time of the first page.
	AsOf     time.Time
	Complete bool // the month has ended
	Opening  int64
	Closing  int64
	// In and Out are the sums of the postings. Both are nil if JSON cannot represent one of them
	// exactly, and in books that are older than schema 7 near more than 100,000 postings without a
	// checkpoint.
	In, Out *int64
	Count   int64 // postings
	// Totals are nil if the query has not asked for them, and for more than MaxTotaledPostings.
	Totals *StatementTotals
	Lines  []StatementLine
	Next   string // "" on the last page
}

// StatementLine is a posting of the wallet.
type StatementLine struct {
	Seq      int64 // in the wallet, without gaps
	At       time.Time
	Change   int64 // of the balance; negative if money left the wallet
	Balance  int64 // after it
	Transfer Transfer
	transfer uuid.UUID
}

// Statement returns a page of the statement of a wallet. A statement begins with the balance before
// its month and ends with that as of AsOf; the lines lead from one to the other. It fails with
// WalletNotFound, with TimeInFuture for a month that has not begun, and with CursorMalformed.
//
// What it returns for a month that has ended never changes, for the reason that [Ledger.BalanceAt]
// gives: it makes every later posting have a later time than AsOf. The pages of a month that has
// not ended belong to the AsOf of the first one, which the cursor contains.
//
// A page costs some look-ups for the sums, however many postings the wallet has, and reads about as
// many rows as it has lines. Totals read all postings of the month, so only one page should ask for
// them.
func (l *Ledger) Statement(ctx context.Context, owner UserID, q StatementQuery) (Statement, error) {
	account, err := l.walletID(ctx, owner, q.Currency)
	if err != nil {
		return Statement{}, err
	}
	if account == 0 {
		return Statement{}, problem.Errorf(WalletNotFound, "you have no %s wallet", q.Currency)
	}
	month := q.Month.UTC()
	s := Statement{Currency: q.Currency, Since: time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, time.UTC)}
	s.Until = s.Since.AddDate(0, 1, 0)
	from, err := l.statementStart(ctx, account, &s, q.Cursor)
	if err != nil {
		return Statement{}, err
	}
	limit := int64(min(orDefault(q.Limit, 100), MaxStatementPage))
	err = pgx.BeginTxFunc(ctx, l.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
		func(tx pgx.Tx) error { return s.read(ctx, tx, account, from, limit, min(q.Totals, MaxStatementTotals)) })
	if errors.Is(err, errNotThere) && q.Cursor != "" {
		return Statement{}, foreignCursor()
	}
	if err != nil {
		return Statement{}, unavailable("read the statement", err)
	}
	return s, nil
}

// errNotThere reports that the postings of a page are not where its cursor says. Without a cursor,
// the books are damaged.
var errNotThere = errors.New("postings are missing")

func foreignCursor() error {
	return problem.New(CursorMalformed, "the cursor was not issued for this statement: leave it out to begin with the first page")
}

// statementCursor is the place between two pages of a statement: that of its first page, or after
// the posting with a number and a time.
type statementCursor struct {
	asOf  time.Time // of the statement
	after int64
	at    time.Time
}

const statementCursorSize = 24

func (c statementCursor) String() string {
	raw := make([]byte, 0, statementCursorSize)
	for _, n := range []int64{c.asOf.UnixMicro(), c.after, c.at.UnixMicro()} {
		raw = binary.BigEndian.AppendUint64(raw, uint64(n))
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// statementStart sets AsOf and Complete, makes later postings have later times than AsOf, and
// returns where the page begins.
func (l *Ledger) statementStart(ctx context.Context, account AccountID, s *Statement, cursor string) (from statementCursor, err error) {
	const look = `SELECT clock_timestamp(), as_of FROM accounts WHERE id = $1`
	var now, reserved time.Time
	if err := l.pool.QueryRow(ctx, look, account).Scan(&now, &reserved); err != nil {
		return from, unavailable("read the clock", err)
	}
	if s.Since.After(now) {
		return from, problem.New(TimeInFuture, "that month has not begun: ask for one up to now")
	}
	end := s.Until.Add(-time.Microsecond)
	s.AsOf = end
	if now.Before(s.Until) {
		s.AsOf = now.UTC().Truncate(time.Microsecond)
	}
	if cursor != "" {
		if from, err = s.parseCursor(cursor); err != nil {
			return from, err
		}
		s.AsOf = from.asOf
	}
	s.Complete = s.AsOf.Equal(end)
	if !s.AsOf.Before(reserved) {
		_, _, err = l.reserve(ctx, account, s.AsOf)
	}
	return from, err
}

// parseCursor accepts only cursors of a statement of this month that Statement may have returned.
func (s *Statement) parseCursor(text string) (c statementCursor, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(raw) == statementCursorSize {
		number := func(i int) int64 { return int64(binary.BigEndian.Uint64(raw[8*i:])) }
		c = statementCursor{time.UnixMicro(number(0)).UTC(), number(1), time.UnixMicro(number(2)).UTC()}
	}
	if c.after < 1 || c.asOf.After(s.AsOf) || c.at.After(c.asOf) || c.at.Before(s.Since) {
		return c, foreignCursor()
	}
	return c, nil
}

// read fills in the statement, in one snapshot.
func (s *Statement) read(ctx context.Context, tx pgx.Tx, account AccountID, from statementCursor, limit int64, totals int) error {
	const wallet = `SELECT public_id FROM accounts WHERE id = $1`
	if err := tx.QueryRow(ctx, wallet, account).Scan(&s.Wallet); err != nil {
		return err
	}
	end := s.AsOf.Add(time.Microsecond)
	found, err := lastPostings(ctx, tx, []AccountID{account}, []time.Time{s.Since, end})
	if err != nil {
		return err
	}
	opening, closing := found[account][0], found[account][1]
	s.Opening, s.Closing, s.Count = opening.balance, closing.balance, closing.seq-opening.seq
	came, err := creditedSince(ctx, tx, []creditPoint{{account, opening.seq, s.Since}, {account, closing.seq, end}})
	if err != nil {
		return err
	}
	if came[0] != nil && came[1] != nil {
		s.In, s.Out = turnover(came[0].Sub(came[0], came[1]), s.Closing-s.Opening)
	}
	if totals > 0 {
		if err := s.readTotals(ctx, tx, account, opening.seq, closing.seq, totals); err != nil {
			return err
		}
	}
	if from.after == 0 {
		from = statementCursor{s.AsOf, opening.seq, s.Since}
	}
	if from.after < opening.seq || from.after > closing.seq {
		return errNotThere
	}
	upTo := min(from.after+limit, closing.seq)
	if err := s.readLines(ctx, tx, account, from, upTo); err != nil {
		return err
	}
	if upTo < closing.seq {
		last := s.Lines[len(s.Lines)-1]
		s.Next = statementCursor{s.AsOf, last.Seq, last.At}.String()
	}
	return nil
}

// readLines reads the postings after from, up to the number upTo, with their transfers.
func (s *Statement) readLines(ctx context.Context, tx pgx.Tx, account AccountID, from statementCursor, upTo int64) error {
	const find = `SELECT ` + transferColumns + ` FROM transfers t WHERE t.id = ANY($1)`
	if err := s.readPostings(ctx, tx, account, from, upTo); err != nil {
		return err
	}
	ids := make([][16]byte, len(s.Lines))
	for i, line := range s.Lines {
		ids[i] = line.transfer
	}
	rows, err := tx.Query(ctx, find, planEachTime, ids)
	if err != nil {
		return err
	}
	transfers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Transfer, error) { return scanTransfer(row) })
	if err != nil {
		return err
	}
	byID := make(map[uuid.UUID]*Transfer, len(transfers))
	for _, t := range transfers {
		byID[t.ID] = t
	}
	for i := range s.Lines {
		t := byID[s.Lines[i].transfer]
		if t == nil {
			return fmt.Errorf("posting %d of account %d has no transfer", s.Lines[i].Seq, account)
		}
		s.Lines[i].Transfer = *t
	}
	return nil
}

// readPostings reads the postings after from, up to the number upTo. Numbers have no gaps, so that
// it checks that none is missing.
func (s *Statement) readPostings(ctx context.Context, tx pgx.Tx, account AccountID, from statementCursor, upTo int64) error {
	// One row more than the page can have: the first posting after the page, if the table has it.
	const inTable = `SELECT seq, posted_at, amount, balance_after, transfer_id FROM postings
		WHERE account_id = ANY (ARRAY[$1::bigint]) AND seq > $2 ORDER BY account_id, seq LIMIT $3 + 1`
	// Along the ids, the numbers of own postings increase (see addOwnPostings), so that each side
	// stops after as many as the page can have. The upper bound keeps it from passing over all
	// later transfers whose postings are in the table.
	const own = `SELECT seq, at, amount, balance, id FROM (
			(SELECT t.debit_seq AS seq, t.resolved_at AS at, -t.posted_amount AS amount, t.debit_balance AS balance, t.id FROM transfers t
			WHERE t.debit_account = ANY (ARRAY[$1::bigint]) AND t.id >= $2 AND t.id < $3 AND t.debit_seq > $4
			ORDER BY t.debit_account, t.id LIMIT $6)
		UNION ALL
			(SELECT t.credit_seq, t.resolved_at, t.posted_amount, t.credit_balance, t.id FROM transfers t
			WHERE t.credit_account = ANY (ARRAY[$1::bigint]) AND t.id >= $2 AND t.id < $3 AND t.credit_seq > $4
			ORDER BY t.credit_account, t.id LIMIT $6)) o
		WHERE seq <= $5`
	scan := func(row pgx.CollectableRow) (line StatementLine, err error) {
		err = row.Scan(&line.Seq, &line.At, &line.Change, &line.Balance, &line.transfer)
		line.At = line.At.UTC()
		return line, err
	}
	count := upTo - from.after
	rows, err := tx.Query(ctx, inTable, planEachTime, int64(account), from.after, count)
	if err != nil {
		return err
	}
	lines, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return err
	}
	until := firstTransferID(s.AsOf.Add(time.Microsecond))
	if n := len(lines); n > 0 && lines[n-1].Seq > upTo {
		until = earlier(until, firstTransferID(lines[n-1].At.Add(time.Microsecond)))
	}
	lines = slices.DeleteFunc(lines, func(line StatementLine) bool { return line.Seq > upTo })
	rows, err = tx.Query(ctx, own, planEachTime, int64(account), firstTransferID(from.at), until, from.after, upTo, count)
	if err != nil {
		return err
	}
	more, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return err
	}
	s.Lines = slices.Concat(lines, more)
	slices.SortFunc(s.Lines, func(a, b StatementLine) int { return int(a.Seq - b.Seq) })
	for i, line := range s.Lines {
		if line.Seq != from.after+1+int64(i) {
			return fmt.Errorf("%w: number %d of account %d", errNotThere, from.after+1+int64(i), account)
		}
	}
	if int64(len(s.Lines)) != count {
		return fmt.Errorf("%w: account %d has %d of the numbers %d to %d", errNotThere, account, len(s.Lines), from.after+1, upTo)
	}
	return nil
}
