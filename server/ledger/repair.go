package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/pgerr"
)

// These data are valid in one PostgreSQL cluster only. Repair corrects them in another one:
//
//	events.xid          made of transaction ids   ─► event_number begins a new epoch
//	identity columns    follow a sequence         ─► the sequence is set to the largest id
//
// A dump contains the events without the cluster's transaction counter, and logical replication
// copies the rows without the sequences. CheckRestored detects both, the audit reports both, and
// Repair corrects both.

// ErrRestored means that the database was restored and not repaired.
var ErrRestored = errors.New("the database was restored and needs `kizod repair` (run it as the owner of the tables, with $KIZO_MIGRATE_URL)")

// An epoch is a range of event numbers: event_number(id) is the id plus a multiple of epochSize. An
// epoch lasts for 2^44 transactions, which is 55 years at 10,000 per second; 2^19 epochs fit into a
// Position.
const epochSize = 1 << 44

// CheckRestored fails with ErrRestored if the database would not deliver all events, or if a
// sequence would return an id a second time.
func CheckRestored(ctx context.Context, db rowQuerier) error {
	numbers, err := readEventNumbers(ctx, db)
	if err != nil {
		return err
	}
	if numbers.last >= numbers.next {
		return fmt.Errorf("%w: its events have numbers up to %d, its transactions are at %d: events would not be delivered",
			ErrRestored, numbers.last, numbers.next)
	}
	sequences, err := readSequences(ctx, db, newestOwnEvent)
	if err != nil {
		return err
	}
	for _, s := range sequences {
		if s.behind() {
			return fmt.Errorf("%w: %s", ErrRestored, s)
		}
	}
	return nil
}

// rowQuerier is a pool, a connection or a transaction.
type rowQuerier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// eventNumbers describes the numbers of the events.
type eventNumbers struct {
	base int64 // of the current epoch: event_number(0)
	last int64 // the largest number of an event; 0 if there is none
	next int64 // the smallest number of a later event
}

func readEventNumbers(ctx context.Context, db rowQuerier) (n eventNumbers, err error) {
	const read = `SELECT event_number('0')::text::bigint,
		COALESCE(GREATEST((SELECT xid FROM events ORDER BY xid DESC, id DESC LIMIT 1),
			(SELECT event_xid FROM transfers WHERE event_xid IS NOT NULL
				ORDER BY event_xid DESC, event_id DESC LIMIT 1))::text::bigint, 0),
		event_number(pg_snapshot_xmax(pg_current_snapshot()))::text::bigint`
	if err := db.QueryRow(ctx, read).Scan(&n.base, &n.last, &n.next); err != nil {
		return n, fmt.Errorf("read the event numbers: %w", err)
	}
	return n, nil
}

// sequence is an identity column and the sequence that it takes its values from.
type sequence struct {
	table, column string
	name          string // quoted
	largest       int64
	given         int64 // the value that the sequence returned last; 0 if none
	next          int64 // the value that it returns next
}

// A statement that inserts many rows may use all numbers up to the next value, so that the largest
// may be above the one that was returned last.
func (s sequence) behind() bool { return s.next <= s.largest }

func (s sequence) String() string {
	return fmt.Sprintf("the sequence of %s.%s is at %d, the largest value is %d", s.table, s.column, s.given, s.largest)
}

// readSQL selects the largest value of the column, the last value of the sequence, and the next
// one.
func (s sequence) readSQL(ownEvent string) string {
	return `SELECT COALESCE(` + s.largestSQL(ownEvent) + `, 0),
		CASE WHEN is_called THEN last_value ELSE 0 END,
		CASE WHEN is_called THEN last_value + q.seqincrement ELSE last_value END
		FROM ` + s.name + `, pg_sequence q WHERE q.seqrelid = $1::regclass`
}

// setSQL sets the sequence to the largest value of the column.
func (s sequence) setSQL() string {
	return `SELECT setval($1::regclass, ` + s.largestSQL(largestOwnEvent) + `)`
}

// The ids of events in the rows of transfers come from the sequence of events too. No index has
// their order. That of the last position is almost the largest, unless events were added after a
// restore without the sequence, before the repair. Repair therefore reads all of them.
const (
	newestOwnEvent = `(SELECT event_id FROM transfers WHERE event_xid IS NOT NULL
		ORDER BY event_xid DESC, event_id DESC LIMIT 1)`
	largestOwnEvent = `(SELECT max(event_id) FROM transfers)`
)

func (s sequence) largestSQL(ownEvent string) string {
	largest := `(SELECT max(` + pgx.Identifier{s.column}.Sanitize() + `) FROM ` + pgx.Identifier{s.table}.Sanitize() + `)`
	if s.table == "events" {
		return `GREATEST(` + largest + `, ` + ownEvent + `)`
	}
	return largest
}

