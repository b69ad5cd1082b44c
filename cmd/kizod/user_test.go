package main

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// The commands of kizod user change the role of a user and verify an address. They record who ran
// them and why.
func TestUserCommands(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	owner, err := pgx.Connect(t.Context(), db.AdminURL)
	testkit.Must(t, err)
	defer owner.Close(noCancel{t.Context()})
	_, err = owner.Exec(t.Context(), `
INSERT INTO users (id, email, handle, name, name_key, password_hash, pepper_id, created_at, updated_at)
SELECT gen_random_uuid(), 'ada@example.com', handle, 'Ada', 'ada', '$argon2id$v=19$x', 'p1', now(), now()
  FROM unnest(ARRAY['ada', 'squatter']) handle`)
	testkit.Must(t, err)
	env := []string{"KIZO_MIGRATE_URL=" + db.AdminURL}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"user grant ada@example.com operator", 1, "no such user"}, // nothing has verified the address
		{"user verify-email ada@example.com", 1, "no such user"},
		{"user verify-email @ada --reason asked", 0, "ada@example.com belongs to @ada now"},
		{"user verify-email @squatter", 1, "another user has verified this e-mail address"},
		{"user grant ada@example.com operator --reason hired", 0, "ada@example.com is operator now"},
		{"user verify-email", 2, "kizod user verify-email HANDLE"},
		{"user reset-password", 2, "kizod user reset-password LOGIN"},
		{"user reset-password ada --expires 169h", 2, "--expires is from 1m to 168h"},
		{"user reset-password carol", 1, "no such user"},
		{"user remove-second-factor", 2, "kizod user remove-second-factor LOGIN"},
		{"user remove-second-factor ada", 2, "a reason is required"},
		{"user remove-second-factor ada --reason lost", 1, "this user has no second factor"},
	} {
		if code, output := run(t, env, strings.Fields(c.args)...); code != c.code || !strings.Contains(output, c.want) {
			t.Errorf("%s: %d\n%s", c.args, code, output)
		}
	}
	rows, err := owner.Query(t.Context(), `SELECT action || ' ' || subject || ' ' || reason FROM operator_actions ORDER BY id`)
	testkit.Must(t, err)
	actions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	testkit.Must(t, err)
	if len(actions) != 2 || !strings.HasPrefix(actions[0], "email.verify ada kizod user verify-email, run by ") || !strings.HasSuffix(actions[0], ": asked") ||
		!strings.HasPrefix(actions[1], "role.grant.operator ada kizod user grant, run by ") || !strings.HasSuffix(actions[1], ": hired") {
		t.Errorf("%q", actions)
	}
}

// Only the owner of the tables grants a role. With the application's role, the command changes
// nothing and names the missing variable.
func TestGrantNeedsTheOwner(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn, err := pgx.Connect(t.Context(), db.AdminURL)
	testkit.Must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `INSERT INTO users (id, email, handle, name, name_key, password_hash, pepper_id, created_at, updated_at)
		VALUES (gen_random_uuid(), 'ada@example.com', 'ada', 'Ada', 'ada', '$argon2id$v=19$x', 'p1', now(), now())`)
	testkit.Must(t, err)
	wantRole := func(want string) {
		t.Helper()
		var role string
		testkit.Must(t, conn.QueryRow(t.Context(), `SELECT role FROM users WHERE handle = 'ada'`).Scan(&role))
		if role != want {
			t.Errorf("ada is %s, want %s", role, want)
		}
	}
	app, owner := "KIZO_DATABASE_URL="+db.AppURL, "KIZO_MIGRATE_URL="+db.AdminURL
	code, output := run(t, []string{app}, "user", "grant", "@ada", "operator")
	if code != exitError {
		t.Errorf("as the application's role: exit %d", code)
	}
	testkit.Contains(t, output, "only the owner of the tables", "KIZO_MIGRATE_URL")
	wantRole("user")
	for role, env := range map[string][]string{"operator": {app, owner}, "user": {owner}} {
		if code, output := run(t, env, "user", "grant", "@ada", role); code != 0 {
			t.Errorf("exit %d, %q", code, output)
		}
		wantRole(role)
	}
	// The URL of the owner may also be in the other variable.
	if code, output := run(t, []string{"KIZO_DATABASE_URL=" + db.AdminURL}, "user", "grant", "ada", "operator"); code != 0 {
		t.Errorf("exit %d, %q", code, output)
	}
	wantRole("operator")
}
