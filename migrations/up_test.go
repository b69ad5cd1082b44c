package migrations

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, nil) }

// TestMigrationRetriesLock: while a session keeps a table locked, a migration stops waiting after
// its lock_timeout, so that other sessions can use the table, and succeeds after the lock is
// released.
func TestMigrationRetriesLock(t *testing.T) {
	t.Parallel()
	pg := pgtest.Empty(t)
	db, err := sql.Open("pgx", pg.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE busy (id int)`); err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, fstest.MapFS{"0001_busy.sql": {Data: []byte(
		"-- +goose Up\n-- Phase: expand\nSET LOCAL lock_timeout = '200ms';\nALTER TABLE busy ADD COLUMN note text;")}})
	if err != nil {
		t.Fatal(err)
	}
	holder, other := connect(t, pg.AdminURL), connect(t, pg.AdminURL)
	tx, err := holder.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO busy VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	migrated := make(chan error, 1)
	go func() { migrated <- up(t.Context(), provider) }()
	// Another session can write after the migration has stopped waiting for the lock.
	waits := `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'busy'::regclass`
	for seen := 0; seen == 0; time.Sleep(5 * time.Millisecond) {
		if err := other.QueryRow(t.Context(), waits).Scan(&seen); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.Exec(t.Context(), `SET statement_timeout = '1min'; INSERT INTO busy VALUES (2)`); err != nil {
		t.Errorf("another session cannot write: %v", err)
	}
	select {
	case err := <-migrated:
		t.Fatalf("the migration ended while the table was locked: %v", err)
	default:
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; err != nil {
		t.Error(err)
	}
}

// TestFailedIndexBuildIsRepeated: a migration that builds an index concurrently can be run again
// after it has failed.
func TestFailedIndexBuildIsRepeated(t *testing.T) {
	t.Parallel()
	pg := pgtest.Empty(t)
	db, err := sql.Open("pgx", pg.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn := connect(t, pg.AdminURL)
	if _, err := conn.Exec(t.Context(), `CREATE TABLE twice (id int); INSERT INTO twice VALUES (1), (1)`); err != nil {
		t.Fatal(err)
	}
	const text = "-- +goose NO TRANSACTION\n-- +goose Up\n-- Phase: expand\nSET lock_timeout = '1min';\n" +
		"DROP INDEX CONCURRENTLY IF EXISTS twice_id;\nCREATE UNIQUE INDEX CONCURRENTLY twice_id ON twice (id);"
	if problems := parseMigration(18, text).lint(nil); len(problems) != 0 {
		t.Fatalf("the linter reports %q", problems)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, fstest.MapFS{"0001_twice.sql": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := up(t.Context(), provider); err == nil || !strings.Contains(err.Error(), "23505") {
		t.Fatalf("the first run: %v", err)
	}
	if _, err := conn.Exec(t.Context(), `DELETE FROM twice`); err != nil {
		t.Fatal(err)
	}
	if err := up(t.Context(), provider); err != nil {
		t.Errorf("the second run: %v", err)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
