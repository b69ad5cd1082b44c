package settle

import (
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

// PostgreSQL can prepare every statement with the role and the schema of kizod, and the query
// that runs every second uses its index.
func TestStatements(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	conn, err := h.pool.Acquire(t.Context())
	h.must(err)
	defer conn.Release()
	if found := testkit.PrepareStatements(t, conn.Conn(), nil); found < 20 {
		t.Errorf("only %d statements found: the search is broken", found)
	}
	_, err = conn.Conn().Prepare(t.Context(), "claimOverdueQuery", claimOverdueQuery)
	h.must(err)
	var plan string
	_, err = conn.Exec(t.Context(), `SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan`)
	h.must(err)
	rows, err := conn.Query(t.Context(), `EXPLAIN EXECUTE "claimOverdueQuery" ('1 s', 10, '1 s')`)
	h.must(err)
	for rows.Next() {
		var line string
		h.must(rows.Scan(&line))
		plan += line + "\n"
	}
	if want := "Index Cond: (next_at <= statement_timestamp())"; !strings.Contains(plan, "payments_next") || !strings.Contains(plan, want) {
		t.Errorf("the query of the janitor does not use its index:\n%s", plan)
	}
	_, err = conn.Exec(t.Context(), `DISCARD ALL`)
	h.must(err)
}
