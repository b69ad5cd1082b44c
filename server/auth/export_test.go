package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
)

// export reads all pages of the records of a user.
func (h *harness) export(p Principal) (all []Record, pages int) {
	h.t.Helper()
	for cursor := ""; ; pages++ {
		records, next, err := h.Records(h.t.Context(), p, cursor, Client{})
		testkit.Must(h.t, err)
		if len(records) > maxRecords || next != "" && (len(records) != maxRecords || next <= cursor) {
			h.t.Fatalf("a page of %d records after %q, before %q", len(records), cursor, next)
		}
		all = append(all, records...)
		if cursor = next; cursor == "" {
			return all, pages + 1
		}
	}
}

// notExported are the tables with ids of users that an export leaves out. docs/privacy.md says why.
var notExported = []string{"operator_actions", "operator_approvals", "operator_views"}

// TestExportHasEveryTable: each table of package auth that names a user is exported, all of its
// rows about the user and none about another, without secrets.
func TestExportHasEveryTable(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.clock.Advance(time.Since(h.clock.Now()))
	session, alice := h.signUp("alice")
	_, bob := h.signUp("bob")
	testkit.Equal(t, "handle", h.changeHandle(alice, "alina"), "")
	h.factorOf(alice, session)
	h.createKey(bob.ID, "other")
	h.asOwner(`INSERT INTO security_events (at, user_id, event, detail)
		SELECT now(), id, 'sign_in_failed', n::text FROM users, generate_series(1, 1200) n`)
	h.asOwner(`INSERT INTO api_keys (id, user_id, name, scopes, created_at) SELECT gen_random_uuid(), id, 'payroll', '{read}', now() FROM users WHERE handle = 'alina';
		INSERT INTO api_key_secrets SELECT sha256('x'), id, now(), now() + interval '1 day' FROM api_keys WHERE name = 'payroll';
		INSERT INTO step_up_thresholds SELECT user_id, 'USD', 1000000000000000 FROM second_factors;
		INSERT INTO reset_codes SELECT id, sha256('x'), now(), now() + interval '1 day' FROM users;
		INSERT INTO known_addresses SELECT id, sha256('x'), now() FROM users;
		INSERT INTO known_devices SELECT id, sha256('y'), gen_random_uuid(), now(), now() FROM users;
		INSERT INTO mailed_codes (user_id, purpose, request_id, email, expires_at, counted_at, codes)
			SELECT id, 'verify_email', gen_random_uuid(), email, now() + interval '1 minute', now(), 1 FROM users;
		INSERT INTO device_logins SELECT gen_random_uuid(), sha256('1'), sha256('2'), NULL, 'kizo', '', now(), now() + interval '1 minute', NULL, 5,
			false, now(), id, gen_random_uuid(), NULL FROM users WHERE handle = 'alina'`)

	p := h.principal(h.Service, session)
	records, pages := h.export(p)
	rows := map[string]int{}
	for _, record := range records {
		rows[record.Table]++
		text := fmt.Sprint(record.Row)
		if strings.Contains(text, bob.ID.String()) {
			t.Errorf("%s has a record of another user: %s", record.Table, text)
		}
		for name, value := range record.Row {
			if hex, ok := value.(string); ok && strings.HasPrefix(hex, `\x`) {
				t.Errorf("%s.%s is exported: %s", record.Table, name, hex)
			}
			if strings.Contains(text, "$argon2id$") || slices.Contains(secretColumns, name) {
				t.Errorf("%s.%s is exported", record.Table, name)
			}
		}
	}
	// The rows that name the user, of each table that refers to users.
	conn := testkit.Connect(t, h.db.AdminURL)
	found, err := conn.Query(t.Context(), `SELECT conrelid::regclass::text, attname FROM pg_constraint c
		JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = conkey[1]
		WHERE contype = 'f' AND confrelid IN ('users'::regclass, 'second_factors'::regclass)`)
	testkit.Must(t, err)
	type reference struct{ Table, Column string }
	references, err := pgx.CollectRows(found, pgx.RowToStructByPos[reference])
	testkit.Must(t, err)
	if len(references) < 12 {
		t.Fatalf("only %d references to users", len(references))
	}
	for _, r := range references {
		if slices.Contains(notExported, r.Table) {
			continue
		}
		var want int
		h.scan("SELECT count(*) FROM "+r.Table+" WHERE "+r.Column+" = $1", alice.ID, &want)
		if want == 0 {
			t.Errorf("the test has no row of %s", r.Table)
		}
		testkit.Equal(t, "rows of "+r.Table, rows[r.Table], want)
	}
	for _, table := range []string{"users", "refresh_tokens", "api_key_secrets"} { // these refer to other tables, or to none
		if rows[table] == 0 {
			t.Errorf("no row of %s", table)
		}
	}
	testkit.Equal(t, "pages", pages, 3)
	testkit.Equal(t, "events of the first export", h.countEvents(alice.ID, EventDataExported), 1)
	h.export(p)
	testkit.Equal(t, "events within an hour", h.countEvents(alice.ID, EventDataExported), 1)
	h.clock.Advance(time.Hour)
	h.export(p)
	testkit.Equal(t, "events after an hour", h.countEvents(alice.ID, EventDataExported), 2)
	t.Logf("%d records of %d tables", len(records), len(rows))
}
