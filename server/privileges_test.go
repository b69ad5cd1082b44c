package server_test

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// byTheOwner are the writes of kizod commands that connect as the owner of the tables. The
// application's role must not have privileges for them.
var byTheOwner = map[string]string{
	"UPDATE users.role":          "kizod user grant",
	"UPDATE events.xid":          "kizod repair",
	"UPDATE transfers.event_xid": "kizod repair",

	"UPDATE users.email_verified_at": "kizod user verify-email",

	"INSERT reset_codes.user_id":    "kizod user reset-password",
	"INSERT reset_codes.code_hash":  "kizod user reset-password",
	"INSERT reset_codes.created_at": "kizod user reset-password",
	"INSERT reset_codes.expires_at": "kizod user reset-password",
	"UPDATE reset_codes.code_hash":  "kizod user reset-password",
	"UPDATE reset_codes.created_at": "kizod user reset-password",
	"UPDATE reset_codes.expires_at": "kizod user reset-password",
}

// withoutAStatement are privileges that the application's role needs although no statement writes
// the column.
var withoutAStatement = map[string]string{
	"UPDATE secret_keys_lock.singleton": "SELECT … FOR SHARE and FOR UPDATE need it",
	"UPDATE spending_limits.locked_at":  "SELECT … FOR NO KEY UPDATE needs it",
	"UPDATE secret_keys.state":          "kizod secrets rotate",
}

var (
	inserting = regexp.MustCompile(`(?s)INSERT INTO (\w+)(?: AS \w+)? \(([\w\s,]+)\)`)
	updating  = regexp.MustCompile(`(?s)UPDATE (\w+)(?: (?:AS )?\w+)?\s+SET (.*)`)
	upserting = regexp.MustCompile(`(?s)INSERT INTO (\w+).*?DO UPDATE\s+SET (.*)`)
	deleting  = regexp.MustCompile(`DELETE FROM (\w+)`)
	assigned  = regexp.MustCompile(`^\s*(\w+) = `)
)

// writes returns every combination of table, column and verb that the code below this directory
// writes, read from its SQL statements.
func writes(t *testing.T) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, text := range strings.Split(string(source), "`") {
			if i%2 == 1 { // between backquotes
				readStatement(text, used)
			}
		}
		return nil
	})
	testkit.Must(t, err)
	return used
}

func readStatement(sql string, used map[string]bool) {
	for _, m := range inserting.FindAllStringSubmatch(sql, -1) {
		for column := range strings.SplitSeq(m[2], ",") {
			used["INSERT "+m[1]+"."+strings.TrimSpace(column)] = true
		}
	}
	for _, m := range deleting.FindAllStringSubmatch(sql, -1) {
		used["DELETE "+m[1]] = true
	}
	for _, pattern := range []*regexp.Regexp{updating, upserting} {
		for rest := sql; ; {
			m := pattern.FindStringSubmatchIndex(rest)
			if m == nil {
				break
			}
			table, assignments := rest[m[2]:m[3]], rest[m[4]:m[5]]
			for _, part := range splitAssignments(assignments) {
				column := assigned.FindStringSubmatch(part)
				if column == nil {
					break
				}
				used["UPDATE "+table+"."+column[1]] = true
			}
			rest = assignments
		}
	}
}

// splitAssignments splits at commas that are not inside parentheses.
func splitAssignments(sql string) []string {
	var parts []string
	depth, start := 0, 0
	for i, r := range sql {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			parts, start = append(parts, sql[start:i]), i+1
		}
	}
	return append(parts, sql[start:])
}

// For every table, column and verb, the application's role has the privilege if and only if a
// statement of the code needs it. A new statement without a GRANT fails the test, and so does a
// privilege that no statement needs.
func TestPrivilegesMatchStatements(t *testing.T) {
	t.Parallel()
	const sqlPrivileges = `SELECT v.verb || ' ' || c.relname || '.' || a.attname, has_column_privilege(c.oid, a.attnum, v.verb)
			FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped,
				(VALUES ('INSERT'), ('UPDATE'), ('REFERENCES')) v (verb)
			WHERE c.relkind IN ('r', 'p', 'v') AND c.relnamespace = 'public'::regnamespace
		UNION ALL
		SELECT v.verb || ' ' || c.relname, has_table_privilege(c.oid, v.verb)
			FROM pg_class c, (VALUES ('DELETE'), ('TRUNCATE'), ('TRIGGER')) v (verb)
			WHERE c.relkind IN ('r', 'p', 'v') AND c.relnamespace = 'public'::regnamespace`
	used := writes(t)
	for privilege, by := range byTheOwner {
		if !used[privilege] {
			t.Errorf("%s, for %s, is in no statement", privilege, by)
		}
		delete(used, privilege)
	}
	conn, err := pgx.Connect(t.Context(), pgtest.New(t).AppURL)
	testkit.Must(t, err)
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), sqlPrivileges)
	testkit.Must(t, err)
	var (
		privilege     string
		has           bool
		count, having int
	)
	_, err = pgx.ForEachRow(rows, []any{&privilege, &has}, func() error {
		count++
		if has {
			having++
		}
		switch {
		case has && !used[privilege] && withoutAStatement[privilege] == "":
			t.Errorf("kizo_app has %s, which no statement of the code needs: REVOKE it in a migration", privilege)
		case !has && used[privilege]:
			t.Errorf("a statement of the code needs %s, which kizo_app does not have: GRANT it in a migration", privilege)
		}
		delete(used, privilege)
		return nil
	})
	testkit.Must(t, err)
	for _, unknown := range slices.Sorted(maps.Keys(used)) {
		t.Errorf("%s is written by a statement and is not in the schema; this test may have misread the statement", unknown)
	}
	t.Logf("%d combinations of table, column and verb, %d of them granted", count, having)
}
