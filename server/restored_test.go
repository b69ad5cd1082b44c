package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
)

// The database is replaced by a restored one while kizod is connected to it.
func TestARestoredDatabaseBehindARunningServer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var said strings.Builder
	log := slog.New(slog.NewTextHandler(&said, nil))
	database, err := openDatabase(t.Context(), Config{DatabaseURL: db.AppURL, MaxConnections: 4}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.pool.Close)
	s := &Server{database: database, restored: restoredCheck{pool: database.pool, log: log}}
	s.ready.Store(true)
	readyz := func() (int, string) {
		s.restored.look(t.Context())
		answer := httptest.NewRecorder()
		s.readyz(answer, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
		return answer.Code, answer.Body.String()
	}
	if status, body := readyz(); status != http.StatusOK {
		t.Fatalf("before: %d %s", status, body)
	}
	const event = `INSERT INTO events (xid, transfer_id, state, debit_account, at, digest)
		VALUES ('9000000000', gen_random_uuid(), 'refused', 1, now(), sha256(''))`
	if _, err := connectTo(t, db.SuperuserURL).Exec(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status, body := readyz(); status != http.StatusServiceUnavailable || !strings.Contains(body, "kizod repair") {
			t.Errorf("restored: %d %s", status, body)
		}
	}
	if _, err := ledger.Repair(t.Context(), connectTo(t, db.AdminURL), false); err != nil {
		t.Fatal(err)
	}
	if status, body := readyz(); status != http.StatusOK {
		t.Errorf("repaired: %d %s", status, body)
	}
	if n := strings.Count(said.String(), "\n"); n != 2 {
		t.Errorf("%d lines in the log, want one for each change:\n%s", n, said.String())
	}
}

func connectTo(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Release)
	return conn.Conn()
}
