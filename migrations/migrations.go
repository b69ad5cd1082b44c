// Package migrations contains the schema of Kizo: the SQL files of this directory, which are
// embedded, and run in the order of their numbers.
//
//	kizod migrate ─┐
//	kizod dev ─────┴─► Apply, as the owner of the tables ─► 0001_ledger.sql, 0002_…
//	                                                         └─► grants to kizo_app
//
// Only the owner of the tables runs migrations, never the role kizo_app, as which the server
// connects. The package imports no other package of the server than failpoint and pgerr.
//
// # Rules for a new migration
//
// A migration runs on a database that is in use, while kizod processes of the previous version are
// running. lint_test.go refuses a migration that breaks one of these rules:
//
//   - It states its phase: "-- Phase: expand" adds what the previous version does not know
//     and can ignore. "-- Phase: contract of 0017" removes, renames or tightens what no
//     version has used since 0017, in a later release than 0017.
//   - Its first statement is SET LOCAL lock_timeout = '5s', or shorter. A statement that
//     waits for a lock makes all other sessions wait behind it; Apply retries it instead.
//   - Indexes of existing tables are built and dropped CONCURRENTLY, in a file with
//     "-- +goose NO TRANSACTION" that does nothing else, and after DROP INDEX
//     CONCURRENTLY IF EXISTS, so that the file can be run again.
//   - Constraints of existing tables are added NOT VALID, and validated in the next
//     migration. A new column has no constraint that reads the table, and no default
//     that rewrites it.
//   - A CHECK is replaced by a wider one under "-- Wider: NAME", in one migration: the previous
//     version writes only rows that fit both.
//   - Existing rows are changed by kizod in small steps, or under "-- Few rows:" with
//     the reason why there are few.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // goose uses database/sql
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/pgerr"
)

//go:embed *.sql
var files embed.FS

// Apply migrates the database at url, which the role of url must own, to the newest schema, and
// revokes the right to create temporary tables from the application's role. It does nothing on a
// current database. Several processes may call it concurrently: an advisory lock lets one work
// while the others wait for up to five minutes. If the role lacks a right that it needs, the error
// is a [MissingRightError].
func Apply(ctx context.Context, url string) (err error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return fmt.Errorf("open database for migrations: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := checkOwner(ctx, db); err != nil {
		return err
	}
	if err := refuseNewer(ctx, db); err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // every second, for five minutes
	if err != nil {
		return fmt.Errorf("make migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if err := failpoint.Point("migrate.locked"); err != nil {
		return err
	}
	if err := up(ctx, provider); err != nil {
		return fmt.Errorf("apply migrations: %w", err)
	}
	if err := revokeTemporaryTables(ctx, db); err != nil {
		return err
	}
	_ = failpoint.Point("migrate.applied")
	return nil
}

// Limits of the attempts to lock tables that other sessions have locked.
const (
	lockAttempts = 30
	lockPause    = time.Second
)

// up applies the missing migrations. A migration that could not lock a table within its
// lock_timeout is run again after a pause, in which other sessions can use the table.
func up(ctx context.Context, provider *goose.Provider) error {
	pause := time.NewTicker(lockPause)
	defer pause.Stop()
	for attempt := 1; ; attempt++ {
		_, err := provider.Up(ctx)
		if !pgerr.IsLocked(err) {
			return err
		}
		if attempt == lockAttempts {
			return fmt.Errorf("other sessions hold locks on the tables (see pg_locks), and waiting for them would stop all payments; run it again when they have ended: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// refuseNewer returns an error where a newer kizod has migrated the database: goose would
// find nothing to do and call that success.
func refuseNewer(ctx context.Context, db *sql.DB) error {
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&exists); err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if !exists {
		return nil
	}
	var have int64
	if err := db.QueryRowContext(ctx, sqlSchema).Scan(&have); err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	newest, err := Newest()
	if err == nil && have > newest {
		err = newerSchema(have, newest)
	}
	return err
}

const sqlSchema = `SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied`

func newerSchema(have, known int64) error {
	return fmt.Errorf("the database has schema %d, this kizod knows %d at most: run a newer kizod", have, known)
}

// Newest is the version of the schema that this program was written for.
func Newest() (int64, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	return goose.NumericComponent(entries[len(entries)-1].Name())
}

// Check tells whether the database has the newest schema, and what to type if not.
func Check(ctx context.Context, pool *pgxpool.Pool) error {
	have, want, err := schemas(ctx, pool)
	switch {
	case err != nil:
		return err
	case have < want:
		return fmt.Errorf("the database has schema %d, this kizod needs %d: run `kizod migrate`", have, want)
	case have > want:
		return newerSchema(have, want)
	}
	return nil
}

// CheckNotNewer is Check for a command that also works on an older schema.
func CheckNotNewer(ctx context.Context, pool *pgxpool.Pool) error {
	have, known, err := schemas(ctx, pool)
	if err == nil && have > known {
		err = newerSchema(have, known)
	}
	return err
}

// schemas are the versions that the database has and that this program knows.
func schemas(ctx context.Context, pool *pgxpool.Pool) (have, newest int64, err error) {
	if newest, err = Newest(); err != nil {
		return 0, 0, err
	}
	err = pool.QueryRow(ctx, sqlSchema).Scan(&have)
	if pgerr.IsUndefinedTable(err) {
		return 0, 0, fmt.Errorf("read the schema's version (has `kizod migrate` been run?): %w", err)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return have, newest, nil
}
