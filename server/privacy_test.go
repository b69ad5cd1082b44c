package server_test

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// TestPrivacyNamesEveryTable: docs/privacy.md says of each table what it keeps about users. A new
// table needs a row there.
func TestPrivacyNamesEveryTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/privacy.md")
	testkit.Must(t, err)
	conn := testkit.Connect(t, pgtest.New(t).AdminURL)
	rows, err := conn.Query(t.Context(), `SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`)
	testkit.Must(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	testkit.Must(t, err)
	if len(tables) < 30 {
		t.Fatalf("only %d tables", len(tables))
	}
	for _, table := range tables {
		if !strings.Contains(string(text), "`"+table+"`") {
			t.Errorf("docs/privacy.md does not say what %s keeps about users, and for how long", table)
		}
	}
	t.Logf("%d tables", len(tables))
}
