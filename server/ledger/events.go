package ledger

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/problem"
)

// The order of events is (xid, id), and only what lies below the oldest running
// transaction is read.
//
// Not id: two transactions draw ids 4 and 5, and 5 commits first. A reader who has
// read 5 and asks for what comes after it never sees 4. The order of transaction
// ids has no such hole below the horizon: every transaction there has ended, so
// nothing can ever be added, and whoever commits later lies above it.
//
// What happened after something was known to have happened comes after it: a
// transaction gets its number after it has begun, so one that began when another
// had committed has the higher number. Only two that ran at the same time may stand
// either way round.
//
// Transaction ids are the cluster's own. A physical copy, a standby and pg_upgrade
// keep them; a dump that is restored into another cluster does not. So xid is not the
// bare id but event_number(id): the id plus a constant that [Repair] raises after a
// restore, above every number that was used before (migrations/0014).

// Position is a place between two events. The zero Position is before all.
type Position struct {
	xid uint64 // event_number of the transaction
	id  int64  // of the event in it
}

// After tells whether p lies behind q.
func (p Position) After(q Position) bool {
	return p.xid > q.xid || p.xid == q.xid && p.id > q.id
}

// String is a position for people who have no business knowing how many
// transactions there are; ParsePosition reads it.
func (p Position) String() string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], p.xid)
	binary.BigEndian.PutUint64(raw[8:], uint64(p.id))
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// ParsePosition reads what String wrote.
func ParsePosition(text string) (Position, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != 16 {
		return Position{}, problem.New(CursorMalformed, "that is no id of an event")
	}
	p := Position{binary.BigEndian.Uint64(raw[:8]), int64(binary.BigEndian.Uint64(raw[8:]))}
	if p.id < 0 || p.xid > math.MaxInt64 {
		return Position{}, problem.New(CursorMalformed, "that is no id of an event")
	}
	return p, nil
}

// Event says that a transfer took a state.
type Event struct {
	Position Position
	// Transfer as it stood then. Its ReversedAmount is 0: a reversal has an event of its own.
	Transfer Transfer
	At       time.Time
	Debtor   uuid.UUID // whose wallet was debited, or would have been; nil UUID for the house
	Creditor uuid.UUID // and credited
}

// ShownTo tells whether a user may see the event. A refusal is its sender's alone,
// as in a list.
func (e *Event) ShownTo(user uuid.UUID) bool {
	if e.Transfer.State == Refused {
		return e.Transfer.Owner == user
	}
	return e.Debtor == user || e.Creditor == user
}

// eventHead is a row of events.
type eventHead struct {
	position      Position
	transfer      uuid.UUID
	state         State
	debit, credit int64 // credit is 0 where a refused transfer has none
	at            time.Time
}

// then puts a transfer back into the state that the event is about. A final state
// never changes but for what is sent back of it later.
func (h *eventHead) then(t Transfer) Transfer {
	t.ReversedAmount = 0
	if h.state == Pending {
		t.State, t.PostedAmount, t.Reason, t.ResolvedAt = Pending, 0, "", time.Time{}
	}
	return t
}

const eventColumns = `e.xid, e.id, e.transfer_id, e.state, e.debit_account, COALESCE(e.credit_account, 0), e.at`

func scanEventHead(row pgx.CollectableRow) (h eventHead, err error) {
	err = row.Scan(&h.position.xid, &h.position.id, (*[16]byte)(&h.transfer), &h.state, &h.debit, &h.credit, &h.at)
	return h, err
}

// planned has a statement planned each time it runs. A plan that a session made
// while events were few would read all of them when they are many.
const planned = pgx.QueryExecModeCacheDescribe

// Horizon is the position that everything later comes after: no event before it
// can still appear.
func (l *Ledger) Horizon(ctx context.Context) (Position, error) {
	const horizon = `SELECT event_number(pg_snapshot_xmin(pg_current_snapshot()))`
	var p Position
	if err := l.pool.QueryRow(ctx, horizon).Scan(&p.xid); err != nil {
		return Position{}, unavailable("find the newest event", err)
	}
	return p, nil
}

// edges are the horizon and, behind it, a position that nothing has reached yet:
// once the horizon is there, all that was committed before now can be read.
func (l *Ledger) edges(ctx context.Context) (horizon, end Position, err error) {
	const edges = `SELECT event_number(pg_snapshot_xmin(s)), event_number(pg_snapshot_xmax(s)) FROM pg_current_snapshot() s`
	if err := l.pool.QueryRow(ctx, edges).Scan(&horizon.xid, &end.xid); err != nil {
		return horizon, end, unavailable("find the newest event", err)
	}
	return horizon, end, nil
}

