package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/ledger"
)

// addRead adds the latencies of one query of the ledger.
func (g *grower) addRead(name string, took []time.Duration) {
	slices.Sort(took)
	l := latencyOf(took)
	g.logf("%-44s p50 %7.2f ms, p99 %7.2f ms", name, l.P50, l.P99)
	g.figures.set(name+", p50 / p99 ms", "%.2f / %.2f", l.P50, l.P99)
}

// measureReads times the reads, one after the other. Nothing is written meanwhile.
func (g *grower) measureReads(ctx context.Context) error {
	if err := g.firstSummary(ctx); err != nil {
		return err
	}
	return g.books.with(ctx, ledger.Config{}, func(l *ledger.Ledger) error {
		r := &reader{grower: g, ledger: l}
		page, err := l.List(ctx, g.books.owners[busyWallet], ledger.Query{Limit: 1})
		if err != nil {
			return err
		}
		newest := page.Transfers[0]
		old := g.started.Add(newest.CreatedAt.Sub(g.started) / 10)
		r.lists(ctx, old)
		r.balances(ctx, old)
		r.statements(ctx, newest.CreatedAt)
		r.time("one transfer and its postings", func() error {
			t, err := l.Find(ctx, g.books.owners[busyWallet], newest.ID)
			if err == nil {
				_, err = l.Postings(ctx, t)
			}
			return err
		})
		r.catchUp(ctx, "busy", g.books.owners[busyWallet], old)
		r.catchUp(ctx, "quiet", g.books.owners[quietWallet], old)
		return r.err
	})
}

// firstSummary times the first summary of a process; each needs a new ledger.
func (g *grower) firstSummary(ctx context.Context) error {
	var took []time.Duration
	for range 3 {
		err := g.books.with(ctx, ledger.Config{}, func(l *ledger.Ledger) error {
			if _, err := l.Wallets(ctx, g.books.owners[quietWallet]); err != nil { // opens a connection
				return err
			}
			began := time.Now()
			_, err := l.Summary(ctx, g.books.owners[busyWallet])
			took = append(took, time.Since(began))
			return err
		})
		if err != nil {
			return err
		}
	}
	g.addRead("summary, busy, first of a process", took)
	return nil
}

// reader times queries until one of them fails.
type reader struct {
	*grower
	ledger *ledger.Ledger
	err    error
}

func (r *reader) time(name string, query func() error) { r.timeTimes(reads, name, query) }

func (r *reader) timeTimes(times int, name string, query func() error) {
	var took []time.Duration
	for n := 0; n < times && r.err == nil; n++ {
		began := time.Now()
		if err := query(); err != nil {
			r.err = fmt.Errorf("%s: %w", name, err)
		}
		took = append(took, time.Since(began))
	}
	if r.err == nil {
		r.addRead(name, took)
	}
}

func (r *reader) lists(ctx context.Context, old time.Time) {
	busy, quiet := r.books.owners[busyWallet], r.books.owners[quietWallet]
	deep, err := r.ledger.List(ctx, busy, ledger.Query{Until: old})
	r.err = err
	for _, list := range []struct {
		name  string
		user  ledger.UserID
		query ledger.Query
	}{
		{"history, busy, first page of 20", busy, ledger.Query{}},
		{"history, busy, page of 20 deep in it", busy, ledger.Query{Cursor: deep.Next}},
		{"history, busy, first page of 100", busy, ledger.Query{Limit: 100}},
		{"history, quiet, first page of 20", quiet, ledger.Query{}},
		{"history, busy, filtered, plenty found", busy, ledger.Query{Direction: "in", State: ledger.Posted, MaxAmount: 10}},
		{"history, busy, one counterparty", busy, ledger.Query{With: r.books.owners[len(r.books.owners)/2]}},
		{"history, busy, filtered, nothing found", busy, ledger.Query{Memo: "no such memo"}},
		{"history, quiet, filtered, nothing found", quiet, ledger.Query{Memo: "no such memo"}},
	} {
		r.time(list.name, func() error {
			_, err := r.ledger.List(ctx, list.user, list.query)
			return err
		})
	}
}

func (r *reader) balances(ctx context.Context, old time.Time) {
	busy, quiet := r.books.owners[busyWallet], r.books.owners[quietWallet]
	for _, balance := range []struct {
		name string
		user ledger.UserID
		at   time.Time
	}{
		{"balance as of now, busy", busy, time.Time{}},
		{"balance as of now, quiet", quiet, time.Time{}},
		{"balance as of a tenth of the history, busy", busy, old},
		{"balance before the first transfer, busy", busy, r.started.Add(-time.Hour)},
	} {
		r.time(balance.name, func() error {
			_, _, err := r.ledger.BalanceAt(ctx, balance.user, "USD", balance.at)
			return err
		})
	}
	r.summary(ctx, "summary, busy, again", busy)
	r.summary(ctx, "summary, quiet", quiet)
}

func (r *reader) summary(ctx context.Context, name string, user ledger.UserID) {
	r.time(name, func() error {
		_, err := r.ledger.Summary(ctx, user)
		return err
	})
}

