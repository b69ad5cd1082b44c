package ledger

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxBroken is how many broken rows a check lists.
const maxBroken = 10

// Check is one invariant of the books, recomputed from the tables.
type Check struct {
	Name       string        `json:"name"`
	Sentence   string        `json:"sentence"`    // what holds when the check passes
	Rows       int64         `json:"rows"`        // how many were checked
	BrokenRows int64         `json:"broken_rows"` // how many of them violate the invariant
	Broken     []string      `json:"broken"`      // the ids of at most ten of them
	Duration   time.Duration `json:"duration_ns"` // its share of the duration of a scan with several checks
}

// OK reports whether the invariant holds.
func (c Check) OK() bool { return c.BrokenRows == 0 }

// Report is the result of an audit.
type Report struct {
	At     time.Time `json:"at"` // the database's clock when the snapshot was taken
	Checks []Check   `json:"checks"`
}

// OK reports whether every invariant holds.
func (r Report) OK() bool {
	_, broken := r.FirstBroken()
	return !broken
}

// FirstBroken returns the first check that failed. Later checks may have failed as a consequence,
// so this is the one to investigate.
func (r Report) FirstBroken() (Check, bool) {
	for _, c := range r.Checks {
		if !c.OK() {
			return c, true
		}
	}
	return Check{}, false
}

// WriteTable prints a line for each check, and below each broken one its rows.
func (r Report) WriteTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tCHECK\tROWS\tMS\tWHAT HOLDS")
	for _, c := range r.Checks {
		status := "ok"
		if !c.OK() {
			status = "BROKEN"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\n", status, c.Name, c.Rows, c.Duration.Milliseconds(), c.Sentence)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, c := range r.Checks {
		if c.OK() {
			continue
		}
		more := ""
		if left := c.BrokenRows - int64(len(c.Broken)); left > 0 {
			more = fmt.Sprintf("\n  and %d more", left)
		}
		if _, err := fmt.Fprintf(w, "\n%s is broken in %d of %d rows:\n  %s%s\n",
			c.Name, c.BrokenRows, c.Rows, strings.Join(c.Broken, "\n  "), more); err != nil {
			return err
		}
	}
	return nil
}

// Audit recomputes every invariant of the books from the tables alone. It reads one snapshot, so it
// is correct while the system is running, and it takes no locks. db is a pool or a connection of
// the application's role. With a pool, the scans share at most auditors connections on one
// snapshot.
//
// An error means that the audit could not be completed. Broken invariants are no error; they are in
// the report.
func Audit(ctx context.Context, db interface {
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
},
) (Report, error) {
	var report Report
	lead, err := db.BeginTx(ctx, auditTx)
	if err != nil {
		return report, fmt.Errorf("begin the audit: %w", err)
	}
	defer func() { _ = lead.Rollback(context.WithoutCancel(ctx)) }() // it has written nothing
	if err := lead.QueryRow(ctx, readClock).Scan(&report.At); err != nil {
		return report, fmt.Errorf("begin the audit: %w", err)
	}
	a := newAudit()
	working, stop := context.WithCancel(ctx)
	joining, stopJoining := context.WithCancel(working)
	var helping sync.WaitGroup
	defer func() {
		stopJoining()
		stop()
		helping.Wait()
	}()
	if pool, ok := db.(*pgxpool.Pool); ok {
		var snapshot string
		if err := lead.QueryRow(ctx, `SELECT pg_export_snapshot()`).Scan(&snapshot); err != nil {
			return report, fmt.Errorf("share the audit's snapshot: %w", err)
		}
		for range min(auditors, int(pool.Config().MaxConns)) - 1 {
			helping.Go(func() { a.help(working, joining, pool, snapshot) })
		}
	}
	a.work(working, lead)
	stopJoining()  // a helper that still waits for a connection gives up: another audit may have it
	helping.Wait() // the snapshot lives as long as lead
	for _, checks := range a.checks {
		report.Checks = append(report.Checks, checks...)
	}
	return report, a.err
}

// auditors is how many connections of the pool one audit uses.
const auditors = 3

var auditTx = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// audit is a queue of scans, the long ones first, and their results.
type audit struct {
	scans  chan numberedScan
	checks [][]Check // in the order of the report

	mu  sync.Mutex
	err error // the first
}

type numberedScan struct {
	at  int
	run func(ctx context.Context, tx pgx.Tx) ([]Check, error)
	of  string
	by  method
}

