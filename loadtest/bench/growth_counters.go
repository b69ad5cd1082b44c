package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/embedded"
)

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
		ended := func() (ok bool, err error) { return ok, conn.QueryRow(ctx, sessions).Scan(&ok) }
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
