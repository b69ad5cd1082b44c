package migrations

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// revokeTemporaryTables revokes the right to create temporary tables from PUBLIC and from the
// application's role. The right belongs to the database and not to its tables: a restored dump does
// not contain it, so that a migration cannot revoke it permanently.
//
// The statement first checks whether the right exists, and an advisory lock lets one process at a
// time revoke it: two concurrent changes of one row of pg_database are an error. If the role does
// not own the database, PostgreSQL only warns, and the function returns a MissingRightError.
func revokeTemporaryTables(ctx context.Context, db *sql.DB) error {
	const revoke = `DO $$
		BEGIN
			PERFORM pg_advisory_xact_lock(hashtextextended('kizo: revoke temporary tables', 0));
			IF EXISTS (SELECT FROM pg_database d, aclexplode(COALESCE(d.datacl, acldefault('d', d.datdba))) a
			            WHERE d.datname = current_database() AND a.privilege_type = 'TEMPORARY'
			              AND a.grantee IN (0, 'kizo_app'::regrole)) THEN
				EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC, kizo_app', current_database());
			END IF;
		END $$`
	const ask = `SELECT current_database(), current_user, has_database_privilege('kizo_app', current_database(), 'TEMPORARY')`
	if _, err := db.ExecContext(ctx, revoke); err != nil {
		return fmt.Errorf("revoke the right to create temporary tables: %w", err)
	}
	var (
		database, role string
		still          bool
	)
	if err := db.QueryRowContext(ctx, ask).Scan(&database, &role, &still); err != nil {
		return fmt.Errorf("read the rights of kizo_app: %w", err)
	}
	if still {
		return &MissingRightError{
			Lacks:     fmt.Sprintf("kizo_app may create temporary tables in %q, which %q does not own", database, role),
			Statement: "REVOKE TEMPORARY ON DATABASE " + pgx.Identifier{database}.Sanitize() + " FROM PUBLIC, kizo_app;",
		}
	}
	return nil
}
