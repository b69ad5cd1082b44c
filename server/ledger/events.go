package ledger

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

// The order of events is (xid, id), and readers see only the events of transactions older than the
// oldest running one. That limit is called the horizon.
//
// The order is not that of the ids alone: if two transactions take ids 4 and 5, and 5 commits
// first, a reader that has read 5 and asks for later events never sees 4. Below the horizon, the
// order of transaction ids has no such gap: every transaction there has ended, so that no event can
// be added, and every later commit is above the horizon.
//
// An event that was caused by another one comes after it: a transaction takes its id after it has
// begun, so that a transaction that began after another one had committed has the higher id. Only
// the events of two concurrent transactions may have either order.
//
// Transaction ids belong to the cluster. A physical copy, a standby and pg_upgrade keep them; a
// dump that is restored into another cluster does not. Therefore xid is not the transaction id but
// event_number(id): the id plus a constant. [Repair] raises the constant after a restore above
// every number that was used before (migrations/0001_ledger.sql).

// Position is a place between two events. The zero Position is before all events.
type Position struct {
	xid uint64 // event_number of the transaction
	id  int64  // of the event in it
}

// After reports whether p is after q.
func (p Position) After(q Position) bool {
	return p.xid > q.xid || p.xid == q.xid && p.id > q.id
}

// String encodes a position so that clients do not see the number of transactions. ParsePosition
// decodes it.
func (p Position) String() string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], p.xid)
	binary.BigEndian.PutUint64(raw[8:], uint64(p.id))
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// ParsePosition decodes the result of String. It fails with CursorMalformed.
func ParsePosition(text string) (Position, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != 16 {
		return Position{}, problem.New(CursorMalformed, "that is not the id of an event")
	}
	p := Position{binary.BigEndian.Uint64(raw[:8]), int64(binary.BigEndian.Uint64(raw[8:]))}
	if p.id < 0 || p.xid > math.MaxInt64 {
		return Position{}, problem.New(CursorMalformed, "that is not the id of an event")
	}
	return p, nil
}

// Event reports that a transfer has entered a state.
type Event struct {
	Position Position
	// Transfer in that state. Its ReversedAmount is 0: a reversal has an event of its own.
	Transfer Transfer
	At       time.Time
	Debtor   UserID // owner of the debited wallet, also if the transfer was refused; nil UUID for a system account
	Creditor UserID // owner of the credited wallet
}

// ShownTo reports whether a user may see the event. Only the owner of a refused transfer sees it,
// as in a list.
func (e *Event) ShownTo(user UserID) bool {
	if e.Transfer.State == Refused {
		return e.Transfer.Owner == user
	}
	return e.Debtor == user || e.Creditor == user
}

// eventHead is an event without the transfer.
type eventHead struct {
	position      Position
	transfer      uuid.UUID
	state         State
	debit, credit AccountID // credit is 0 if a refused transfer has none
	at            time.Time
}

// transferAt returns t in the state that the event is about. Once a transfer is final, only its
// ReversedAmount changes.
func (h *eventHead) transferAt(t Transfer) Transfer {
	t.ReversedAmount = 0
	if h.state == Pending {
		t.State, t.PostedAmount, t.Reason, t.ResolvedAt = Pending, 0, "", time.Time{}
	}
	return t
}

// An event is a row of events, or a part of the row of a transfer that was posted when it was
// inserted (migrations/0004_postings_in_transfers.sql).
const (
	storedEvent = `e.xid, e.id, e.transfer_id, e.state, e.debit_account, e.credit_account, e.at`
	ownEvent    = `t.event_xid AS xid, t.event_id AS id, t.id AS transfer_id, t.state, t.debit_account, t.credit_account, t.resolved_at AS at`
)

const eventColumns = `e.xid, e.id, e.transfer_id, e.state, e.debit_account, COALESCE(e.credit_account, 0), e.at`

func scanEventHead(row pgx.CollectableRow) (h eventHead, err error) {
	err = row.Scan(&h.position.xid, &h.position.id, (*[16]byte)(&h.transfer), &h.state, (*int64)(&h.debit), (*int64)(&h.credit), &h.at)
	return h, err
}

// planEachTime makes PostgreSQL plan a statement each time it runs. A plan that a session made
// while a table was small would read all of it when it is large.
const planEachTime = pgx.QueryExecModeCacheDescribe

