package ledger_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/JDevAman/kizo/internal/testkit"
)

// forgery is a statement that changes the books, and that only a trigger refuses.
type forgery struct{ sql, state string }

var (
	// creates money on one account.
	mint = forgery{`UPDATE public.accounts SET balance = balance + 100 WHERE id = $alice`, integrity}
	// the same, with the sequence number and the time of a posting that does not exist.
	mintWithSeq = forgery{`UPDATE public.accounts SET balance = balance + 100, seq = seq + 1, as_of = clock_timestamp()
		WHERE id = $alice`, integrity}
	// inserts postings of a transfer that does not exist.
	addPostings = forgery{`INSERT INTO public.postings (account_id, seq, transfer_id, amount, balance_after, posted_at) VALUES
		($alice, 1001, '00000000-0000-7000-8000-000000000001', -7, 0, clock_timestamp()),
		($bob, 1001, '00000000-0000-7000-8000-000000000001', 7, 0, clock_timestamp())`, integrity}
	// inserts postings in two currencies.
	addMixedPostings = forgery{`WITH t AS (` + newTransfer("posted", `$alice`, `$euro`, `7`, `'USD'`) + ` RETURNING id)
		INSERT INTO public.postings SELECT a, 1001, id, x, x, now() FROM t, (VALUES ($alice, -7), ($euro, 7)) v (a, x)`, integrity}
	// changes a transfer in a final state.
	rewriteTransfer = forgery{`UPDATE public.transfers SET reason = 'because' WHERE id = '$refused'`, integrity}
	// releases money that a hold reserves.
	releaseHold = forgery{`UPDATE public.accounts SET held = 0 WHERE id = $alice`, integrity}
)

const (
	fakePosting = ` AS SELECT $alice::bigint AS account_id, seq + 1 AS seq, 100::bigint AS amount, clock_timestamp() AS posted_at
		FROM public.accounts WHERE id = $alice`
	fakeTransfer = ` AS SELECT '00000000-0000-7000-8000-000000000001'::uuid AS id, 'posted'::text AS state, $alice::bigint AS debit_account,
		$bob::bigint AS credit_account, 7::bigint AS posted_amount, 'USD'::text AS currency`
	fakeAccounts = ` AS SELECT id, 'USD'::text AS currency, held FROM public.accounts`
	fakeHolds    = ` AS SELECT id AS account_id, 0::bigint AS held FROM public.accounts`
)

// operators returns statements that create comparison operators of these types in the schema evil.
func operators(types ...string) string {
	var sql strings.Builder
	for _, left := range types {
		for _, right := range types {
			sql.WriteString(`CREATE FUNCTION evil.never(` + left + `, ` + right + `) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';`)
			for _, operator := range []string{"<>", "<", ">"} {
				sql.WriteString(`CREATE OPERATOR evil.` + operator + ` (FUNCTION = evil.never, LEFTARG = ` + left + `, RIGHTARG = ` + right + `);`)
			}
		}
	}
	return sql.String()
}

