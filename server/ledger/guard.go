package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNotDurable is why a database is refused that may forget what it has
// committed.
var ErrNotDurable = errors.New("the database may forget committed money")

// ErrTooPowerful is why a role is refused that could rewrite history.
var ErrTooPowerful = errors.New("the database role may rewrite the books")

// CheckDurable refuses a database that is set to lose commits in a crash.
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

// CheckRole refuses to work as a role that owns the tables or may change
// postings: what the database enforces must hold for us as well.
func CheckRole(ctx context.Context, pool *pgxpool.Pool) error {
	const powers = `SELECT current_user,
			(SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
			pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = 'postings'::regclass), 'MEMBER'),
			has_table_privilege('postings', 'UPDATE') OR has_table_privilege('postings', 'DELETE')`
	var (
		role                     string
		superuser, owner, change bool
	)
	if err := pool.QueryRow(ctx, powers).Scan(&role, &superuser, &owner, &change); err != nil {
		return fmt.Errorf("read the role's privileges: %w", err)
	}
	var why []string
	for reason, so := range map[string]bool{"is superuser": superuser, "owns the tables": owner, "may change postings": change} {
		if so {
			why = append(why, reason)
		}
	}
	if len(why) > 0 {
		return fmt.Errorf("%w: %q %s; connect as kizo_app", ErrTooPowerful, role, strings.Join(why, ", "))
	}
	return nil
}
