package migrations

import (
	"database/sql"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// What 0010 and 0011 derive from the rows of an older database: the sums of the open
// holds, and that a user with a frozen account is frozen with all accounts.
func TestHoldsAndFreezesOfAnOlderDatabase(t *testing.T) {
	t.Parallel()
	pg := pgtest.Empty(t)
	db, err := sql.Open("pgx", pg.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, pg.AdminURL)
	if _, err := conn.Exec(t.Context(), `
		INSERT INTO accounts (public_id, owner, currency, kind, floor, status) VALUES
			(gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'USD', 'wallet', 0, 'frozen'),
			(gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'EUR', 'wallet', 0, 'active'),
			(gen_random_uuid(), '00000000-0000-7000-8000-000000000002', 'USD', 'wallet', 0, 'active');
		INSERT INTO accounts (public_id, currency, kind) VALUES (gen_random_uuid(), 'USD', 'clearing');
		INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount, currency, owner, idem_key, fingerprint, created_at, resolved_at, reason, posted_amount)
		SELECT gen_random_uuid(), kind, state, 1, 3, amount, 'USD', gen_random_uuid(), 'k', sha256(''), now(),
			CASE state WHEN 'pending' THEN NULL ELSE now() END, CASE state WHEN 'voided' THEN 'expired' ELSE '' END, 0
		FROM (VALUES ('authorization', 'pending', 5), ('withdrawal', 'pending', 7), ('deposit', 'pending', 100), ('authorization', 'voided', 100)) v (kind, state, amount)`); err != nil {
		t.Fatal(err)
	}
	if err := Apply(t.Context(), pg.AdminURL); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := conn.QueryRow(t.Context(), `SELECT
		(SELECT string_agg(id || ' ' || status, ', ' ORDER BY id) FROM accounts) || '; ' ||
		(SELECT string_agg(account_id || ' ' || held, ', ' ORDER BY account_id) FROM account_holds) || '; ' ||
		(SELECT string_agg(right(owner::text, 1) || ' ' || status, ', ' ORDER BY owner) FROM account_owners)`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if want := "1 frozen, 2 frozen, 3 active, 4 active; 1 12; 1 frozen, 2 active"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