// Horizon returns the horizon: no event can be added before this position any more.
func (l *Ledger) Horizon(ctx context.Context) (Position, error) {
	const horizon = `SELECT event_number(pg_snapshot_xmin(pg_current_snapshot()))`
	var p Position
	if err := l.pool.QueryRow(ctx, horizon).Scan(&p.xid); err != nil {
		return Position{}, unavailable("find the newest event", err)
	}
	return p, nil
}

// streamBounds returns the horizon, and a position after all events that have been committed so
// far: once the horizon has reached it, all of them can be read.
func (l *Ledger) streamBounds(ctx context.Context) (horizon, end Position, err error) {
	const bounds = `SELECT event_number(pg_snapshot_xmin(s)), event_number(pg_snapshot_xmax(s)) FROM pg_current_snapshot() s`
	if err := l.pool.QueryRow(ctx, bounds).Scan(&horizon.xid, &end.xid); err != nil {
		return horizon, end, unavailable("find the newest event", err)
	}
	return horizon, end, nil
}

// PositionAt returns a position before all events from t on. It is at most about a minute before t,
// which is longer than any transaction of the ledger may take. A time in the future fails with
// TimeInFuture.
func (l *Ledger) PositionAt(ctx context.Context, t time.Time) (Position, error) {
	const (
		end = `SELECT COALESCE(GREATEST(
				(SELECT xid FROM events ORDER BY xid DESC, id DESC LIMIT 1),
				(SELECT event_xid FROM transfers WHERE event_xid IS NOT NULL ORDER BY event_xid DESC, event_id DESC LIMIT 1)),
			'0'), clock_timestamp()`
		probe = `SELECT e.xid, e.at FROM (
				(SELECT ` + storedEvent + ` FROM events e WHERE e.xid >= $1::xid8 ORDER BY e.xid, e.id LIMIT 1)
				UNION ALL
				(SELECT ` + ownEvent + ` FROM transfers t WHERE t.event_xid IS NOT NULL AND t.event_xid >= $1::xid8
				ORDER BY t.event_xid, t.event_id LIMIT 1)) e
			ORDER BY e.xid, e.id LIMIT 1`
	)
	var (
		low, high uint64 = 1, 0
		now       time.Time
	)
	if err := l.pool.QueryRow(ctx, end, planEachTime).Scan(&high, &now); err != nil {
		return Position{}, unavailable("find the events of that time", err)
	}
	if t.After(now) {
		return Position{}, problem.New(TimeInFuture, "that time is in the future: ask for one up to now")
	}
	t = t.Add(-time.Minute)
	// Times increase with the numbers of transactions, except those of concurrent ones, so that a
	// binary search finds the last event that is known to be older. Every number up to high has an
	// event at or after it.
	var before Position
	for low <= high {
		middle := low + (high-low)/2
		var (
			xid uint64
			at  time.Time
		)
		if err := l.pool.QueryRow(ctx, probe, planEachTime, middle).Scan(&xid, &at); err != nil {
			return Position{}, unavailable("find the events of that time", err)
		}
		if at.Before(t) {
			before, low = Position{xid: xid}, xid+1
		} else {
			high = middle - 1
		}
	}
	return before, nil
}

