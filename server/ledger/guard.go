package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNotDurable means that the database may lose committed transactions in a crash.
var ErrNotDurable = errors.New("the database may lose committed transactions")

// ErrTooPowerful means that the role could change what must never change.
var ErrTooPowerful = errors.New("the database role may rewrite the books")

// CheckDurable fails with ErrNotDurable if the settings of the database allow it to lose commits.
func CheckDurable(ctx context.Context, pool *pgxpool.Pool) error {
	const settings = `SELECT string_agg(name || ' = ' || setting, ', ' ORDER BY name) FROM pg_settings
		WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'`
	var off *string
	if err := pool.QueryRow(ctx, settings).Scan(&off); err != nil {
		return fmt.Errorf("read the database's settings: %w", err)
	}
	if off != nil {
		return fmt.Errorf("%w: %s; turn it on in postgresql.conf", ErrNotDurable, *off)
	}
	return nil
}

// tooPowerful selects each privilege that the application's role must not have, in words that
// complete "the role …".
//
// A role that may create objects can make them shadow a table, an operator or a function that the
// ledger reads, in any schema, since a session can set its search_path. The triggers set their own
// search_path; this check is a second protection.
const tooPowerful = `SELECT current_user, array_remove(ARRAY[
		CASE WHEN pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = 'postings'::regclass), 'MEMBER')
			THEN 'owns the tables' END,
		CASE WHEN (SELECT rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = current_user)
			THEN 'may create roles or databases, replicate, or bypass row security' END,
		(SELECT 'may change ' || string_agg(c.relname, ', ' ORDER BY c.relname) FROM pg_class c
			WHERE c.oid = ANY (ARRAY['postings', 'events', 'account_checkpoints', 'operator_actions', 'discrepancies', 'payment_log']::regclass[])
				AND (has_any_column_privilege(c.oid, 'UPDATE') OR has_table_privilege(c.oid, 'DELETE, TRUNCATE'))),
		(SELECT 'may empty ' || string_agg(c.relname, ', ' ORDER BY c.relname) FROM pg_class c
			WHERE c.oid = ANY (ARRAY['transfers', 'accounts', 'payments', 'account_holds', 'account_owners']::regclass[])
				AND has_table_privilege(c.oid, 'DELETE, TRUNCATE')),
		(SELECT 'may add triggers to ' || string_agg(c.relname, ', ' ORDER BY c.relname) FROM pg_class c
			WHERE c.relkind IN ('r', 'p') AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'postings'::regclass)
				AND has_table_privilege(c.oid, 'TRIGGER')),
		CASE WHEN has_any_column_privilege('users', 'UPDATE') AND has_column_privilege('users', 'role', 'UPDATE')
			THEN 'may make operators' END,
		CASE WHEN has_database_privilege(current_database(), 'TEMPORARY') THEN 'may create temporary tables'
			|| format(' (REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC, %I)', current_database(), current_user) END,
		CASE WHEN has_database_privilege(current_database(), 'CREATE') THEN 'may create schemas'
			|| format(' (REVOKE CREATE ON DATABASE %I FROM PUBLIC, %I)', current_database(), current_user) END,
		(SELECT 'may create objects in ' || string_agg(n.nspname, ', ' ORDER BY n.nspname)
				|| format(' (REVOKE CREATE ON SCHEMA %s FROM PUBLIC, %I)', string_agg(quote_ident(n.nspname), ', ' ORDER BY n.nspname), current_user)
			FROM pg_namespace n WHERE n.nspname !~ '^pg_(toast_)?temp_' AND has_schema_privilege(n.oid, 'CREATE')),
		(SELECT 'does not see ' || string_agg(c.relname, ', ' ORDER BY c.relname) || ', but another table of that name'
			FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT pg_table_is_visible(c.oid)
				AND c.relnamespace IN (SELECT p.pronamespace FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
					WHERE t.tgname = 'accounts_posted'))
	], NULL)`

// CheckRole fails with ErrTooPowerful if the role of the pool owns the tables, may change
// append-only tables, or may create objects that could shadow a table or an operator. Otherwise the
// database could not enforce its rules against the application.
func CheckRole(ctx context.Context, pool *pgxpool.Pool) error {
	var (
		role      string
		superuser bool
		why       []string
	)
	if err := pool.QueryRow(ctx, `SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&role, &superuser); err != nil {
		return fmt.Errorf("read the role: %w", err)
	}
	if superuser { // a list of privileges would contain all of them
		why = []string{"is superuser"}
	} else if err := pool.QueryRow(ctx, tooPowerful).Scan(&role, &why); err != nil {
		return fmt.Errorf("read the role's privileges: %w", err)
	}
	if len(why) > 0 {
		advice := "connect as kizo_app"
		if role == "kizo_app" {
			advice = "revoke that as the owner of the database"
		}
		return fmt.Errorf("%w: %q %s; %s", ErrTooPowerful, role, strings.Join(why, ", "), advice)
	}
	return nil
}