// shadows are the ways to make a trigger read an object of an attacker instead of the intended one.
// In these tests the role may create all objects, which it may not in production.
var shadows = []struct {
	name    string
	prepare string // statements, as the application's role
	forge   forgery
}{
	{"a temporary table of postings", `CREATE TEMPORARY TABLE postings` + fakePosting, mintWithSeq},
	{"a temporary view of postings", `CREATE TEMPORARY VIEW postings` + fakePosting, mintWithSeq},
	{"a temporary table by SELECT INTO", `SELECT $alice::bigint AS account_id, seq + 1 AS seq, 100::bigint AS amount, clock_timestamp() AS posted_at
		INTO TEMPORARY postings FROM public.accounts WHERE id = $alice`, mintWithSeq},
	{"a temporary table of transfers", `CREATE TEMPORARY TABLE transfers` + fakeTransfer, addPostings},
	{"a temporary view of transfers", `CREATE TEMPORARY VIEW transfers` + fakeTransfer, addPostings},
	{"a temporary table of accounts", `CREATE TEMPORARY TABLE accounts` + fakeAccounts, addMixedPostings},
	{"a temporary table of holds", `CREATE TEMPORARY TABLE account_holds` + fakeHolds, releaseHold},
	{"pg_temp first by SET", `SET search_path = pg_temp, pg_catalog, public; CREATE TABLE postings` + fakePosting, mintWithSeq},
	{"another schema first by SET", `CREATE SCHEMA evil; CREATE TABLE evil.postings` + fakePosting + `;
		SET search_path = evil, public`, mintWithSeq},
	{"another schema first by set_config", `CREATE SCHEMA evil; CREATE VIEW evil.transfers` + fakeTransfer + `;
		SELECT set_config('search_path', 'evil, public', false)`, addPostings},
	{"another schema first by SET LOCAL", `BEGIN; CREATE SCHEMA evil; CREATE TABLE evil.postings` + fakePosting + `;
		SET LOCAL search_path = evil, public`, mintWithSeq},
	{"operators that shadow those of PostgreSQL", `CREATE SCHEMA evil; ` + operators("bigint", "numeric") + `
		SET search_path = evil, pg_catalog, public`, mint},
	{"operators of text", `CREATE SCHEMA evil; ` + operators("text") + `SET search_path = evil, pg_catalog, public`, rewriteTransfer},
	{"an aggregate that shadows sum", `CREATE SCHEMA evil;
		CREATE FUNCTION evil.hundred(numeric, bigint) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT 100::numeric';
		CREATE AGGREGATE evil.sum(bigint) (SFUNC = evil.hundred, STYPE = numeric, INITCOND = '100');
		SET search_path = evil, pg_catalog, public`, mint},
	{"an aggregate that shadows count", `CREATE SCHEMA evil;
		CREATE FUNCTION evil.two(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 2::bigint';
		CREATE AGGREGATE evil.count(bigint) (SFUNC = evil.two, STYPE = bigint, INITCOND = '2');
		SET search_path = evil, pg_catalog, public`, addPostings},
	{"a domain that shadows uuid", `CREATE DOMAIN pg_temp.uuid AS text CHECK (false)`, addPostings},
	{"a type that shadows uuid", `CREATE SCHEMA evil; CREATE TYPE evil.uuid AS ENUM ('none'); SET search_path = evil, pg_catalog, public`, addPostings},
	{"a cast from a domain", `CREATE SCHEMA evil; CREATE DOMAIN evil.bigint AS text; CREATE TYPE evil.big AS (n bigint);
		CREATE FUNCTION evil.zero(evil.big) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint';
		CREATE CAST (evil.big AS bigint) WITH FUNCTION evil.zero(evil.big) AS IMPLICIT; SET search_path = evil, pg_catalog, public`, mint},
	{"a trigger of the role's own that changes a balance", `CREATE SCHEMA evil; CREATE TABLE evil.t (x int);
		CREATE FUNCTION evil.mint() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
			UPDATE public.accounts SET balance = balance + 100 WHERE id = $alice; RETURN NEW; END';
		CREATE TRIGGER t AFTER INSERT ON evil.t FOR EACH ROW EXECUTE FUNCTION evil.mint()`,
		forgery{`INSERT INTO evil.t VALUES (1)`, integrity}},
	{"a function that shadows that of the trigger", `CREATE SCHEMA evil; CREATE FUNCTION evil.refuse_unexplained_balance() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN RETURN NULL; END'; SET search_path = evil, public`, mint},
}

// TestShadowsAreNotRead: even for a role that may create all objects, the triggers read the real
// tables, operators and functions.
func TestShadowsAreNotRead(t *testing.T) {
	t.Parallel()
	for _, tt := range shadows {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, names := newShadowed(t)
			h.asSuperuser(`GRANT TEMPORARY, CREATE ON DATABASE ` + h.db.Name + ` TO kizo_app`)
			app := testkit.Connect(t, h.db.AppURL)
			if err := execAll(app, names.Replace(tt.prepare)); err != nil {
				t.Fatalf("the shadow cannot be created: %v", err)
			}
			err := execAll(app, names.Replace(tt.forge.sql))
			wantState(t, err, tt.forge.state)
			h.books()
		})
	}
}

// TestShadowsOfOtherSessions: a search_path that a session has from its role or its connection
// makes no difference either.
func TestShadowsOfOtherSessions(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]string{
		"by the role":       `ALTER ROLE CURRENT_USER IN DATABASE $db SET search_path = evil, public`,
		"by the connection": ``,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, names := newShadowed(t)
			h.asSuperuser(`GRANT CREATE ON DATABASE ` + h.db.Name + ` TO kizo_app`)
			app := testkit.Connect(t, h.db.AppURL)
			if err := execAll(app, names.Replace(`CREATE SCHEMA evil; CREATE TABLE evil.postings`+fakePosting)); err != nil {
				t.Fatal(err)
			}
			config, err := pgx.ParseConfig(h.db.AppURL)
			if err != nil {
				t.Fatal(err)
			}
			if set == "" {
				config.RuntimeParams["search_path"] = "evil, public"
			} else if err := execAll(app, strings.ReplaceAll(set, "$db", h.db.Name)); err != nil {
				t.Fatal(err)
			}
			later, err := pgx.ConnectConfig(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer later.Close(context.Background())
			var path string
			if err := later.QueryRow(t.Context(), `SHOW search_path`).Scan(&path); err != nil || path != "evil, public" {
				t.Fatalf("search_path %q, %v", path, err)
			}
			wantState(t, execAll(later, names.Replace(mintWithSeq.sql)), integrity)
			h.asSuperuser(`ALTER ROLE kizo_app IN DATABASE ` + h.db.Name + ` RESET search_path`)
			h.books()
		})
	}
}