// listEventsOf selects the events of the accounts of the user $1 after the position ($2, $3), up to
// and including ($4, $5): at most $6.
//
// The events of the table are read along an index for debits and one for credits. The columns of
// an index are compared as one row: if (xid, id) is compared alone, old statistics make that look
// selective near the end, and PostgreSQL reads the events of all users.
//
// The events in the rows of transfers are read along (debit_account, id) and (credit_account, id).
// Those of one account have the same order by id and by position, and an id begins with a time.
// Times and positions of different accounts have almost the same order: they differ by less than
// a minute, which is longer than any transaction of the ledger may take. Therefore the ids are
// bounded by the times of the events around the positions, and a minute more. OFFSET 0 keeps the
// positions out of the choice of an index. The order is that of the inner query: with an ORDER BY
// around it, PostgreSQL would plan that one for all rows, and sort them. If the table alone has a
// full page, no event after that page is read: a wallet that has few transfers with an event of
// their own among many authorizations is not searched for them.
const listEventsOf = `WITH stored AS MATERIALIZED (
		SELECT e.* FROM (
			SELECT s.* FROM accounts a CROSS JOIN LATERAL (
				SELECT ` + storedEvent + ` FROM events e
				WHERE (e.debit_account, e.xid, e.id) > (a.id, $2, $3) AND (e.debit_account, e.xid, e.id) <= (a.id, $4, $5)
					AND e.xid < event_number(pg_snapshot_xmin(pg_current_snapshot()))
				ORDER BY e.debit_account, e.xid, e.id LIMIT $6) s
			WHERE a.owner = $1
			UNION
			SELECT s.* FROM accounts a CROSS JOIN LATERAL (
				SELECT ` + storedEvent + ` FROM events e
				WHERE (e.credit_account, e.xid, e.id) > (a.id, $2, $3) AND (e.credit_account, e.xid, e.id) <= (a.id, $4, $5)
					AND e.credit_account IS NOT NULL AND e.xid < event_number(pg_snapshot_xmin(pg_current_snapshot()))
				ORDER BY e.credit_account, e.xid, e.id LIMIT $6) s
			WHERE a.owner = $1) e
		ORDER BY e.xid, e.id LIMIT $6),
	until AS MATERIALIZED (
		SELECT u.xid, u.id FROM (
			(SELECT e.xid, e.id FROM stored e ORDER BY e.xid, e.id OFFSET $6::bigint - 1 LIMIT 1)
			UNION ALL SELECT $4::xid8, $5::bigint) u
		ORDER BY u.xid, u.id LIMIT 1),
	span AS MATERIALIZED (
		SELECT u.xid, u.id AS event_id, last.id, last.debit_account, last.credit_account,
			rpad(lpad(to_hex((extract(epoch FROM COALESCE(last.resolved_at, first.resolved_at) - interval '1 minute') * 1000)::bigint), 12, '0'),
				32, '0')::uuid AS lower,
			COALESCE(rpad(lpad(to_hex((extract(epoch FROM later.resolved_at + interval '1 minute') * 1000)::bigint), 12, '0'), 32, '0')::uuid,
				'ffffffff-ffff-ffff-ffff-ffffffffffff') AS upper
		FROM until u
		LEFT JOIN LATERAL (SELECT t.* FROM transfers t WHERE t.event_xid IS NOT NULL
			ORDER BY t.event_xid, t.event_id LIMIT 1) first ON true
		LEFT JOIN LATERAL (SELECT t.* FROM transfers t WHERE t.event_xid IS NOT NULL AND (t.event_xid, t.event_id) <= ($2, $3)
			ORDER BY t.event_xid DESC, t.event_id DESC LIMIT 1) last ON true
		LEFT JOIN LATERAL (SELECT t.* FROM transfers t WHERE t.event_xid IS NOT NULL AND (t.event_xid, t.event_id) > (u.xid, u.id)
			ORDER BY t.event_xid, t.event_id LIMIT 1) later ON true),
	wallets AS MATERIALIZED (
		SELECT a.id, p.xid, p.event_id, p.upper,
			CASE WHEN a.id IN (p.debit_account, p.credit_account) THEN p.id ELSE p.lower END AS lower
		FROM accounts a CROSS JOIN span p WHERE a.owner = $1)
	SELECT ` + eventColumns + ` FROM (
		SELECT * FROM stored
		UNION
		SELECT s.* FROM wallets w CROSS JOIN LATERAL (
			SELECT ` + ownEvent + ` FROM (SELECT * FROM transfers x
				WHERE x.debit_account = ANY (ARRAY[w.id]) AND x.id > w.lower AND x.id < w.upper
					AND x.debit_seq IS NOT NULL ORDER BY x.debit_account, x.id OFFSET 0) t
			WHERE (t.event_xid, t.event_id) > ($2, $3) AND (t.event_xid, t.event_id) <= (w.xid, w.event_id)
				AND t.event_xid < event_number(pg_snapshot_xmin(pg_current_snapshot()))
			LIMIT $6) s
		UNION
		SELECT s.* FROM wallets w CROSS JOIN LATERAL (
			SELECT ` + ownEvent + ` FROM (SELECT * FROM transfers x
				WHERE x.credit_account = ANY (ARRAY[w.id]) AND x.id > w.lower AND x.id < w.upper
					AND x.debit_seq IS NOT NULL ORDER BY x.credit_account, x.id OFFSET 0) t
			WHERE (t.event_xid, t.event_id) > ($2, $3) AND (t.event_xid, t.event_id) <= (w.xid, w.event_id)
				AND t.event_xid < event_number(pg_snapshot_xmin(pg_current_snapshot()))
			LIMIT $6) s) e
	ORDER BY e.xid, e.id LIMIT $6`

