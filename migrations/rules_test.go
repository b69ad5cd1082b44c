package migrations

import (
	"strings"
	"testing"
)

// Each of these migrations breaks one rule. says is a part of the linter's message.
var badMigrations = []struct{ name, text, says string }{
	{"no phase", timed + "ALTER TABLE users ADD COLUMN note text;", "states no phase"},
	{"no lock_timeout", expand + "ALTER TABLE users ADD COLUMN note text;", "first statement is not SET LOCAL lock_timeout"},
	{"lock_timeout too late", expand + "ALTER TABLE users ADD COLUMN note text;\n" + timed, "first statement"},
	{"lock_timeout for the session", expand + "SET lock_timeout = '5s';\nALTER TABLE users ADD COLUMN note text;", "SET LOCAL"},
	{"lock_timeout too long", expand + "SET LOCAL lock_timeout = '1min';\nALTER TABLE users ADD COLUMN note text;", "is 1m0s"},
	{"lock_timeout off", expand + "SET LOCAL lock_timeout = '0s';\nALTER TABLE users ADD COLUMN note text;", "is 0s"},
	{"an index under a lock", expand + timed + "CREATE INDEX users_note ON users (note);", "CREATE INDEX CONCURRENTLY"},
	{"a unique index under a lock", expand + timed + "create unique index if not exists users_note\n on only users (note);", "CREATE INDEX CONCURRENTLY"},
	{"an index without a name", expand + timed + "CREATE INDEX ON users (note);", "CREATE INDEX CONCURRENTLY"},
	{"a concurrent index in a transaction", expand + timed + "CREATE INDEX CONCURRENTLY users_note ON users (note);", "NO TRANSACTION"},
	{"a concurrent index that cannot be built again", alone + expand + "SET lock_timeout = '5s';\nCREATE INDEX CONCURRENTLY users_note ON users (note);", "has to stand before it"},
	{"more than indexes without a transaction", alone + expand + "SET lock_timeout = '5s';\nALTER TABLE users ADD COLUMN note text;", "only builds and drops indexes"},
	{"an index dropped under a lock", expand + timed + "DROP INDEX users_name_key;", "DROP INDEX CONCURRENTLY"},
	{"a unique constraint", expand + timed + "ALTER TABLE users ADD CONSTRAINT users_note UNIQUE (note);", "USING INDEX"},
	{"a primary key", expand + timed + "ALTER TABLE users ADD PRIMARY KEY (note);", "USING INDEX"},
	{"a check that reads the table", expand + timed + "ALTER TABLE users ADD CONSTRAINT users_note CHECK (note <> '');", "NOT VALID"},
	{"a foreign key that reads the table", expand + timed + "ALTER TABLE sessions ADD FOREIGN KEY (note) REFERENCES notes (id);", "NOT VALID"},
	{"validated at once", expand + timed + "ALTER TABLE users ADD CONSTRAINT c CHECK (note <> '') NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT c;", "migration of its own"},
	{"a column with a check", expand + timed + "ALTER TABLE users ADD COLUMN note text DEFAULT 'x' CHECK (note <> '');", "whole table is read"},
	{"a column that refers", expand + timed + "ALTER TABLE users ADD COLUMN friend uuid REFERENCES users (id);", "whole table is read"},
	{"a column with a volatile default", expand + timed + "ALTER TABLE users ADD COLUMN at timestamptz DEFAULT clock_timestamp();", "rewritten"},
	{"a generated column", expand + timed + "ALTER TABLE users ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY;", "rewritten"},
	{"a column that the old version does not write", expand + timed + "ALTER TABLE users ADD COLUMN note text NOT NULL;", "give it a DEFAULT"},
	{"a table rewritten", expand + timed + "ALTER TABLE users SET UNLOGGED;", "rewritten"},
	{"an explicit lock", expand + timed + "LOCK TABLE users;", "locks the table"},
	{"a table emptied", expand + timed + "TRUNCATE login_throttle;", "locks the table"},
	{"a reindex", expand + timed + "REINDEX TABLE users;", "locks the table"},
	{"all rows updated", expand + timed + "UPDATE users SET note = '';", "small steps"},
	{"a table dropped", expand + timed + "DROP TABLE users;", "contract of NNNN"},
	{"a column dropped", expand + timed + "ALTER TABLE users DROP COLUMN name;", "contract of NNNN"},
	{"a constraint dropped", expand + timed + "ALTER TABLE users DROP CONSTRAINT users_email;", "contract of NNNN"},
	{"a trigger dropped", expand + timed + "DROP TRIGGER users_name ON users;", "contract of NNNN"},
	{"a function dropped", expand + timed + "DROP FUNCTION record_access_change();", "contract of NNNN"},
	{"a column renamed", expand + timed + "ALTER TABLE users RENAME COLUMN name TO full_name;", "contract of NNNN"},
	{"a table renamed", expand + timed + "ALTER TABLE users RENAME TO members;", "contract of NNNN"},
	{"a type changed", expand + timed + "ALTER TABLE users ALTER COLUMN name TYPE varchar(80);", "contract of NNNN"},
	{"a type changed, in other words", expand + timed + "ALTER TABLE users ALTER name SET DATA TYPE varchar(80);", "contract of NNNN"},
	{"not null", expand + timed + "ALTER TABLE users ALTER COLUMN note SET NOT NULL;", "contract of NNNN"},
	{"a right taken away", expand + timed + "REVOKE UPDATE ON users FROM kizo_app;", "contract of NNNN"},
	{"a right on a function that was replaced", expand + timed + "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE sql AS $$ SELECT $$;\nREVOKE ALL ON FUNCTION f FROM PUBLIC;", "contract of NNNN"},
	{"a right on two functions", expand + timed + "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ SELECT $$;\nREVOKE ALL ON FUNCTION f, g FROM PUBLIC;", "contract of NNNN"},
	{"hidden in a DO block", expand + timed + "-- +goose StatementBegin\nDO $$ BEGIN\n ALTER TABLE users DROP COLUMN name; END $$;\n-- +goose StatementEnd", "contract of NNNN"},
	{"hidden in EXECUTE", expand + timed + "DO $x$ BEGIN EXECUTE 'CREATE INDEX i ON users (name)'; END $x$;", "CREATE INDEX CONCURRENTLY"},
	{"the second of two", expand + timed + "ALTER TABLE users ADD COLUMN a text, DROP COLUMN b;", "contract of NNNN"},
	{"a validated check together with one that is NOT VALID", expand + timed + "ALTER TABLE users ADD CONSTRAINT a CHECK (x IN (1, 2)) NOT VALID, ADD CONSTRAINT b CHECK (y > 0);", "ADD CONSTRAINT B"},
	{"a default taken away", expand + timed + "ALTER TABLE users ALTER COLUMN note DROP DEFAULT;", "contract of NNNN"},
	{"hidden behind IF", expand + timed + "DO $$ BEGIN IF true THEN DROP TABLE users; END IF; END $$;", "contract of NNNN"},
	{"the contract of nothing", "-- Phase: contract of 0019\n" + timed + "DROP TABLE users;", "no earlier migration that expands"},
	{"the contract of itself", "-- Phase: contract of 0018\n" + timed + "DROP TABLE users;", "no earlier migration that expands"},
	{"the contract of a contract", "-- Phase: contract of 0017\n" + timed + "DROP TABLE users;", "no earlier migration that expands"},
	{"a wider constraint that is not stated", expand + timed + "ALTER TABLE users DROP CONSTRAINT a, ADD CONSTRAINT b CHECK (x IN (1, 2, 3)) NOT VALID;", "contract of NNNN"},
	{"another constraint than is stated", expand + timed + "-- Wider: b\nALTER TABLE users DROP CONSTRAINT a, ADD CONSTRAINT b CHECK (x IN (1, 2, 3)) NOT VALID;", "contract of NNNN"},
	{"no wider constraint", expand + timed + "-- Wider: a\nALTER TABLE users DROP CONSTRAINT a;", "contract of NNNN"},
	{"a wider constraint of another table", expand + timed + "-- Wider: a\nALTER TABLE users DROP CONSTRAINT a; ALTER TABLE sessions ADD CONSTRAINT b CHECK (x > 0) NOT VALID;", "contract of NNNN"},
	{"nothing", expand, "no statement"},
}

