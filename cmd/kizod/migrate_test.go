package main

import (
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// An owner that lacks a privilege gets an error that ends with the statement that grants it. After
// that statement the migration succeeds.
func TestMigrateErrorEndsWithStatement(t *testing.T) {
	t.Parallel()
	pg := pgtest.NewServer(t, 0)
	for _, c := range []struct {
		name  string
		setUp []string
		in    []string // run in the new database
		want  string
		line  string
	}{
		{
			"no CREATEROLE", []string{`CREATE ROLE plain_owner LOGIN PASSWORD 'owner-password'`, `CREATE DATABASE plain OWNER plain_owner`}, nil,
			"the role kizo_app does not exist", `CREATE ROLE kizo_app LOGIN PASSWORD 'choose-a-password';`,
		},
		{
			"not the owner of the database", []string{`CREATE ROLE guest_owner LOGIN PASSWORD 'owner-password'`, `CREATE DATABASE guest`}, nil,
			"may not create tables", `ALTER DATABASE "guest" OWNER TO "guest_owner";`,
		},
		{
			"the schema public is another role's", []string{`CREATE ROLE "Odd ""Owner" LOGIN PASSWORD 'owner-password'`, `CREATE DATABASE odd OWNER "Odd ""Owner"`},
			[]string{`ALTER SCHEMA public OWNER TO postgres`, `REVOKE CREATE ON SCHEMA public FROM PUBLIC`},
			"may not create tables in the schema public", `GRANT CREATE ON SCHEMA public TO "Odd ""Owner";`,
		},
		{
			"the owner of the schema, not of the database", []string{`CREATE ROLE schema_owner LOGIN PASSWORD 'owner-password'`, `CREATE DATABASE theirs`},
			[]string{`ALTER SCHEMA public OWNER TO schema_owner`},
			"may create temporary tables", `REVOKE TEMPORARY ON DATABASE "theirs" FROM PUBLIC, kizo_app;`,
		},
	} {
		pg.Exec(t, "postgres", c.setUp...)
		role, database := strings.Fields(c.setUp[0])[2], strings.Fields(c.setUp[1])[2]
		if strings.HasPrefix(role, `"`) {
			role = `Odd "Owner`
		}
		pg.Exec(t, database, c.in...)
		env := []string{"KIZO_MIGRATE_URL=" + pg.RoleURL(database, role, "owner-password")}
		code, output := run(t, env, "migrate")
		lines := strings.Split(strings.TrimSpace(output), "\n")
		last := lines[len(lines)-1]
		if code != exitError || last != c.line || !strings.Contains(output, c.want) {
			t.Errorf("%s: exit %d, %q; want the last line %q", c.name, code, output, c.line)
			continue
		}
		pg.Exec(t, database, last)
		if code, output := run(t, env, "migrate"); code != 0 || !strings.HasPrefix(output, "schema ") {
			t.Errorf("%s: after that statement exit %d, %q", c.name, code, output)
		}
	}
	// A database whose encoding cannot represent all names.
	pg.Exec(t, "postgres", `CREATE DATABASE ascii OWNER plain_owner TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'`)
	env := []string{"KIZO_MIGRATE_URL=" + pg.RoleURL("ascii", "plain_owner", "owner-password")}
	code, output := run(t, env, "migrate")
	_, statement, _ := strings.Cut(output, "again:\n")
	if code != exitError || !strings.Contains(output, "SQL_ASCII") || !strings.HasPrefix(statement, "CREATE DATABASE") {
		t.Errorf("SQL_ASCII: exit %d, %q", code, output)
	}
	pg.Exec(t, "postgres", `DROP DATABASE ascii`, statement)
	if code, output := run(t, env, "migrate"); code != 0 {
		t.Errorf("after it was created again: exit %d, %q", code, output)
	}
	// The tables belong to another role than the one that migrates.
	pg.Exec(t, "postgres", `GRANT CONNECT ON DATABASE plain TO guest_owner`)
	code, output = run(t, []string{"KIZO_MIGRATE_URL=" + pg.RoleURL("plain", "guest_owner", "owner-password")}, "migrate")
	if code != exitError {
		t.Errorf("another role: exit %d", code)
	}
	testkit.Contains(t, output, `"plain_owner"`, `"guest_owner"`, "KIZO_MIGRATE_URL")
}