// TestFunctionsSetSearchPath: every function, also of later migrations, sets its own search_path. A
// body that is an SQL expression (RETURN …) is exempt: PostgreSQL has resolved its names when the
// function was created.
func TestFunctionsSetSearchPath(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	rows, err := testkit.Connect(t, h.db.AppURL).Query(t.Context(), `SELECT p.oid::regprocedure::text,
			COALESCE((SELECT c FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%'), 'none'), p.prosrc
		FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prosqlbody IS NULL`)
	if err != nil {
		t.Fatal(err)
	}
	var name, path, body string
	count := 0
	_, err = pgx.ForEachRow(rows, []any{&name, &path, &body}, func() error {
		if count++; path == "none" && namesEverySchema(body) {
			return nil
		}
		if path != "search_path=pg_catalog, public, pg_temp" && path != "search_path=pg_catalog, pg_temp" {
			t.Errorf("%s has %s: SET search_path = pg_catalog, public, pg_temp", name, path)
		}
		return nil
	})
	if err != nil || count < 5 {
		t.Errorf("%d functions checked, %v", count, err)
	}
}

var (
	qualifiedOperator = regexp.MustCompile(`OPERATOR\(pg_catalog\.[^)]+\)|USING ERRCODE =`)
	bareOperator      = regexp.MustCompile(`[=<>+/%~-]`)
	bareTable         = regexp.MustCompile(`(?i)\b(?:FROM|JOIN)\s+\w+(?:[^.\w(]|$)`)
	bareFunction      = regexp.MustCompile(`(?i)(?:^|[^.\w])(count|sum|min|max|now|nullif|array_agg|string_agg)\s*\(`)
)

// namesEverySchema reports whether the body of a function names the schema of every operator,
// function and table that it uses. The transition tables of its trigger and the tables of a
// WITH are exempt, since no other object can shadow them, and so is the = of an assignment.
func namesEverySchema(body string) bool {
	body = qualifiedOperator.ReplaceAllString(body, " ")
	body = regexp.MustCompile(`'[^']*'`).ReplaceAllString(body, "''")
	body = regexp.MustCompile(`(?i)\b(FROM|JOIN)\s+(added|earlier|later)\s+\w+`).ReplaceAllString(body, " ")
	for _, name := range regexp.MustCompile(`(?i)(?:WITH|,)\s+(\w+) AS \(`).FindAllStringSubmatch(body, -1) {
		body = regexp.MustCompile(`(?i)\bFROM\s+`+name[1]+`\s+\w+`).ReplaceAllString(body, " ")
	}
	body = regexp.MustCompile(`(?i)\bSET\s+\w+ = `).ReplaceAllString(body, " ")
	body = regexp.MustCompile(`,\s+(seq|as_of|credited) = `).ReplaceAllString(body, " ")
	body = regexp.MustCompile(`(?i)\bJOIN\s+LATERAL\b`).ReplaceAllString(body, " ")
	return !bareOperator.MatchString(body) && !bareFunction.MatchString(body) && !bareTable.MatchString(body)
}

func TestNamesEverySchema(t *testing.T) {
	for body, want := range map[string]bool{
		"SELECT p.id INTO bad FROM added p WHERE p.id OPERATOR(pg_catalog.=) 1; RETURN NULL;": true,
		"SELECT x.id FROM public.transfers x":                                                 true,
		"SELECT x.id FROM transfers x":                                                        false,
		"WITH s AS (SELECT 1 AS n) UPDATE public.accounts a SET seq = s.n FROM s s":           true,
		"WITH s AS (SELECT 1 AS n) SELECT x.n FROM s x, transfers y JOIN transfers z ON true": false,
		"SELECT x.id FROM public.transfers x WHERE x.id = 1":                                  false,
		"SELECT count(*) FROM public.transfers x":                                             false,
		"SELECT pg_catalog.count(*) FROM public.transfers x":                                  true,
	} {
		if got := namesEverySchema(body); got != want {
			t.Errorf("%q: %v", body, got)
		}
	}
}

// newShadowed returns a ledger and the names of oneOfEverything.
func newShadowed(t *testing.T) (*fixture, *strings.Replacer) {
	t.Helper()
	h := newFixture(t)
	return h, h.oneOfEverything()
}

func (h *fixture) asSuperuser(sql string) {
	h.t.Helper()
	if err := execAll(testkit.Connect(h.t, h.db.SuperuserURL), sql); err != nil {
		h.t.Fatal(err)
	}
}

// execAll runs statements that are separated by semicolons.
func execAll(conn *pgx.Conn, sql string) error {
	_, err := conn.PgConn().Exec(context.Background(), sql).ReadAll()
	return err
}

func wantState(t *testing.T, err error, state string) {
	t.Helper()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != state {
		t.Errorf("got %v, want SQLSTATE %s", err, state)
	}
}
