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

// maxBroken is how many broken rows a check names.
const maxBroken = 10

// Check is one invariant of the books, recomputed from the tables.
type Check struct {
	Name       string        `json:"name"`
	Sentence   string        `json:"sentence"`    // what holds when the check passes
	Rows       int64         `json:"rows"`        // how many were looked at
	BrokenRows int64         `json:"broken_rows"` // how many of them broke it
	Broken     []string      `json:"broken"`      // which: the ids of at most ten
	Duration   time.Duration `json:"duration_ns"` // its share of the scan that it was part of
}

// OK tells whether the invariant holds.
func (c Check) OK() bool { return c.BrokenRows == 0 }

// Report is what an audit found.
type Report struct {
	At     time.Time `json:"at"` // the database's clock when the snapshot was taken
	Checks []Check   `json:"checks"`
}

// OK tells whether every invariant holds.
func (r Report) OK() bool {
	_, broken := r.FirstBroken()
	return !broken
}

// FirstBroken is the first check that failed. Later ones may have failed in
// consequence, so this is the one to look at.
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
		verdict := "ok"
		if !c.OK() {
			verdict = "BROKEN"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\n", verdict, c.Name, c.Rows, c.Duration.Milliseconds(), c.Sentence)
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

// Audit recomputes every invariant of the books from the tables and from nothing
// else. It reads one snapshot, so it is right beside a running system, and holds
// nobody up. db is a pool or a connection; the application's role suffices. With a
// pool the scans share auditors connections, on the same snapshot.
//
// An error means that the audit could not be made, not that the books are wrong:
// that is what the report says.
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
	joining, late := context.WithCancel(working)
	var helping sync.WaitGroup
	defer func() {
		late()
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
	late()         // whoever still waits for a connection need not: it may be another audit's
	helping.Wait() // the snapshot lives as long as lead
	for _, checks := range a.checks {
		report.Checks = append(report.Checks, checks...)
	}
	return report, a.err
}

// auditors is how many connections one audit uses, of a pool that others need too.
const auditors = 3

var auditTx = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// audit is a line of scans, the long ones first, and what came of them.
type audit struct {
	scans  chan numbered
	checks [][]Check // in the order of the report

	mu  sync.Mutex
	err error // the first
}

type numbered struct {
	at  int
	run func(ctx context.Context, tx pgx.Tx) ([]Check, error)
	of  string
	by  method
}

func newAudit() *audit {
	a := &audit{scans: make(chan numbered, len(auditScans)+2), checks: make([][]Check, len(auditScans)+2)}
	a.scans <- numbered{len(auditScans), auditDigests, "digests", sorting}
	a.scans <- numbered{len(auditScans) + 1, auditSequences, "sequences", hashing}
	for _, long := range []bool{true, false} {
		for i, s := range auditScans {
			if s.long == long {
				a.scans <- numbered{i, s.run, s.rules[0].name, s.by}
			}
		}
	}
	close(a.scans)
	return a
}

// work runs scans until there are no more, or one fails.
func (a *audit) work(ctx context.Context, tx pgx.Tx) {
	// For this transaction, which reads whole tables: memory to sort and hash much of
	// them at once, no walking of an index that leads to every page in turn, no
	// handing of groups from worker to worker (dearer than making them, and the
	// processors are the running system's), and no compiling of statements.
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

// help works on the same snapshot. A pool without a connection to spare only makes
// the audit longer.
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
	if _, err := tx.Exec(ctx, adopting(snapshot)); err != nil {
		return
	}
	a.work(ctx, tx)
}

// adopting is SQL that takes no parameters; what PostgreSQL calls a snapshot has no
// quotes in it.
func adopting(snapshot string) string {
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

// method is how a scan brings together what belongs together. Hashing is right for
// few groups. Rows of millions of transfers lie nearly in the order of their ids,
// so that sorting them takes half as long as a hash table that misses every
// cache, and no more memory however many they are.
type method int

const (
	hashing       method = 0
	sortingGroups method = 1
	sortingJoins  method = 2
	sorting              = sortingGroups | sortingJoins
)

const chooseMethod = `SELECT set_config('enable_hashagg', CASE WHEN $1 THEN 'on' ELSE 'off' END, true),
	set_config('enable_hashjoin', CASE WHEN $2 THEN 'on' ELSE 'off' END, true)`

// scan is one pass over some rows, and the rules that are judged on each of them.
type scan struct {
	rows  string // SQL: a FROM item
	long  bool   // begun before the others
	by    method
	rules []rule
}

// rule is SQL on a row of its scan. Where holds is NULL it does not hold.
type rule struct {
	name     string
	sentence string
	among    string // which rows it is about; all when empty
	holds    string
	row      string // text that names the row
	count    string // what was looked at, an aggregate; the rows it is about when empty
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
