package ledger

import ("testing";"os";"fmt")

func TestZZDump(t *testing.T) {
	f, _ := os.Create("/tmp/audit.sql")
	fmt.Fprintln(f, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL work_mem='256MB'; SET LOCAL jit=off; SET LOCAL track_io_timing=off;")
	for _, s := range auditScans { fmt.Fprintf(f, "\\echo === %s\nEXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) %s;\n", s.rules[0].name, s.sql()) }
	fmt.Fprintln(f, "\\echo === digests\nEXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) SELECT "+transferColumns+", e.digest FROM transfers t JOIN events e ON e.transfer_id = t.id AND e.state = t.state; COMMIT;")
}