// PositionAt is a position before every event from t on, and not far before it:
// within a minute, which is longer than any transaction of ours may take. A time
// to come is TimeInFuture.
func (l *Ledger) PositionAt(ctx context.Context, t time.Time) (Position, error) {
	const (
		ends  = `SELECT COALESCE(min(id), 1), COALESCE(max(id), 0), clock_timestamp() FROM events`
		probe = `SELECT xid, id, at FROM events WHERE id >= $1 ORDER BY id LIMIT 1`
	)
	var (
		low, high int64
		now       time.Time
	)
	if err := l.pool.QueryRow(ctx, ends).Scan(&low, &high, &now); err != nil {
		return Position{}, unavailable("find the events of that time", err)
	}
	if t.After(now) {
		return Position{}, problem.New(TimeInFuture, "that time is still to come: ask for one up to now")
	}
	t = t.Add(-time.Minute)
	// Times rise with ids but for what ran at the same time, so halving finds the
	// place: the last event that is known to be older.
	var before Position
	for low <= high {
		middle := low + (high-low)/2
		var (
			p  Position
			at time.Time
		)
		err := l.pool.QueryRow(ctx, probe, middle).Scan(&p.xid, &p.id, &at)
		switch {
		case errors.Is(err, pgx.ErrNoRows): // ids that were drawn and never committed
			high = middle - 1
		case err != nil:
			return Position{}, unavailable("find the events of that time", err)
		case at.Before(t):
			before, low = Position{xid: p.xid}, p.id+1
		default:
			high = middle - 1
		}
	}
	return before, nil
}

// EventsOf gives the events that a user may see between two positions, oldest
// first: after the one, up to and with the other. At most about limit are looked at;
// next is where to go on, and more whether there is anything left.
func (l *Ledger) EventsOf(ctx context.Context, user uuid.UUID, after, upTo Position, limit int) (events []*Event, next Position, more bool, err error) {
	// Either side along its own index, whose columns are compared as one: by themselves
	// (xid, id) seem to narrow most near the end, where statistics are old, and
	// PostgreSQL reads everybody's events since.
	const list = `SELECT ` + eventColumns + ` FROM (
			SELECT s.* FROM accounts a CROSS JOIN LATERAL (
				SELECT e.* FROM events e
				WHERE (e.debit_account, e.xid, e.id) > (a.id, $2, $3) AND (e.debit_account, e.xid, e.id) <= (a.id, $4, $5)
					AND e.xid < event_number(pg_snapshot_xmin(pg_current_snapshot()))
				ORDER BY e.debit_account, e.xid, e.id LIMIT $6) s
			WHERE a.owner = $1
			UNION
			SELECT s.* FROM accounts a CROSS JOIN LATERAL (
				SELECT e.* FROM events e
				WHERE (e.credit_account, e.xid, e.id) > (a.id, $2, $3) AND (e.credit_account, e.xid, e.id) <= (a.id, $4, $5)
					AND e.credit_account IS NOT NULL AND e.xid < event_number(pg_snapshot_xmin(pg_current_snapshot()))
				ORDER BY e.credit_account, e.xid, e.id LIMIT $6) s
			WHERE a.owner = $1) e
		ORDER BY e.xid, e.id LIMIT $6`
	rows, err := l.pool.Query(ctx, list, planned, user, after.xid, after.id, upTo.xid, upTo.id, limit)
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
	accounts := make([]int64, 0, 2*len(heads))
	for i := range heads {
		accounts = append(accounts, heads[i].debit, heads[i].credit)
	}
	owners, err := l.Owners(ctx, accounts)
	if err != nil {
		return nil, after, false, err
	}
	all, err := l.tell(ctx, heads, owners)
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

// tell makes events of heads, in their order.
func (l *Ledger) tell(ctx context.Context, heads []eventHead, owners map[int64]uuid.UUID) ([]*Event, error) {
	const find = `SELECT ` + transferColumns + ` FROM transfers t WHERE t.id = ANY($1)`
	ids := make([][16]byte, len(heads))
	for i := range heads {
		ids[i] = heads[i].transfer
	}
	rows, err := l.pool.Query(ctx, find, planned, ids)
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
			return nil, problem.New(Internal, "an event is about a transfer that is not there")
		}
		events = append(events, &Event{
			Position: h.position, Transfer: h.then(t), At: h.at, Debtor: owners[h.debit], Creditor: owners[h.credit],
		})
	}
	return events, nil
}

// after reads what comes after a position, whosever it is, oldest first.
func (l *Ledger) after(ctx context.Context, p Position, limit int) ([]eventHead, error) {
	const list = `SELECT ` + eventColumns + ` FROM events e
		WHERE (e.xid, e.id) > ($1, $2) AND e.xid < event_number(pg_snapshot_xmin(pg_current_snapshot()))
		ORDER BY e.xid, e.id LIMIT $3`
	rows, err := l.pool.Query(ctx, list, planned, p.xid, p.id, limit)
	if err != nil {
		return nil, unavailable("read the events", err)
	}
	heads, err := pgx.CollectRows(rows, scanEventHead)
	if err != nil {
		return nil, unavailable("read the events", err)
	}
	return heads, nil
}
