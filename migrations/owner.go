package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// MissingRightError says that the role which runs the migrations lacks a right, and
// which statement gives it.
type MissingRightError struct {
	Lacks     string // what the role cannot do, or what does not exist
	Statement string // SQL that a superuser runs once
}

func (e *MissingRightError) Error() string {
	return fmt.Sprintf("%s; run this as a superuser of PostgreSQL, then `kizod migrate` again:\n%s", e.Lacks, e.Statement)
}

// owner describes the role that runs the migrations, and its database.
type owner struct {
	role, database   string
	mayCreateRoles   bool
	appRole          bool // kizo_app exists
	schemaIsDatabase bool // the owner of the database owns the schema public (PostgreSQL 15 and newer)
	mayCreateTables  bool // in the schema public
	encoding         string
	tablesOf         string // the owner of the tables; "" if there are none
	ownsTables       bool
}

// CheckOwner checks whether the role of url may change the tables of the database. It returns the
// error that [Apply] would return before its first statement.
func CheckOwner(ctx context.Context, url string) (err error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return checkOwner(ctx, db)
}

// checkOwner returns a MissingRightError if the role cannot run all migrations. Otherwise the first
// refused statement would fail with an error of PostgreSQL, which does not say what to do.
func checkOwner(ctx context.Context, db *sql.DB) error {
	const ask = `SELECT current_user, current_database(),
		(SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user),
		EXISTS (SELECT FROM pg_roles WHERE rolname = 'kizo_app'),
		getdatabaseencoding(),
		COALESCE((SELECT pg_get_userbyid(nspowner) = 'pg_database_owner' FROM pg_namespace WHERE nspname = 'public'), false),
		COALESCE((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = 'public'), false),
		COALESCE((SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('public.goose_db_version')), ''),
		COALESCE((SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('public.goose_db_version')), true)`
	var o owner
	if err := db.QueryRowContext(ctx, ask).Scan(&o.role, &o.database, &o.mayCreateRoles, &o.appRole, &o.encoding,
		&o.schemaIsDatabase, &o.mayCreateTables, &o.tablesOf, &o.ownsTables); err != nil {
		return fmt.Errorf("read the rights of the role: %w", err)
	}
	return o.check()
}

func (o owner) check() error {
	role, database := pgx.Identifier{o.role}.Sanitize(), pgx.Identifier{o.database}.Sanitize()
	switch {
	case o.role == "kizo_app":
		return errors.New("only the owner of the tables may change them, not kizo_app: put the owner's role into $KIZO_MIGRATE_URL")
	case !o.ownsTables:
		return fmt.Errorf("the tables belong to %q, not to %q: put that role into $KIZO_MIGRATE_URL", o.tablesOf, o.role)
	case o.tablesOf == "" && o.encoding != "UTF8":
		return &MissingRightError{
			fmt.Sprintf("the database %q has the encoding %s, and names and memos need UTF8; drop it if it holds nothing, or take another name", o.database, o.encoding),
			"CREATE DATABASE " + database + " OWNER " + role + " TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';",
		}
	case !o.appRole && !o.mayCreateRoles:
		return &MissingRightError{
			fmt.Sprintf("the role kizo_app does not exist, and %q may not create it", o.role),
			`CREATE ROLE kizo_app LOGIN PASSWORD 'choose-a-password';`,
		}
	case !o.mayCreateTables && o.schemaIsDatabase:
		return &MissingRightError{
			fmt.Sprintf("%q does not own the database %q, and may not create tables in it", o.role, o.database),
			"ALTER DATABASE " + database + " OWNER TO " + role + ";",
		}
	case !o.mayCreateTables:
		return &MissingRightError{
			fmt.Sprintf("%q may not create tables in the schema public", o.role),
			"GRANT CREATE ON SCHEMA public TO " + role + ";",
		}
	}
	return nil
}
