package migrations

import (
	"database/sql"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/JDevAman/kizo/fold"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// Names and memos from before the folded forms get them.
func TestOldNamesAndMemosAreFolded(t *testing.T) {
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
	const before = 11
	if _, err := provider.UpTo(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	texts := []string{"Ünal", "U\u0308nal", "Straße", "ΟΔΥΣΣΕΥΣ", "İstanbul", "Lunch"}
	for i, text := range texts {
		if _, err := db.ExecContext(t.Context(), `WITH u AS (
				INSERT INTO users (id, email, handle, name, name_key, password_hash, pepper_id, created_at, updated_at)
				VALUES (gen_random_uuid(), $1 || '@example.com', $1, $2, lower($2), '$argon2id$v=19$x', 'p1', now(), now()) RETURNING id)
			INSERT INTO transfers (id, kind, state, debit_account, amount, currency, owner, idem_key, fingerprint, memo, reason, created_at, resolved_at)
			SELECT gen_random_uuid(), 'transfer', 'refused', 1, 1, 'USD', id, $1, sha256(''), $2, 'insufficient_funds', now(), now() FROM u`,
			"u"+string(rune('a'+i)), text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		var name, memo string
		if err := db.QueryRowContext(t.Context(), `SELECT u.name_key, COALESCE(t.memo_key, lower(t.memo COLLATE "C"))
			FROM users u JOIN transfers t ON t.owner = u.id WHERE u.name = $1`, text).Scan(&name, &memo); err != nil {
			t.Fatal(err)
		}
		if want := fold.Text(text); name != want || memo != want {
			t.Errorf("%+q: name %+q, memo %+q, want %+q", text, name, memo, want)
		}
	}
}
