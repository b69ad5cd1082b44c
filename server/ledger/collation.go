package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrCollation means that the indexes of the database may be in another order than the one in which
// PostgreSQL compares text now.
var ErrCollation = errors.New("the database was indexed by another version of its locale")

// CheckCollation refuses a database that was copied, file by file, to a host whose C
// library or ICU sorts text in another order, or whose host was upgraded to one. A unique
// index may then miss a key that is there, so that an idempotency key has two effects.
// Databases with the locale C have no version, and PostgreSQL 14 does not record one.
func CheckCollation(ctx context.Context, pool *pgxpool.Pool) error {
	const (
		release = `SELECT current_setting('server_version_num')::int`
		changed = `SELECT datname, datcollversion, pg_database_collation_actual_version(oid) FROM pg_database
			WHERE datname = current_database() AND datcollversion <> pg_database_collation_actual_version(oid)`
	)
	var number int
	if err := pool.QueryRow(ctx, release).Scan(&number); err != nil {
		return fmt.Errorf("read the version of PostgreSQL: %w", err)
	}
	if number < 150000 {
		return nil
	}
	var database, then, now string
	switch err := pool.QueryRow(ctx, changed).Scan(&database, &then, &now); {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read the version of the database's locale: %w", err)
	}
	name := pgx.Identifier{database}.Sanitize()
	return fmt.Errorf("%w: %s then, %s now; while no kizod runs, as the owner of the database: REINDEX DATABASE %s; ALTER DATABASE %s REFRESH COLLATION VERSION",
		ErrCollation, then, now, name, name)
}
