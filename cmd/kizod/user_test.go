package main

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// A role is granted by the owner of the tables; the application's role is told what is
// missing, and changes nothing.
func TestGrantNeedsTheOwner(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn, err := pgx.Connect(t.Context(), db.AdminURL)
	must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `INSERT INTO users (id, email, handle, name, name_key, password_hash, pepper_id, created_at, updated_at)
		VALUES (gen_random_uuid(), 'ada@example.com', 'ada', 'Ada', 'ada', '$argon2id$v=19$x', 'p1', now(), now())`)
	must(t, err)
	wantRole := func(want string) {
		t.Helper()
		var role string
		must(t, conn.QueryRow(t.Context(), `SELECT role FROM users WHERE handle = 'ada'`).Scan(&role))
		if role != want {
			t.Errorf("ada is %s, want %s", role, want)
		}
	}
	app, owner := "KIZO_DATABASE_URL="+db.AppURL, "KIZO_MIGRATE_URL="+db.AdminURL
	code, said := run(t, []string{app}, "user", "grant", "@ada", "operator")
	if code != exitError {
		t.Errorf("as the application's role: exit %d", code)
	}
	wantWords(t, said, "only the owner of the tables", "KIZO_MIGRATE_URL")
	wantRole("user")
	for role, env := range map[string][]string{"operator": {app, owner}, "user": {owner}} {
		if code, said := run(t, env, "user", "grant", "@ada", role); code != 0 {
			t.Errorf("exit %d, %q", code, said)
		}
		wantRole(role)
	}
	// An owner's URL in the other variable does as well.
	if code, said := run(t, []string{"KIZO_DATABASE_URL=" + db.AdminURL}, "user", "grant", "ada@example.com", "operator"); code != 0 {
		t.Errorf("exit %d, %q", code, said)
	}
	wantRole("operator")
}
