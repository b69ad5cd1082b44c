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
	hit, read, temp int64 // buffers, buffers, bytes: of one database
	wal, images     int64 // bytes, full pages: of all databases
	checkpoints     int64
	byBackends      int64 // buffers that a backend had to write before it could use them
}

func (c counters) plus(d counters, sign int64) counters {
	return counters{c.hit + sign*d.hit, c.read + sign*d.read, c.temp + sign*d.temp, c.wal + sign*d.wal, c.images + sign*d.images,
		c.checkpoints + sign*d.checkpoints, c.byBackends + sign*d.byBackends}
}

// each is what one of n transfers used.
func (c counters) each(n int64) string {
	of := func(v int64) float64 { return float64(v) / float64(max(n, 1)) }
	return fmt.Sprintf("each %.1f buffers hit, %.2f read, %.2f written by backends, %.0f bytes of WAL, %.3f full pages; %d checkpoints",
		of(c.hit), of(c.read), of(c.byBackends), of(c.wal), of(c.images), c.checkpoints)
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
		sessions = `SELECT count(*) FROM pg_stat_activity WHERE usename = 'kizo_app' AND application_name <> '` + rig.ApplicationName + `'`
		read     = `SELECT d.blks_hit, d.blks_read, d.temp_bytes, w.wal_bytes::bigint, w.wal_fpi,
				g.checkpoints_timed + g.checkpoints_req, g.buffers_backend
			FROM pg_stat_database d, pg_stat_wal w, pg_stat_bgwriter g WHERE d.datname = $1`
	)
	err = b.asAdmin(ctx, "postgres", func(conn *pgx.Conn) error {
		for left := 1; left > 0; {
			if err := conn.QueryRow(ctx, sessions).Scan(&left); err != nil {
				return err
			}
			if left > 0 {
				rig.Pause(ctx, 10*time.Millisecond)
			}
		}
		return conn.QueryRow(ctx, read, database).Scan(&c.hit, &c.read, &c.temp, &c.wal, &c.images, &c.checkpoints, &c.byBackends)
	})
	return c, err
}

func (b *bench) drop(ctx context.Context, database string) error {
	return b.asAdmin(ctx, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `DROP DATABASE `+pgx.Identifier{database}.Sanitize()+` WITH (FORCE)`)
		return err
	})
}

// relation is a table or an index, and its size on disk.
type relation struct {
	name  string
	table string // of an index; "" for a table
	bytes int64
}

// weigh reads the sizes of tables and indexes on disk.
func (g *grower) weigh(ctx context.Context, s *stage) error {
	const (
		sizes = `SELECT c.relname, COALESCE(t.relname, ''), pg_relation_size(c.oid)
			FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid
			WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i')
				AND COALESCE(t.relname, c.relname) IN ('accounts', 'transfers', 'postings', 'events')
			ORDER BY COALESCE(t.relname, c.relname), t.relname NULLS FIRST, 3 DESC`
		hot = `SELECT COALESCE(n_tup_hot_upd::float8 / NULLIF(n_tup_upd, 0), 1) FROM pg_stat_user_tables WHERE relname = 'accounts'`
	)
	return g.asAdmin(ctx, g.books.name, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, sizes)
		if err != nil {
			return err
		}
		s.relations, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r relation, err error) {
			err = row.Scan(&r.name, &r.table, &r.bytes)
			return r, err
		})
		if err != nil {
			return err
		}
		return conn.QueryRow(ctx, hot).Scan(&s.hot)
	})
}
