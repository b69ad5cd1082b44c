package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// partition makes transfers a table with a partition for the ids before $cut and one for all later
// ids.
const partition = `
	BEGIN;
	ALTER TABLE payments DROP CONSTRAINT payments_transfer_id_fkey;
	DO $do$ DECLARE r record; BEGIN
		CREATE TEMPORARY TABLE views AS SELECT relname, pg_get_viewdef(oid) AS body FROM pg_class WHERE relname IN ('all_postings', 'all_events');
		CREATE TEMPORARY TABLE triggers AS SELECT tgname, pg_get_triggerdef(oid) AS body FROM pg_trigger
			WHERE tgrelid = 'transfers'::regclass AND NOT tgisinternal;
		CREATE TEMPORARY TABLE rights AS SELECT format('GRANT %s (%I) ON transfers TO kizo_app', privilege_type, column_name) AS body
			FROM information_schema.column_privileges WHERE table_name = 'transfers' AND grantee = 'kizo_app';
		DROP VIEW all_postings, all_events;
		FOR r IN SELECT * FROM triggers LOOP EXECUTE format('DROP TRIGGER %I ON transfers', r.tgname); END LOOP;
		ALTER TABLE transfers RENAME TO transfers_before;
		CREATE TABLE transfers (LIKE transfers_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY (id)) PARTITION BY RANGE (id);
		CREATE INDEX ON transfers (debit_account, id);
		CREATE INDEX ON transfers (credit_account, id);
		ALTER TABLE transfers ATTACH PARTITION transfers_before FOR VALUES FROM (MINVALUE) TO ('$cut');
		CREATE TABLE transfers_now PARTITION OF transfers FOR VALUES FROM ('$cut') TO (MAXVALUE);
		CREATE UNIQUE INDEX ON transfers_now (owner, idem_key);
		CREATE UNIQUE INDEX ON transfers_now (event_xid, event_id) WHERE event_xid IS NOT NULL;
		FOR r IN SELECT body FROM triggers UNION ALL SELECT body FROM rights
			UNION ALL SELECT format('CREATE VIEW %I AS %s', relname, body) FROM views
			UNION ALL SELECT format('GRANT SELECT ON %I TO kizo_app', relname) FROM views LOOP
			EXECUTE r.body;
		END LOOP;
	END $do$;
	COMMIT`

// makeReadOnly moves the old partition to a tablespace of its own.
const makeReadOnly = `
	ALTER TABLE transfers_before SET TABLESPACE $cheap;
	CREATE TRIGGER read_only BEFORE INSERT OR UPDATE ON transfers_before FOR EACH ROW EXECUTE FUNCTION refuse_change()`

// partitionAfter divides transfers after the transfer with an id.
func (h *fixture) partitionAfter(id uuid.UUID) {
	h.t.Helper()
	cut := id.String()[:20] + "fff-ffffffffffff" // above the id, below that of the next transfer
	testkit.Must(h.t, execAll(testkit.Connect(h.t, h.db.SuperuserURL), strings.ReplaceAll(partition, "$cut", cut)))
}

// TestOldMonthsInAnotherTablespace shows what holds, and what does not, if the transfers of old
// months are a partition in a read-only tablespace (docs/operations.md). Kizo does not do that.
func TestOldMonthsInAnotherTablespace(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(1000), h.user(1000)
	order := ledger.TransferRequest{Owner: alice, Key: "once", Payee: bob, Amount: usd(100)}
	old, err := h.Transfer(t.Context(), order)
	testkit.Must(t, err)
	before := h.now()
	h.transfer(alice, bob, 50)
	h.partitionAfter(h.transfer(bob, alice, 1).ID)
	super := testkit.Connect(t, h.db.SuperuserURL)
	for _, sql := range []string{`SET allow_in_place_tablespaces = on`, `CREATE TABLESPACE $cheap LOCATION ''`, makeReadOnly} {
		testkit.Must(t, execAll(super, strings.ReplaceAll(sql, "$cheap", "cheap_"+h.db.Name)))
	}

	// The ledger goes on. Balances, lists and totals read both partitions.
	h.transfer(alice, bob, 7)
	for at, want := range map[time.Time]int64{before: 900, h.now(): 844} {
		if got, _, err := h.BalanceAt(t.Context(), alice, "USD", at); err != nil || got != want {
			t.Errorf("the balance at %s is %d, %v, want %d", at, got, err, want)
		}
	}
	page, err := h.List(t.Context(), alice, ledger.Query{})
	if err != nil || len(page.Transfers) != 5 {
		t.Errorf("%d transfers in the list, %v", len(page.Transfers), err)
	}
	testkit.Must(t, checkMonths(t.Context(), h.Ledger, h.pool, alice, 5))

	// The ledger finds the key of an old month, and answers it as before.
	again, err := h.Transfer(t.Context(), order)
	if err != nil || !again.Replayed || again.Transfer.ID != old.Transfer.ID {
		t.Errorf("the old key: %+v, %v", again, err)
	}
	order.Amount = usd(101)
	_, err = h.Transfer(t.Context(), order)
	if problem.CodeOf(err) != ledger.KeyReused {
		t.Errorf("another transfer with the old key: %v", err)
	}

	// The database refuses a transfer of an old month that is reversed now: its row must change.
	if _, err := h.Reverse(t.Context(), ledger.FollowUp{Owner: bob, Key: newKey(), Target: old.Transfer.ID}); err == nil {
		t.Error("a transfer in the read-only partition was changed")
	}
	// It cannot refuse a key twice by itself: PostgreSQL has no unique index over partitions
	// unless it contains the column that they are divided by.
	_, err = super.Exec(t.Context(), `ALTER TABLE transfers ADD CONSTRAINT transfers_key_of_all UNIQUE (owner, idem_key)`)
	wantState(t, err, "0A000")
	report, err := ledger.Audit(t.Context(), h.pool)
	testkit.Must(t, err)
	if !report.OK() {
		t.Error(table(report))
	}
}
