package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/embedded"
)

// counters are PostgreSQL's own; the difference of two is what was spent between.
type counters struct {
	hit, read, temp      int64 // buffers, buffers, bytes: of one database
	wal, images, records int64 // bytes, full pages, records: of all databases
	checkpoints          int64
	byBackends           int64 // buffers that a backend had to write before it could have them
}

func (c counters) minus(d counters) counters {
	return counters{c.hit - d.hit, c.read - d.read, c.temp - d.temp, c.wal - d.wal, c.images - d.images, c.records - d.records,
		c.checkpoints - d.checkpoints, c.byBackends - d.byBackends}
}

func (c counters) plus(d counters) counters {
	return counters{c.hit + d.hit, c.read + d.read, c.temp + d.temp, c.wal + d.wal, c.images + d.images, c.records + d.records,
		c.checkpoints + d.checkpoints, c.byBackends + d.byBackends}
}

// each says what one of n transfers took.
func (c counters) each(n int64) string {
	of := func(v int64) float64 { return float64(v) / float64(max(n, 1)) }
	return fmt.Sprintf("each %.1f buffers hit, %.2f read, %.2f written by backends, %.0f bytes of WAL, %.3f full pages; %d checkpoints",
		of(c.hit), of(c.read), of(c.byBackends), of(c.wal), of(c.images), c.checkpoints)
}

// as runs something on a connection of the superuser.
func (b *bench) as(ctx context.Context, database string, use func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, b.pg.URL(database, embedded.AdminRole))
	if err != nil {
		return err
	}
	return errors.Join(use(conn), conn.Close(context.WithoutCancel(ctx)))
}

// counters waits until the sessions of kizo have ended, since they report what they
// did when they end.
func (b *bench) counters(ctx context.Context, database string) (c counters, err error) {
	const (
		others = `SELECT count(*) FROM pg_stat_activity WHERE usename = 'kizo_app'`
		read   = `SELECT d.blks_hit, d.blks_read, d.temp_bytes, w.wal_bytes::bigint, w.wal_fpi, w.wal_records,
				g.checkpoints_timed + g.checkpoints_req, g.buffers_backend
			FROM pg_stat_database d, pg_stat_wal w, pg_stat_bgwriter g WHERE d.datname = $1`
	)
	err = b.as(ctx, "postgres", func(conn *pgx.Conn) error {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for left := 1; left > 0; {
			if err := conn.QueryRow(ctx, others).Scan(&left); err != nil {
				return err
			}
			if left > 0 {
				<-tick.C
			}
		}
		return conn.QueryRow(ctx, read, database).Scan(&c.hit, &c.read, &c.temp, &c.wal, &c.images, &c.records, &c.checkpoints, &c.byBackends)
	})
	return c, err
}

func (b *bench) drop(ctx context.Context, database string) error {
	return b.as(ctx, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `DROP DATABASE `+pgx.Identifier{database}.Sanitize()+` WITH (FORCE)`)
		return err
	})
}

// relation is a table or an index, and what it takes on disk.
type relation struct {
	name  string
	of    string // the table; "" if it is one
	bytes int64
}

// weigh finds what the tables and indexes take on disk.
func (b *bench) weigh(ctx context.Context, s *stage) error {
	const (
		sizes = `SELECT c.relname, COALESCE(t.relname, ''), pg_relation_size(c.oid)
			FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid
			WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i')
				AND COALESCE(t.relname, c.relname) IN ('accounts', 'transfers', 'postings', 'events')
			ORDER BY COALESCE(t.relname, c.relname), t.relname NULLS FIRST, 3 DESC`
		hot = `SELECT COALESCE(n_tup_hot_upd::float8 / NULLIF(n_tup_upd, 0), 1) FROM pg_stat_user_tables WHERE relname = 'accounts'`
	)
	return b.as(ctx, b.books.name, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, sizes)
		if err != nil {
			return err
		}
		s.relations, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r relation, err error) {
			err = row.Scan(&r.name, &r.of, &r.bytes)
			return r, err
		})
		if err != nil {
			return err
		}
		return conn.QueryRow(ctx, hot).Scan(&s.hot)
	})
}
