package ledger_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
)

// TestCheckCollation: a database with the locale C has no collation version and is accepted. One
// that was indexed by another version of ICU is refused, and the error contains the statements that
// rebuild its indexes.
func TestCheckCollation(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	check := func(url string) error {
		pool, err := pgxpool.New(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		return ledger.CheckCollation(t.Context(), pool)
	}
	if err := check(db.AppURL); err != nil {
		t.Errorf("locale C: %v", err)
	}
	admin := testkit.Connect(t, db.SuperuserURL)
	const create = `CREATE DATABASE collated TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'`
	if _, err := admin.Exec(t.Context(), create); err != nil {
		t.Skipf("SKIPPED: PostgreSQL 14, or without ICU: %v", err)
	}
	url := strings.Replace(db.SuperuserURL, "/"+db.Name, "/collated", 1)
	if err := check(url); err != nil {
		t.Errorf("a new database: %v", err)
	}
	if _, err := admin.Exec(t.Context(), `UPDATE pg_database SET datcollversion = '1.2' WHERE datname = 'collated'`); err != nil {
		t.Fatal(err)
	}
	err := check(url)
	if !errors.Is(err, ledger.ErrCollation) {
		t.Fatalf("the check returned %v", err)
	}
	_, statements, _ := strings.Cut(err.Error(), "database: ")
	conn := testkit.Connect(t, url)
	for statement := range strings.SplitSeq(statements, "; ") {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if err := check(url); err != nil {
		t.Errorf("after the statements: %v", err)
	}
}