// EventsOf returns the events that a user may see, oldest first: those after the position after, up
// to and including the position upTo. It reads at most limit of them. more reports whether there
// may be further events, which begin after next.
func (l *Ledger) EventsOf(ctx context.Context, user UserID, after, upTo Position, limit int) (events []*Event, next Position, more bool, err error) {
	rows, err := l.pool.Query(ctx, listEventsOf, planEachTime, user, after.xid, after.id, upTo.xid, upTo.id, limit)
	if err != nil {
		return nil, after, false, unavailable("read the events", err)
	}
	heads, err := pgx.CollectRows(rows, scanEventHead)
	if err != nil {
		return nil, after, false, unavailable("read the events", err)
	}
	if len(heads) == 0 {
		return nil, upTo, false, nil
	}
	accounts := make([]AccountID, 0, 2*len(heads))
	for i := range heads {
		accounts = append(accounts, heads[i].debit, heads[i].credit)
	}
	owners, err := l.Owners(ctx, accounts)
	if err != nil {
		return nil, after, false, err
	}
	all, err := l.loadEvents(ctx, heads, owners)
	if err != nil {
		return nil, after, false, err
	}
	for _, e := range all {
		if e.ShownTo(user) {
			events = append(events, e)
		}
	}
	return events, heads[len(heads)-1].position, len(heads) == limit, nil
}

// loadEvents returns the events of heads, in the same order.
func (l *Ledger) loadEvents(ctx context.Context, heads []eventHead, owners map[AccountID]UserID) ([]*Event, error) {
	const find = `SELECT ` + transferColumns + ` FROM transfers t WHERE t.id = ANY($1)`
	ids := make([][16]byte, len(heads))
	for i := range heads {
		ids[i] = heads[i].transfer
	}
	rows, err := l.pool.Query(ctx, find, planEachTime, ids)
	if err != nil {
		return nil, unavailable("read the transfers of events", err)
	}
	transfers := make(map[uuid.UUID]Transfer, len(heads))
	var row transferRow
	_, err = pgx.ForEachRow(rows, row.into(), func() error {
		t := row.transfer()
		transfers[t.ID] = *t
		return nil
	})
	if err != nil {
		return nil, unavailable("read the transfers of events", err)
	}
	events := make([]*Event, 0, len(heads))
	for i := range heads {
		h := &heads[i]
		t, ok := transfers[h.transfer]
		if !ok {
			return nil, problem.New(Internal, "the transfer of an event does not exist")
		}
		events = append(events, &Event{
			Position: h.position, Transfer: h.transferAt(t), At: h.at, Debtor: owners[h.debit], Creditor: owners[h.credit],
		})
	}
	return events, nil
}

// eventsAfter reads the events of all users after a position, oldest first.
func (l *Ledger) eventsAfter(ctx context.Context, p Position, limit int) ([]eventHead, error) {
	const list = `SELECT ` + eventColumns + ` FROM (
			(SELECT ` + storedEvent + ` FROM events e
			WHERE (e.xid, e.id) > ($1, $2) AND e.xid < event_number(pg_snapshot_xmin(pg_current_snapshot()))
			ORDER BY e.xid, e.id LIMIT $3)
			UNION ALL
			(SELECT ` + ownEvent + ` FROM transfers t
			WHERE t.event_xid IS NOT NULL AND (t.event_xid, t.event_id) > ($1, $2)
				AND t.event_xid < event_number(pg_snapshot_xmin(pg_current_snapshot()))
			ORDER BY t.event_xid, t.event_id LIMIT $3)) e
		ORDER BY e.xid, e.id LIMIT $3`
	rows, err := l.pool.Query(ctx, list, planEachTime, p.xid, p.id, limit)
	if err != nil {
		return nil, unavailable("read the events", err)
	}
	heads, err := pgx.CollectRows(rows, scanEventHead)
	if err != nil {
		return nil, unavailable("read the events", err)
	}
	return heads, nil
}

// EventsAfter returns the events of all users after a position, oldest first, at most limit, and
// the position of the last one, or after if there is none.
func (l *Ledger) EventsAfter(ctx context.Context, after Position, limit int) (events []*Event, next Position, err error) {
	heads, err := l.eventsAfter(ctx, after, limit)
	if err != nil || len(heads) == 0 {
		return nil, after, err
	}
	accounts := make([]AccountID, 0, 2*len(heads))
	for i := range heads {
		accounts = append(accounts, heads[i].debit, heads[i].credit)
	}
	owners, err := l.Owners(ctx, accounts)
	if err != nil {
		return nil, after, err
	}
	events, err = l.loadEvents(ctx, heads, owners)
	return events, heads[len(heads)-1].position, err
}
