package embedded

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The roles of a cluster. The socket's directory is what keeps others out:
// whoever can open it may be any of them.
const (
	AdminRole = "kizo_admin" // superuser; makes roles and databases
	OwnerRole = "kizo_owner" // owns the database; runs the migrations
	AppRole   = "kizo_app"   // serves; may do what the migrations grant, no more
)

// ensured is a statement and the question whether it is still needed. Asking
// keeps "already exists" out of the server's log at every start.
type ensured struct{ missing, statement string }

var roles = []ensured{
	{`SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kizo_owner')`, `CREATE ROLE kizo_owner LOGIN CREATEROLE`},
	{`SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kizo_app')`, `CREATE ROLE kizo_app LOGIN`},
	// From 16 on CREATEROLE alone may not alter a role that another made.
	{`SELECT NOT pg_has_role('kizo_owner', 'kizo_app', 'MEMBER WITH ADMIN OPTION')`, `GRANT kizo_app TO kizo_owner WITH ADMIN OPTION`},
}

// EnsureDatabase makes the roles and the database where they are missing. It
// may be called again, also by several at once.
func (p *Postgres) EnsureDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres", AdminRole))
	if err != nil {
		return fmt.Errorf("make the database %s: %w", name, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) // and the lock is gone
	// One at a time: concurrent changes of one catalogue row are an error.
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

// closeSchema makes the schema public what it is from PostgreSQL 15 on: the
// database's owner may create tables there, everybody else not.
func (p *Postgres) closeSchema(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.URL(name, AdminRole))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, `ALTER SCHEMA public OWNER TO kizo_owner; REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	return err
}
