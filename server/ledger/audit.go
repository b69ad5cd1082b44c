package ledger

import (
	"context"
	"fmt"
	"io"
	"slices"
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
	Mode   AuditMode `json:"mode"`
	Since  time.Time `json:"since,omitzero"`   // of an incremental audit: when the audit was made that it continues
	FullAt time.Time `json:"full_at,omitzero"` // of an incremental audit: when the last full one was made
	Signed bool      `json:"signed"`           // the next incremental audit can continue this one
	Checks []Check   `json:"checks"`
}

// AuditMode is what an audit covers.
type AuditMode string

// The modes of an audit.
const (
	FullAudit        AuditMode = "full"        // all rows
	IncrementalAudit AuditMode = "incremental" // what is new since the last signed audit
)

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

// WriteTable prints a line for each check, and below each broken one its rows. In front is what an
// incremental audit continues.
func (r Report) WriteTable(w io.Writer) error {
	if r.Mode == IncrementalAudit {
		if _, err := fmt.Fprintf(w, "what is new since the audit of %s; the last full audit was that of %s\n\n",
			r.Since.UTC().Format(time.RFC3339), r.FullAt.UTC().Format(time.RFC3339)); err != nil {
			return err
		}
	}
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

// beginner is a pool or a connection.
type beginner interface {
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

// Audit recomputes every invariant of the books from the tables alone. It reads one snapshot, so it
// is correct while the system is running, and it takes no locks. db is a pool or a connection of
// the application's role. With a pool, the scans share at most auditors connections on one
// snapshot. [Auditor] also signs what an audit has found.
//
// An error means that the audit could not be completed. Broken invariants are no error; they are in
// the report.
func Audit(ctx context.Context, db beginner) (Report, error) {
	return inSnapshot(ctx, db, func(ctx context.Context, s *snapshot) error {
		s.report.Mode = FullAudit
		return s.check(ctx, fullScope)
	})
}

// snapshot is a transaction in which an audit reads, and its report.
type snapshot struct {
	db     beginner
	lead   pgx.Tx
	report Report
}

// inSnapshot calls work with a new snapshot, and returns the report.
func inSnapshot(ctx context.Context, db beginner, work func(context.Context, *snapshot) error) (Report, error) {
	s := &snapshot{db: db}
	var err error
	if s.lead, err = db.BeginTx(ctx, auditTx); err != nil {
		return s.report, fmt.Errorf("begin the audit: %w", err)
	}
	defer func() { _ = s.lead.Rollback(context.WithoutCancel(ctx)) }() // it has written nothing
	if err := s.lead.QueryRow(ctx, readClock).Scan(&s.report.At); err != nil {
		return s.report, fmt.Errorf("begin the audit: %w", err)
	}
	err = work(ctx, s)
	return s.report, err
}

// check runs all scans and adds their checks to the report.
func (s *snapshot) check(ctx context.Context, of scope) error {
	a := newAudit(of)
	working, stop := context.WithCancel(ctx)
	joining, stopJoining := context.WithCancel(working)
	var helping sync.WaitGroup
	defer func() {
		stopJoining()
		stop()
		helping.Wait()
	}()
	if pool, ok := s.db.(*pgxpool.Pool); ok {
		var exported string
		if err := s.lead.QueryRow(ctx, `SELECT pg_export_snapshot()`).Scan(&exported); err != nil {
			return fmt.Errorf("share the audit's snapshot: %w", err)
		}
		for range min(auditors, int(pool.Config().MaxConns)) - 1 {
			helping.Go(func() { a.help(working, joining, pool, exported) })
		}
	}
	a.work(working, s.lead)
	stopJoining()  // a helper that still waits for a connection gives up: another audit may have it
	helping.Wait() // the snapshot lives as long as lead
	for _, checks := range a.checks {
		s.report.Checks = append(s.report.Checks, checks...)
	}
	return a.err
}

// auditors is how many connections of the pool one audit uses.
const auditors = 3

var auditTx = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// audit is a queue of tasks, the long ones first, and their results.
type audit struct {
	of     scope
	tasks  chan auditTask
	checks [][]Check // of each scan, in the order of the report

	mu  sync.Mutex
	err error // the first
}

// auditTask is one statement, with the scans whose checks it returns.
type auditTask struct {
	at  []int // places of the scans in the report
	run func(ctx context.Context, tx pgx.Tx, of scope) ([][]Check, error)
	of  string
	by  method
}

func newAudit(of scope) *audit {
	scans := auditScans
	if of.lookUps {
		scans = slices.Concat(auditScans, signedScans)
	}
	n := len(scans)
	tasks := []auditTask{{[]int{n}, auditDigests, "digests", sorting}, {[]int{n + 1}, auditSequences, "sequences", hashing}}
	for _, long := range []bool{true, false} {
		for i, s := range scans {
			if s.long == long && !slices.ContainsFunc(tasks, func(t auditTask) bool { return slices.Contains(t.at, i) }) {
				tasks = append(tasks, newAuditTask(scans, i, of))
			}
		}
	}
	a := &audit{of: of, tasks: make(chan auditTask, len(tasks)), checks: make([][]Check, n+2)}
	for _, t := range tasks {
		a.tasks <- t
	}
	close(a.tasks)
	return a
}

// newAuditTask returns a task for scan i. If the scope's relations are found by look-ups, the task
// contains all scans of the same group: they are found once.
func newAuditTask(scans []scan, i int, of scope) auditTask {
	t := auditTask{at: []int{i}, of: scans[i].rules[0].name, by: scans[i].by}
	together := []scan{scans[i]}
	for j := i + 1; of.lookUps && scans[i].group != "" && j < len(scans); j++ {
		if scans[j].group == scans[i].group {
			t.at, together = append(t.at, j), append(together, scans[j])
		}
	}
	t.run = func(ctx context.Context, tx pgx.Tx, of scope) ([][]Check, error) {
		return runScans(ctx, tx, of, together)
	}
	return t
}

// work runs tasks until there are no more, or one fails.
func (a *audit) work(ctx context.Context, tx pgx.Tx) {
	if err := tuneAudit(ctx, tx, a.of); err != nil {
		a.fail(fmt.Errorf("begin the audit: %w", err))
		return
	}
	for t := range a.tasks {
		if a.failed() {
			return
		}
		var (
			checks [][]Check
			err    error
		)
		if !a.of.lookUps {
			_, err = tx.Exec(ctx, chooseMethod, t.by&sortingGroups == 0, t.by&sortingJoins == 0)
		}
		if err == nil {
			checks, err = t.run(ctx, tx, a.of)
		}
		if err != nil {
			a.fail(fmt.Errorf("audit %s: %w", t.of, err))
			return
		}
		for i, at := range t.at {
			a.checks[at] = checks[i]
		}
	}
}

// tuneAudit sets up a transaction for an audit. A full one reads whole tables: it gets memory to
// sort and hash them, and no index scans, which would read every page at random. One with look-ups
// does without nested loops, but for those of its LATERAL items: it reads from relations of which
// PostgreSQL does not know how large they are. Parallel workers would take CPUs from the running
// system and exchange more rows than they save; JIT compilation costs more than it saves.
func tuneAudit(ctx context.Context, tx pgx.Tx, of scope) error {
	const settings = `SELECT set_config('work_mem', '256MB', true), set_config('enable_indexscan', $1, true),
		set_config('enable_nestloop', $2, true), set_config('enable_hashagg', 'on', true), set_config('enable_hashjoin', 'on', true),
		set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true)`
	indexes, loops := "off", "on"
	if of.lookUps {
		indexes, loops = loops, indexes
	}
	_, err := tx.Exec(ctx, settings, indexes, loops)
	return err
}

// help runs tasks on another connection with the same snapshot. If the pool has no free connection,
// the audit only takes longer.
func (a *audit) help(ctx, joining context.Context, pool *pgxpool.Pool, exported string) {
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
	if _, err := tx.Exec(ctx, setSnapshotSQL(exported)); err != nil {
		return
	}
	a.work(ctx, tx)
}

// setSnapshotSQL returns the statement, which takes no parameters. PostgreSQL's names of snapshots
// contain no quotes.
func setSnapshotSQL(exported string) string {
	return "SET TRANSACTION SNAPSHOT '" + strings.ReplaceAll(exported, "'", "''") + "'"
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
	group string // scans that share relations, which are worth finding once
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

// runScans runs scans as one statement, and returns the checks of each.
func runScans(ctx context.Context, tx pgx.Tx, of scope, scans []scan) ([][]Check, error) {
	began := time.Now()
	checks := make([][]Check, len(scans))
	var into []any
	for i, s := range scans {
		checks[i] = make([]Check, len(s.rules))
		for j := range s.rules {
			c := &checks[i][j]
			c.Name, c.Sentence = s.rules[j].name, s.rules[j].sentence
			into = append(into, &c.Rows, &c.BrokenRows, &c.Broken)
		}
	}
	if err := tx.QueryRow(ctx, of.statement(scansSQL(scans)), of.arguments()...).Scan(into...); err != nil {
		return nil, err
	}
	share := time.Since(began) * 3 / time.Duration(len(into))
	for i := range checks {
		for j := range checks[i] {
			checks[i][j].Duration = share
		}
	}
	return checks, nil
}

// scansSQL returns a query whose one row is those of all scans side by side.
func scansSQL(scans []scan) string {
	var rows []string
	for i, s := range scans {
		rows = append(rows, fmt.Sprintf("(%s) s%d", s.sql(), i))
	}
	return "SELECT * FROM " + strings.Join(rows, "\nCROSS JOIN ")
}
