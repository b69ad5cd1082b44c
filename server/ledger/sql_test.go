package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
)

// TestStatementsFitTheSchema prepares every SQL statement of the package, as the application's
// role, on the migrated schema.
func TestStatementsFitTheSchema(t *testing.T) {
	t.Parallel()
	conn := testkit.Connect(t, pgtest.New(t).AppURL)
	if found := testkit.PrepareStatements(t, conn, building); found < 30 {
		t.Errorf("only %d statements found: the search is broken", found)
	}
}

// building lists the functions that may build SQL statements, each with a test that runs or
// prepares every statement that the function can return.
var building = map[string]string{
	"listSQL":        "TestListsFitTheSchema",
	"sql":            "every test of the audit",
	"auditDigests":   "every test of the audit",
	"scansSQL":       "every test of the audit",
	"statement":      "every test of the audit",
	"setSnapshotSQL": "TestAuditsShareSmallPool",
	"readSQL":        "TestRepairSetsSequences",
	"setSQL":         "TestRepairSetsSequences",
	"lockSQL":        "TestRepairSetsSequences",
}

// TestListsFitTheSchema prepares the list with every set of conditions.
func TestListsFitTheSchema(t *testing.T) {
	t.Parallel()
	conn := testkit.Connect(t, pgtest.New(t).AppURL)
	narrow := []func(*ledger.Query){
		func(q *ledger.Query) { q.State = ledger.Posted },
		func(q *ledger.Query) { q.Kind = ledger.KindTransfer },
		func(q *ledger.Query) { q.Currency = money.Currency("USD") },
		func(q *ledger.Query) { q.Since = time.Now() },
		func(q *ledger.Query) { q.Until = time.Now() },
		func(q *ledger.Query) { q.Memo = "x" },
		func(q *ledger.Query) { q.Tag = "project=apollo" },
		func(q *ledger.Query) { q.MinAmount = 1 },
		func(q *ledger.Query) { q.MaxAmount = 1 },
		func(q *ledger.Query) { q.With = ledger.UserID(uuid.Max) },
	}
	for _, direction := range []string{"", "in", "out"} {
		for set := range 1 << len(narrow) {
			q := ledger.Query{Direction: direction}
			for i, f := range narrow {
				if set&(1<<i) != 0 {
					f(&q)
				}
			}
			sql, args := ledger.ListSQL(q)
			statement, err := conn.Prepare(t.Context(), fmt.Sprint(direction, set), sql)
			if err != nil {
				t.Fatalf("%+v: %v\n%s", q, err, sql)
			}
			if len(statement.ParamOIDs) != len(args) {
				t.Errorf("%+v: %d parameters for %d values", q, len(statement.ParamOIDs), len(args))
			}
		}
	}
}
