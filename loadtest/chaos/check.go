package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/ledger"
)

// evidence is all that a checker may look at.
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

// rules are what has to be true after a run, beside what clients saw at once (http,
// replay, session), what the heal saw (stuck) and the ledger's own audit.
var rules = []func(*evidence){
	checkHistory, checkReplays, checkBalances, // what was said is what is
	checkModel, checkOrder, checkReads, // and was so in one order
	checkBank, checkClearing, // in the ledger and at the bank
	checkLies, // and wrong answers of the bank are recorded
	checkFences, checkLeases,
}

// audit compares everything with everything.
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

// auditLedger lets the ledger audit itself, twice: the second time is the measured
// one, since the first fills PostgreSQL's cache.
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
	b, err := readBooks(ctx, conn)
	if err != nil {
		return nil, err
	}
	journal, err := sim.ReadJournal(r.system.bank.journal())
	if err != nil {
		return nil, err
	}
	lies, err := sim.ReadLies(r.system.bank.journal())
	if err != nil {
		return nil, err
	}
	type named struct {
		handle string
		id     uuid.UUID
	}
	ids, err := rows(ctx, conn, readUsers, func(row pgx.CollectableRow, n *named) error { return row.Scan(&n.handle, &n.id) })
	if err != nil {
		return nil, err
	}
	e := &evidence{
		operations: r.history.operations(), reads: r.history.reads, books: b, journal: journal, lies: lies,
		deaths: r.system.faultLog.deaths, found: r.found,
	}
	byHandle := make(map[string]uuid.UUID)
	for _, n := range ids {
		byHandle[n.handle] = n.id
	}
	for _, o := range e.operations {
		if o.user.id == uuid.Nil {
			o.user.id = byHandle[o.user.handle]
			e.users = append(e.users, o.user)
		}
	}
	for _, o := range e.operations { // payees who asked for nothing themselves
		if o.payee != nil && o.payee.id == uuid.Nil {
			o.payee.id = byHandle[o.payee.handle]
			e.users = append(e.users, o.payee)
		}
	}
	return e, nil
}

// expectedRefusals are the SQLSTATEs that a sound kizod makes PostgreSQL report:
// a key that another session has just committed (23505 on transfers_key), waiting
// that was bounded, and what a crash or a cut connection does.
var expectedRefusals = []string{
	"00000", "08003", "08006", "08P01", "25P03", "55P03", "57014", "57P01", "57P02", "57P03", "53300",
}

// checkDatabaseLog looks for what the tables had to refuse: what they hold is the
// last line, and code that reaches it is wrong even though no harm was done.
func (r *result) checkDatabaseLog() error {
	file, err := os.Open(r.system.postgres.LogPath())
	if err != nil {
		return fmt.Errorf("read PostgreSQL's log: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		_, message, isError := strings.Cut(line, " ERROR: ")
		if !isError {
			continue
		}
		head, _, _ := strings.Cut(line, " ERROR: ")
		fields := strings.Fields(head)
		state := fields[len(fields)-1]
		if slices.Contains(expectedRefusals, state) || (state == "23505" && strings.Contains(message, "transfers_key")) {
			continue
		}
		r.found.add("database", "PostgreSQL had to refuse something: %s", line)
	}
	return lines.Err()
}
