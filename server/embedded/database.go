package embedded

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The roles of a cluster. They have no passwords: a process that can open the socket's directory,
// which is private, may connect as any of them.
const (
	AdminRole = "kizo_admin" // superuser; creates roles and databases
	OwnerRole = "kizo_owner" // owns the database; runs the migrations
	AppRole   = "kizo_app"   // the role of kizod; has the privileges that the migrations grant
)

// ensured is a statement, and a query that returns whether it is still needed. Without the query,
// each start would log "already exists" errors.
type ensured struct{ missing, statement string }

var roles = []ensured{
	{`SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kizo_owner')`, `CREATE ROLE kizo_owner LOGIN CREATEROLE`},
	{`SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kizo_app')`, `CREATE ROLE kizo_app LOGIN`},
	// Since version 16, CREATEROLE alone may not alter a role that another role created.
	{`SELECT NOT pg_has_role('kizo_owner', 'kizo_app', 'MEMBER WITH ADMIN OPTION')`, `GRANT kizo_app TO kizo_owner WITH ADMIN OPTION`},
}

// EnsureDatabase creates the roles and the database if they do not exist. It may be called again,
// and concurrently.
func (p *Postgres) EnsureDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres", AdminRole))
	if err != nil {
		return fmt.Errorf("make the database %s: %w", name, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) // which releases the lock
	// The lock is needed since concurrent changes of a row of the catalog are an error.
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended('kizo: make database', 0))`); err != nil {
		return fmt.Errorf("make the database %s: %w", name, err)
	}
	for _, e := range roles {
		if err := e.run(ctx, conn); err != nil {
			return fmt.Errorf("make the roles: %w", err)
		}
	}
	database := ensured{
		`SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = $1)`,
		`CREATE DATABASE ` + pgx.Identifier{name}.Sanitize() + ` OWNER kizo_owner`,
	}
	if err := database.run(ctx, conn, name); err != nil {
		return fmt.Errorf("make the database %s: %w", name, err)
	}
	if err := p.closeSchema(ctx, name); err != nil {
		return fmt.Errorf("prepare the database %s: %w", name, err)
	}
	return nil
}

func (e ensured) run(ctx context.Context, conn *pgx.Conn, args ...any) error {
	var missing bool
	if err := conn.QueryRow(ctx, e.missing, args...).Scan(&missing); err != nil || !missing {
		return err
	}
	if _, err := conn.Exec(ctx, e.statement); err != nil {
		return fmt.Errorf("%s: %w", e.statement, err)
	}
	return nil
}

// closeSchema gives the schema public the privileges that it has since PostgreSQL 15: only the
// owner of the database may create tables in it.
func (p *Postgres) closeSchema(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.URL(name, AdminRole))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, `ALTER SCHEMA public OWNER TO kizo_owner; REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	return err
}
