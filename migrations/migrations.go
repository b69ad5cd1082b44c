// Package migrations holds Kizo's schema: the SQL files beside this one, embedded,
// in the order of their numbers.
//
// They are run by the owner of the tables, never by the role that the
// application connects with: `kizod migrate` and `kizod dev` call Apply.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // goose speaks database/sql
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/JDevAman/kizo/server/fault"
)

//go:embed *.sql
var files embed.FS

// Apply brings the database at url, whose role must own it, to the newest
// schema. It is safe to run from several processes at once (an advisory lock
// lets one work while the others wait), and does nothing on a current one.
// Where the role lacks a right that it needs, the error is a [MissingRightError].
func Apply(ctx context.Context, url string) (err error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return fmt.Errorf("open database for migrations: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := checkOwner(ctx, db); err != nil {
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
	if err := fault.Point("migrate.locked"); err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("apply migrations: %w", err)
	}
	_ = fault.Point("migrate.applied")
	return nil
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
	const version = `SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied`
	want, err := Newest()
	if err != nil {
		return err
	}
	var have int64
	if err := pool.QueryRow(ctx, version).Scan(&have); err != nil {
		return fmt.Errorf("read the schema's version (has `kizod migrate` been run?): %w", err)
	}
	switch {
	case have < want:
		return fmt.Errorf("the database has schema %d, this kizod needs %d: run `kizod migrate`", have, want)
	case have > want:
		return fmt.Errorf("the database has schema %d, this kizod knows %d at most: run a newer kizod", have, want)
	}
	return nil
}