// statements times the statement of a month, whose totals read every posting of it.
func (r *reader) statements(ctx context.Context, month time.Time) {
	busy := r.books.owners[busyWallet]
	first, err := r.ledger.Statement(ctx, busy, ledger.StatementQuery{Currency: "USD", Month: month})
	r.err = errors.Join(r.err, err)
	for _, page := range []struct {
		name  string
		times int
		query ledger.StatementQuery
	}{
		{"statement, busy, first page of 500", reads, ledger.StatementQuery{Limit: ledger.MaxStatementPage}},
		{"statement, busy, a later page of 500", reads, ledger.StatementQuery{Limit: ledger.MaxStatementPage, Cursor: first.Next}},
		{"statement, busy, a page and the totals of the month", slowReads, ledger.StatementQuery{Totals: ledger.MaxStatementTotals}},
	} {
		page.query.Currency, page.query.Month = "USD", month
		r.timeTimes(page.times, page.name, func() error {
			_, err := r.ledger.Statement(ctx, busy, page.query)
			return err
		})
	}
}

// catchUp is what a client of the events reads that was disconnected since old.
func (r *reader) catchUp(ctx context.Context, name string, user ledger.UserID, old time.Time) {
	r.time("100 events since then, "+name, func() error {
		at, err := r.ledger.PositionAt(ctx, old)
		if err != nil {
			return err
		}
		end, err := r.ledger.Horizon(ctx)
		if err == nil {
			_, _, _, err = r.ledger.EventsOf(ctx, user, at, end, 100)
		}
		return err
	})
}

// counters are PostgreSQL's own; the difference of two is what was used between them.
type counters struct {
	Hit, Read, Temp int64 // buffers, buffers, bytes: of one database
	WAL, Images     int64 // bytes, full pages: of all databases
	Checkpoints     int64
	ByBackends      int64 // buffers that a backend had to write before it could use them
}

func (c counters) plus(d counters, sign int64) counters {
	return counters{c.Hit + sign*d.Hit, c.Read + sign*d.Read, c.Temp + sign*d.Temp, c.WAL + sign*d.WAL, c.Images + sign*d.Images,
		c.Checkpoints + sign*d.Checkpoints, c.ByBackends + sign*d.ByBackends}
}

// asAdmin opens a connection of the superuser.
func (b *bench) asAdmin(ctx context.Context, database string, use func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, b.rig.DatabaseURL(database, embedded.AdminRole))
	if err != nil {
		return err
	}
	return errors.Join(use(conn), conn.Close(context.WithoutCancel(ctx)))
}

// counters waits until the sessions of the ledger have ended, since they report what
// they used when they end.
func (b *bench) counters(ctx context.Context, database string) (c counters, err error) {
	const (
		sessions = `SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'kizo_app' AND application_name <> '` + rig.ApplicationName + `'`
		read     = `SELECT d.blks_hit, d.blks_read, d.temp_bytes, w.wal_bytes::bigint, w.wal_fpi,
				g.checkpoints_timed + g.checkpoints_req, g.buffers_backend
			FROM pg_stat_database d, pg_stat_wal w, pg_stat_bgwriter g WHERE d.datname = $1`
	)
	err = b.asAdmin(ctx, "postgres", func(conn *pgx.Conn) error {
		ended := func() (ok bool, err error) {
			err = conn.QueryRow(ctx, sessions).Scan(&ok)
			return ok, err
		}
		if err := rig.Poll(ctx, 10*time.Millisecond, ended); err != nil {
			return err
		}
		return conn.QueryRow(ctx, read, database).Scan(&c.Hit, &c.Read, &c.Temp, &c.WAL, &c.Images, &c.Checkpoints, &c.ByBackends)
	})
	return c, err
}

// weigh reads the sizes of tables and indexes on disk.
func (g *grower) weigh(ctx context.Context) error {
	const (
		sizes = `SELECT CASE WHEN t.relname IS NULL THEN '' ELSE '· ' END || c.relname, pg_relation_size(c.oid)
			FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid
			WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i')
				AND COALESCE(t.relname, c.relname) IN ('accounts', 'transfers', 'postings', 'events')
			ORDER BY COALESCE(t.relname, c.relname), t.relname NULLS FIRST, 2 DESC`
		hot = `SELECT COALESCE(n_tup_hot_upd::float8 / NULLIF(n_tup_upd, 0), 1) FROM pg_stat_user_tables WHERE relname = 'accounts'`
	)
	g.disk.Header = append(g.disk.Header, fmt.Sprint(g.audited))
	return g.asAdmin(ctx, g.books.name, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, sizes)
		if err != nil {
			return err
		}
		var name string
		var bytes int64
		_, err = pgx.ForEachRow(rows, []any{&name, &bytes}, func() error {
			g.disk.set(name, "%d (%.0f)", bytes>>20, float64(bytes)/float64(g.audited))
			return nil
		})
		if err != nil {
			return err
		}
		var share float64 // of updates of accounts that changed no index
		err = conn.QueryRow(ctx, hot).Scan(&share)
		g.figures.set("HOT updates of accounts", "%.1f %%", 100*share)
		return err
	})
}