// readSequences reads every identity column that the role may read. ownEvent is newestOwnEvent or
// largestOwnEvent.
func readSequences(ctx context.Context, db rowQuerier, ownEvent string) ([]sequence, error) {
	const list = `SELECT c.relname, a.attname, pg_get_serial_sequence(c.oid::regclass::text, a.attname)
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE a.attidentity <> '' AND n.nspname = 'public' AND has_table_privilege(c.oid, 'SELECT')
			AND has_sequence_privilege(pg_get_serial_sequence(c.oid::regclass::text, a.attname), 'SELECT') ORDER BY c.relname`
	rows, err := db.Query(ctx, list)
	if err != nil {
		return nil, fmt.Errorf("list the identity columns: %w", err)
	}
	sequences, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s sequence, err error) {
		err = row.Scan(&s.table, &s.column, &s.name)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the identity columns: %w", err)
	}
	for i := range sequences {
		s := &sequences[i]
		if err := db.QueryRow(ctx, s.readSQL(ownEvent), s.name).Scan(&s.largest, &s.given, &s.next); err != nil {
			return nil, fmt.Errorf("read the sequence of %s: %w", s.table, err)
		}
	}
	return sequences, nil
}

// Repaired describes what Repair has changed.
type Repaired struct {
	NewEpoch   bool     // event numbers have a new epoch
	Reachable  int64    // events that could not be delivered before
	Renumbered int64    // events that were added after the restore and now follow the restored ones
	Sequences  []string // a sentence for each sequence that was behind
}

// Limits of the attempts to lock a table that other sessions write to.
const (
	repairLockTimeout = 2 * time.Second
	repairAttempts    = 20
)

// Repair prepares a restored database for use. It keeps every event and their order, and positions
// that readers hold stay valid. The role of conn must own the tables.
//
// It may run while a server is running: writers of events wait for it, at most for
// repairLockTimeout at a time, and events that they add later have higher numbers.
//
// If restored is set, it begins a new epoch even if no event needs one. That is right after every
// restore: readers may hold positions of events that the database has lost, and new events must
// come after those positions. A second run does no harm.
func Repair(ctx context.Context, conn *pgx.Conn, restored bool) (r Repaired, err error) {
	numbers, err := readEventNumbers(ctx, conn)
	if err != nil {
		return r, err
	}
	if restored || numbers.last >= numbers.next {
		err := withLockedTables(ctx, conn, eventTables, func(tx pgx.Tx) error { return beginEpoch(ctx, tx, &r) })
		if err != nil {
			return r, fmt.Errorf("begin a new epoch of event numbers: %w", err)
		}
	}
	sequences, err := readSequences(ctx, conn, largestOwnEvent)
	if err != nil {
		return r, err
	}
	for _, s := range sequences {
		if !s.behind() {
			continue
		}
		tables := []string{s.table}
		if s.table == "events" {
			tables = eventTables
		}
		err := withLockedTables(ctx, conn, tables, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, s.setSQL(), s.name)
			return err
		})
		if err != nil {
			return r, fmt.Errorf("set the sequence of %s: %w", s.table, err)
		}
		r.Sequences = append(r.Sequences, s.String())
	}
	return r, nil
}

// eventTables contain the events, in the order in which a batch writes them: locks that are taken
// in the same order cause no deadlock.
var eventTables = []string{"transfers", "events"}

func lockSQL(tables []string) string {
	return fmt.Sprintf("SET LOCAL lock_timeout = %d; LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE",
		repairLockTimeout.Milliseconds(), strings.Join(tables, ", "))
}

// withLockedTables runs a transaction in which no other session writes to the tables. While it
// waits for a lock, writers wait behind it, so it stops waiting after repairLockTimeout and tries
// again.
func withLockedTables(ctx context.Context, conn *pgx.Conn, tables []string, run func(pgx.Tx) error) error {
	attempt := func() error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, lockSQL(tables)); err != nil {
				return err
			}
			return run(tx)
		})
	}
	var err error
	for range repairAttempts {
		err = attempt()
		if !pgerr.IsLocked(err) {
			return err
		}
	}
	return err
}

