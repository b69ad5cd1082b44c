package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/ledger"
)

// evidence is everything that a rule may read.
type evidence struct {
	operations []*operation
	reads      []reading
	users      []*user
	books      *books
	journal    []sim.Entry
	lies       []sim.Lie
	deaths     map[string]time.Time
	found      *findings
}

// rules are checked after a run. Clients check some rules during it (http, replay, session),
// awaitTerminal checks one (stuck), and the ledger audits itself.
var rules = []func(*evidence){
	checkHistory, checkReplays, checkAtomic, checkBalances, // the answers agree with the books
	checkModel, checkOrder, checkReads, // there is one order that explains all of them
	checkBank, checkClearing, // the books agree with the bank's journal
	checkLies, // wrong answers of the bank are recorded
	checkFences, checkLeases,
}

// audit checks all rules and computes the figures of the summary.
func (r *result) audit(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, r.system.adminURL())
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := r.auditLedger(ctx); err != nil {
		return err
	}
	e, err := r.gather(ctx, conn)
	if err != nil {
		return err
	}
	for _, rule := range rules {
		rule(e)
	}
	if err := r.checkDatabaseLog(); err != nil {
		return err
	}
	r.measure(e)
	return r.checkPoints()
}

// auditLedger runs the ledger's audit twice. The second run is measured, because the first
// one fills PostgreSQL's cache.
func (r *result) auditLedger(ctx context.Context) error {
	pool, err := pgxpool.New(ctx, r.system.adminURL())
	if err != nil {
		return err
	}
	defer pool.Close()
	for range 2 {
		began := time.Now()
		report, err := ledger.Audit(ctx, pool)
		if err != nil {
			return err
		}
		r.auditTook = time.Since(began)
		if check, broken := report.FirstBroken(); broken {
			r.found.add("audit: "+check.Name, "%s: %d of %d rows break it: %s",
				check.Sentence, check.BrokenRows, check.Rows, strings.Join(check.Broken, "; "))
			return nil
		}
	}
	return nil
}

func (r *result) gather(ctx context.Context, conn *pgx.Conn) (*evidence, error) {
	books, err := readBooks(ctx, conn)
	journal, journalErr := sim.ReadJournal(r.system.bank.journal())
	lies, liesErr := sim.ReadLies(r.system.bank.journal())
	return &evidence{
		operations: r.history.operations(), reads: r.history.reads, users: r.load.users, books: books, journal: journal, lies: lies,
		deaths: r.system.faultLog.deaths, found: r.found,
	}, errors.Join(err, journalErr, liesErr)
}

// expectedRefusals are the SQLSTATEs that a correct kizod causes: a wait that a timeout ended, and
// the consequences of a crash or of a cut connection.
var expectedRefusals = []string{
	"00000", "08003", "08006", "08P01", "25P03", "55P03", "57014", "57P01", "57P02", "57P03", "53300",
}

// outdatedRefusals are the SQLSTATEs and parts of the messages with which the database rejects a
// batch that was decided on remembered accounts, because another process has changed them or used
// a key (server/ledger/remembered.go). The last is also a key that another session has just
// committed.
var outdatedRefusals = []struct{ state, message string }{
	{"23000", "the new postings do not continue those of account"},
	{"23000", "is frozen, or has a limit that was not read"},
	{"23514", `"accounts_floor"`}, // the other process has opened a hold
	{"23505", `"transfers_key"`},
}

func isExpectedRefusal(state, message string) bool {
	if slices.Contains(expectedRefusals, state) {
		return true
	}
	for _, r := range outdatedRefusals {
		if state == r.state && strings.Contains(message, r.message) {
			return true
		}
	}
	return false
}

// databaseLog returns the log of PostgreSQL, on all hosts.
func (h *system) databaseLog() (text string, err error) {
	if h.cluster == nil {
		log, err := os.ReadFile(h.postgres.LogPath())
		return string(log), err
	}
	for n := range hosts {
		log, readErr := os.ReadFile(h.path(fmt.Sprintf("ha/log/patroni%d.log", n+1)))
		text, err = text+string(log), errors.Join(err, readErr)
	}
	return text, err
}

// checkDatabaseLog looks for statements that the database rejected. The constraints are the last
// protection: code that reaches them has a defect, even if no harm was done.
func (r *result) checkDatabaseLog() error {
	log, err := r.system.databaseLog()
	if err != nil {
		return fmt.Errorf("read PostgreSQL's log: %w", err)
	}
	for line := range strings.Lines(log) {
		head, message, isError := strings.Cut(line, " ERROR: ")
		if !isError || r.system.cluster != nil && !strings.Contains(head, " kizo_app@") { // Patroni's own
			continue
		}
		state := head[strings.LastIndexByte(head, ' ')+1:]
		if isExpectedRefusal(state, message) {
			continue
		}
		r.found.add("database", "PostgreSQL had to reject a statement: %s", strings.TrimSpace(line))
	}
	return nil
}