func newAudit() *audit {
	a := &audit{scans: make(chan numberedScan, len(auditScans)+2), checks: make([][]Check, len(auditScans)+2)}
	a.scans <- numberedScan{len(auditScans), auditDigests, "digests", sorting}
	a.scans <- numberedScan{len(auditScans) + 1, auditSequences, "sequences", hashing}
	for _, long := range []bool{true, false} {
		for i, s := range auditScans {
			if s.long == long {
				a.scans <- numberedScan{i, s.run, s.rules[0].name, s.by}
			}
		}
	}
	close(a.scans)
	return a
}

// work runs scans until there are no more, or one fails.
func (a *audit) work(ctx context.Context, tx pgx.Tx) {
	// This transaction reads whole tables: it gets memory to sort and hash them, and no index
	// scans, which would read every page at random. Parallel workers would take CPUs from the
	// running system and exchange more rows than they save; JIT compilation costs more than it
	// saves.
	const tune = `SELECT set_config('work_mem', '256MB', true), set_config('enable_indexscan', 'off', true),
		set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true)`
	if _, err := tx.Exec(ctx, tune); err != nil {
		a.fail(fmt.Errorf("begin the audit: %w", err))
		return
	}
	for s := range a.scans {
		if a.failed() {
			return
		}
		_, err := tx.Exec(ctx, chooseMethod, s.by&sortingGroups == 0, s.by&sortingJoins == 0)
		var checks []Check
		if err == nil {
			checks, err = s.run(ctx, tx)
		}
		if err != nil {
			a.fail(fmt.Errorf("audit %s: %w", s.of, err))
			return
		}
		a.checks[s.at] = checks
	}
}

// help runs scans on another connection with the same snapshot. If the pool has no free connection,
// the audit only takes longer.
func (a *audit) help(ctx, joining context.Context, pool *pgxpool.Pool, snapshot string) {
	conn, err := pool.Acquire(joining)
	if err != nil {
		return
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, auditTx)
	if err != nil {
		return
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, setSnapshotSQL(snapshot)); err != nil {
		return
	}
	a.work(ctx, tx)
}

// setSnapshotSQL returns the statement, which takes no parameters. PostgreSQL's names of snapshots
// contain no quotes.
func setSnapshotSQL(snapshot string) string {
	return "SET TRANSACTION SNAPSHOT '" + strings.ReplaceAll(snapshot, "'", "''") + "'"
}

func (a *audit) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
}

func (a *audit) failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err != nil
}

// method is how a scan groups and joins rows. Hashing is right for few groups. The rows of millions
// of transfers are stored nearly in the order of their ids, so that sorting them takes half as long
// as a hash table that misses every CPU cache, and bounded memory.
type method int

const (
	hashing       method = 0
	sortingGroups method = 1
	sortingJoins  method = 2
	sorting              = sortingGroups | sortingJoins
)

const chooseMethod = `SELECT set_config('enable_hashagg', CASE WHEN $1 THEN 'on' ELSE 'off' END, true),
	set_config('enable_hashjoin', CASE WHEN $2 THEN 'on' ELSE 'off' END, true)`

// scan is one pass over some rows, and the rules that are checked on each of them.
type scan struct {
	rows  string // SQL: a FROM item
	long  bool   // started before the others
	by    method
	rules []rule
}

// rule is SQL on a row of its scan. A rule whose condition is NULL is broken.
type rule struct {
	name     string
	sentence string
	among    string // the rows that it applies to; all if empty
	holds    string
	row      string // text that identifies the row
	count    string // aggregate of the rows that were checked; the rows that it applies to if empty
}

func (s scan) sql() string {
	var columns []string
	for _, r := range s.rules {
		among := r.among
		if among == "" {
			among = "true"
		}
		count := r.count
		if count == "" {
			count = "count(*) FILTER (WHERE " + among + ")"
		}
		broken := "FILTER (WHERE (" + among + ") AND (" + r.holds + ") IS NOT TRUE)"
		columns = append(columns, "COALESCE("+count+", 0)::bigint", "count(*) "+broken,
			fmt.Sprintf("COALESCE((array_agg(%s) %s)[1:%d], '{}')", r.row, broken, maxBroken))
	}
	return "SELECT " + strings.Join(columns, ",\n\t") + "\nFROM " + s.rows
}

func (s scan) run(ctx context.Context, tx pgx.Tx) ([]Check, error) {
	began := time.Now()
	checks := make([]Check, len(s.rules))
	var into []any
	for i := range checks {
		checks[i].Name, checks[i].Sentence = s.rules[i].name, s.rules[i].sentence
		into = append(into, &checks[i].Rows, &checks[i].BrokenRows, &checks[i].Broken)
	}
	if err := tx.QueryRow(ctx, s.sql()).Scan(into...); err != nil {
		return nil, err
	}
	share := time.Since(began) / time.Duration(len(checks))
	for i := range checks {
		checks[i].Duration = share
	}
	return checks, nil
}
