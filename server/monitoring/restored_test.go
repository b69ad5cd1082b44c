package monitoring

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
)

func TestMain(m *testing.M) { pgtest.Main(m, migrations.Apply) }

// The database is replaced by a restored one while kizod is connected to it.
func TestRestoredDatabaseIsNotReady(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, nil))
	pool, err := pgxpool.New(t.Context(), db.AppURL)
	testkit.Must(t, err)
	t.Cleanup(pool.Close)
	ready := &Readiness{
		Dependencies: &Dependencies{queues: cachedProbe[QueueStatus]{log: log, query: func(context.Context) (QueueStatus, error) { return QueueStatus{}, nil }}},
		Serving:      func() bool { return true }, Database: NewDatabase(pool, log), Restored: NewRestoredCheck(pool, log),
	}
	readyz := func() (int, string) {
		ready.Restored.runOnce(t.Context())
		answer := httptest.NewRecorder()
		ready.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
		return answer.Code, answer.Body.String()
	}
	if status, body := readyz(); status != http.StatusOK {
		t.Fatalf("before: %d %s", status, body)
	}
	const event = `INSERT INTO events (xid, transfer_id, state, debit_account, at, digest)
		VALUES ('9000000000', gen_random_uuid(), 'refused', 1, now(), sha256(''))`
	_, err = testkit.Connect(t, db.SuperuserURL).Exec(t.Context(), event)
	testkit.Must(t, err)
	for range 2 {
		if status, body := readyz(); status != http.StatusServiceUnavailable || !strings.Contains(body, "kizod repair") {
			t.Errorf("restored: %d %s", status, body)
		}
	}
	_, err = ledger.Repair(t.Context(), testkit.Connect(t, db.AdminURL), false)
	testkit.Must(t, err)
	if status, body := readyz(); status != http.StatusOK {
		t.Errorf("repaired: %d %s", status, body)
	}
	if n := strings.Count(logged.String(), "\n"); n != 2 {
		t.Errorf("%d lines in the log, want one for each change:\n%s", n, logged.String())
	}
}

// Every SQL statement of the package is valid for kizod's role.
func TestStatementsPrepare(t *testing.T) {
	t.Parallel()
	if n := testkit.PrepareStatements(t, testkit.Connect(t, pgtest.New(t).AppURL), nil); n < 2 {
		t.Errorf("%d statements were prepared, want at least 2", n)
	}
}
