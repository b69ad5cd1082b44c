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
// the consequences of a crash or of a cut connection. A key that another session has just committed
// (23505 on transfers_key) is expected too.
var expectedRefusals = []string{
	"00000", "08003", "08006", "08P01", "25P03", "55P03", "57014", "57P01", "57P02", "57P03", "53300",
}

// checkDatabaseLog looks for statements that the database rejected. The constraints are the last
// protection: code that reaches them has a defect, even if no harm was done.
func (r *result) checkDatabaseLog() error {
	log, err := os.ReadFile(r.system.postgres.LogPath())
	if err != nil {
		return fmt.Errorf("read PostgreSQL's log: %w", err)
	}
	for line := range strings.Lines(string(log)) {
		head, message, isError := strings.Cut(line, " ERROR: ")
		if !isError {
			continue
		}
		state := head[strings.LastIndexByte(head, ' ')+1:]
		if slices.Contains(expectedRefusals, state) || (state == "23505" && strings.Contains(message, "transfers_key")) {
			continue
		}
		r.found.add("database", "PostgreSQL had to reject a statement: %s", strings.TrimSpace(line))
	}
	return nil
}