// beginEpoch begins the next epoch of event numbers. The tables of events are locked: sessions that
// were adding events have committed, and later sessions take the new numbers.
func beginEpoch(ctx context.Context, tx pgx.Tx, r *Repaired) error {
	const unreachable = `SELECT count(*) FROM all_events WHERE xid >= $1::text::xid8`
	now, err := readEventNumbers(ctx, tx)
	if err != nil {
		return err
	}
	base := (max(now.last, now.base)/epochSize + 1) * epochSize
	if err := tx.QueryRow(ctx, unreachable, fmt.Sprint(now.next)).Scan(&r.Reachable); err != nil {
		return err
	}
	if r.Reachable > 0 {
		if r.Renumbered, err = renumber(ctx, tx, now, base-now.base); err != nil {
			return err
		}
	}
	const where = `SELECT pronamespace::regnamespace::text FROM pg_proc WHERE oid = 'event_number(xid8)'::regprocedure`
	var schema string // quoted
	if err := tx.QueryRow(ctx, where).Scan(&schema); err != nil {
		return err
	}
	replace := fmt.Sprintf(`CREATE OR REPLACE FUNCTION %s.event_number(transaction_id xid8) RETURNS xid8
		LANGUAGE sql STABLE PARALLEL SAFE RETURN (transaction_id::text::bigint + %d)::text::xid8`, schema, base)
	if _, err := tx.Exec(ctx, replace); err != nil {
		return err
	}
	r.NewEpoch = true
	return nil
}

// renumber moves the events that were added in this cluster, after the restore, after the restored
// ones. They keep their order. They are the events with a higher id, or a later time, than every
// event whose number this cluster cannot have given. A dump contains the sequence that the ids come
// from; logical replication does not, and then the times decide. The age of a row decides nothing:
// a reversal makes a new version of a restored row.
func renumber(ctx context.Context, tx pgx.Tx, now eventNumbers, by int64) (moved int64, err error) {
	const restored = `SELECT max(id), max(at) FROM all_events WHERE xid >= $1::text::xid8`
	var (
		last   int64
		lastAt time.Time
	)
	if err := tx.QueryRow(ctx, restored, fmt.Sprint(now.next)).Scan(&last, &lastAt); err != nil {
		return 0, err
	}
	for _, m := range []struct{ table, trigger, move string }{
		{"transfers", "transfers_final", `UPDATE transfers SET event_xid = (event_xid::text::bigint + $2)::text::xid8
			WHERE event_xid < $1::text::xid8 AND (event_id > $3 OR resolved_at > $4)`},
		{"events", "events_append_only", `UPDATE events SET xid = (xid::text::bigint + $2)::text::xid8
			WHERE xid < $1::text::xid8 AND (id > $3 OR at > $4)`},
	} {
		err := withoutTrigger(ctx, tx, m.table, m.trigger, func() error {
			tag, err := tx.Exec(ctx, m.move, fmt.Sprint(now.next), by, last, lastAt)
			moved += tag.RowsAffected()
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return moved, nil
}

// withoutTrigger disables a trigger while change runs, and enables it in its mode again.
func withoutTrigger(ctx context.Context, tx pgx.Tx, table, trigger string, change func() error) error {
	const read = `SELECT tgenabled::text FROM pg_trigger WHERE tgrelid = $1::text::regclass AND tgname = $2`
	var mode string
	if err := tx.QueryRow(ctx, read, table, trigger).Scan(&mode); err != nil {
		return err
	}
	enable := "ENABLE"
	if mode == "A" {
		enable = "ENABLE ALWAYS"
	}
	if _, err := tx.Exec(ctx, `ALTER TABLE `+table+` DISABLE TRIGGER `+trigger); err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `ALTER TABLE `+table+` `+enable+` TRIGGER `+trigger)
	return err
}

// String describes the changes, one on each line.
func (r Repaired) String() string {
	var lines []string
	if r.NewEpoch {
		lines = append(lines, fmt.Sprintf("event numbers: a new epoch; %d events can be delivered again, %d were moved after them", r.Reachable, r.Renumbered))
	}
	for _, s := range r.Sequences {
		lines = append(lines, "sequence set: "+s)
	}
	if len(lines) == 0 {
		return "nothing to repair\n"
	}
	return strings.Join(lines, "\n") + "\n"
}

// auditSequences reports the identity columns whose sequence would return a value a second time.
func auditSequences(ctx context.Context, tx pgx.Tx, _ scope) ([][]Check, error) {
	began := time.Now()
	check := Check{Name: "sequences", Sentence: "no sequence is behind the column that takes its values from it", Broken: []string{}}
	sequences, err := readSequences(ctx, tx, newestOwnEvent)
	if err != nil {
		return nil, err
	}
	for _, s := range sequences {
		check.Rows++
		if s.behind() {
			check.BrokenRows++
			check.Broken = append(check.Broken, s.String())
		}
	}
	check.Duration = time.Since(began)
	return [][]Check{{check}}, nil
}
