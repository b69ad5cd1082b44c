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
	"io/fs"

	_ "github.com/jackc/pgx/v5/stdlib" // goose speaks database/sql
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed *.sql
var files embed.FS

// Apply brings the database at url, whose role must own it, to the newest
// schema. It is safe to run from several processes at once (an advisory lock
// lets one work while the others wait), and does nothing on a current one.
func Apply(ctx context.Context, url string) (err error) {
	provider, db, err := open(url, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("apply migrations: %w", err)
	}
	return nil
}

// Version returns the schema's version in the database at url and the newest
// that this program knows.
func Version(ctx context.Context, url string) (have, want int64, err error) {
	provider, db, err := open(url, false)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	have, want, err = provider.GetVersions(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return have, want, nil
}

func open(url string, locked bool) (*goose.Provider, *sql.DB, error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return nil, nil, fmt.Errorf("open database for migrations: %w", err)
	}
	var options []goose.ProviderOption
	if locked {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("make migration lock: %w", err), db.Close())
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	sqlFiles, err := fs.Sub(files, ".")
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, sqlFiles, options...)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read migrations: %w", err), db.Close())
	}
	return provider, db, nil
}
