// Package migrations holds Kizo's schema: the SQL files beside this one, embedded,
// in the order of their numbers.
//
// They are run by the owner of the tables, never by the role that the
// application connects with: `kizod migrate` and `kizod dev` call Apply.
//
// # Rules for a new migration
//
// It runs on a database that people pay with, beside kizods of the version before it.
// lint_test.go refuses what breaks one of these rules:
//
//   - It says which phase it is: "-- Phase: expand" adds what the version before it does
//     not know and can ignore. "-- Phase: contract of 0017" removes, renames or tightens
//     what no version uses any more since 0017, in a later release than 0017.
//   - Its first statement is SET LOCAL lock_timeout = '5s', or shorter. A statement that
//     waits for a lock makes all other sessions wait behind it; Apply tries again instead.
//   - Indexes of existing tables are built and dropped CONCURRENTLY, in a file with
//     "-- +goose NO TRANSACTION" that does nothing else, and after DROP INDEX
//     CONCURRENTLY IF EXISTS, so that the file can be run again.
//   - Constraints of existing tables are added NOT VALID, and validated in the next
//     migration. A new column has no constraint that reads the table, and no default
//     that rewrites it.
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
	_ "github.com/jackc/pgx/v5/stdlib" // goose speaks database/sql
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/pgerr"
)

//go:embed *.sql
var files embed.FS

// Apply brings the database at url, whose role must own it, to the newest
// schema, and takes the right to create temporary tables from the application's role. It is safe to
// run from several processes at once (an advisory lock lets one work while the others wait), and
// does nothing on a current one. Where the role lacks a right that it needs, the error is a
// [MissingRightError].
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

// Bounds of waiting for locks that other sessions hold on the tables.
const (
	lockAttempts = 30
	lockPause    = time.Second
)

// up applies what is missing. A migration that could not lock a table within its
// lock_timeout is run again after a pause in which the others go on.
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