const (
	expand = "-- Phase: expand\n"
	timed  = "SET LOCAL lock_timeout = '5s';\n"
	alone  = "-- +goose NO TRANSACTION\n"
)

// These migrations follow the rules.
var goodMigrations = []struct{ name, text string }{
	{"a column", expand + timed + "ALTER TABLE users ADD COLUMN note text NOT NULL DEFAULT '';\nGRANT UPDATE (note) ON users TO kizo_app;"},
	{"a table with all that belongs to it", expand + timed + `CREATE TABLE notes (id uuid PRIMARY KEY, text text NOT NULL CHECK (text <> ''), at timestamptz DEFAULT clock_timestamp());
		CREATE INDEX notes_text ON notes (text);
		ALTER TABLE notes ADD CONSTRAINT notes_once UNIQUE (text);
		INSERT INTO notes VALUES ('00000000-0000-7000-8000-000000000001', 'DROP TABLE users;');`},
	{"an index", alone + expand + "SET lock_timeout = '10min';\nDROP INDEX CONCURRENTLY IF EXISTS users_note;\nCREATE INDEX CONCURRENTLY users_note ON users (note) WHERE note <> '';"},
	{"a constraint on its index", expand + timed + "ALTER TABLE users ADD CONSTRAINT users_note UNIQUE USING INDEX users_note;"},
	{"a constraint for later rows", expand + timed + "ALTER TABLE users ADD CONSTRAINT users_note CHECK (note <> '') NOT VALID;"},
	{"its validation", expand + timed + "ALTER TABLE users VALIDATE CONSTRAINT users_note;"},
	{"a function that deletes when it is called", expand + timed + "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; END $$;"},
	{"a right on a new function", expand + timed + "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ SELECT $$;\nREVOKE ALL ON FUNCTION f FROM PUBLIC;"},
	{"a wider constraint", expand + timed + "-- Wider: a\nALTER TABLE users DROP CONSTRAINT a, ADD CONSTRAINT b CHECK (x IN (1, 2, 3)) NOT VALID;"},
	{"few rows", expand + timed + "-- Few rows: there is one.\nUPDATE access_version SET version = version + 1;"},
	{"a contract", "-- Phase: contract of 0016\n" + timed + "ALTER TABLE users DROP COLUMN name;\nDROP FUNCTION f();"},
	{"only a comment", expand + timed + "-- DROP TABLE users;\nCOMMENT ON TABLE users IS 'was: DROP TABLE users';"},
}

func lintText(text string) []string {
	m := parseMigration(18, strings.Replace(text, "-- Phase", "-- +goose Up\n-- Phase", 1)+"\n-- +goose Down\nDROP TABLE everything;")
	if !strings.Contains(text, "-- Phase") {
		m = parseMigration(18, "-- +goose Up\n"+text)
	}
	return m.lint(map[int64]string{15: "expand", 16: "expand", 17: "contract"})
}

func TestLinterRefuses(t *testing.T) {
	for _, bad := range badMigrations {
		problems := lintText(bad.text)
		if len(problems) != 1 || !strings.Contains(problems[0], bad.says) {
			t.Errorf("%s: the linter says %q, want one answer with %q", bad.name, problems, bad.says)
		}
	}
	t.Logf("%d bad examples", len(badMigrations))
}

func TestLinterAccepts(t *testing.T) {
	for _, good := range goodMigrations {
		if problems := lintText(good.text); len(problems) != 0 {
			t.Errorf("%s: the linter says %q", good.name, problems)
		}
	}
}
