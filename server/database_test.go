package server_test

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// recovery is the maximum time until all writes succeed after the database accepts them again.
const recovery = 5 * time.Second

// writes sends n commands of the ledger and n other writes concurrently. The transfers exceed the
// balance; the ledger writes their refusal.
func (p *user) writes(url string, n int) (failed []string) {
	type write struct {
		method, path string
		body         any
		want         int
	}
	var (
		mu      sync.Mutex
		running sync.WaitGroup
	)
	for i := range n {
		for _, w := range []write{
			{http.MethodPost, "/v1/transfers", usdTo(1_000_000, "@bob"), http.StatusUnprocessableEntity},
			{http.MethodPatch, "/v1/me", map[string]string{"name": fmt.Sprint("Name ", i)}, http.StatusOK},
		} {
			running.Go(func() {
				key := ""
				if w.path == "/v1/transfers" {
					key = uuid.NewString()
				}
				a, err := send(w.method, url+w.path, p.token, key, w.body, nil)
				if err != nil || a.status != w.want {
					mu.Lock()
					defer mu.Unlock()
					failed = append(failed, fmt.Sprintf("%s %d %s %v", w.path, a.status, a.field("code"), err))
				}
			})
		}
	}
	running.Wait()
	return failed
}

// mustRecover waits until all writes succeed, checks that this took no longer than recovery, and
// that no later write fails.
func (p *user) mustRecover(urls ...string) {
	p.t.Helper()
	since := time.Now()
	for _, url := range urls {
		var failed []string
		testkit.Eventually(p.t, "all writes succeed", func() bool {
			failed = p.writes(url, 12)
			return len(failed) == 0 || time.Since(since) > 3*recovery
		})
		if took := time.Since(since); took > recovery {
			p.t.Errorf("writes succeed %v after the database accepts them, want %v; failed %q", took, recovery, failed)
		}
	}
	for _, url := range urls {
		for range 3 {
			if failed := p.writes(url, 12); len(failed) > 0 {
				p.t.Errorf("%d writes failed after others had succeeded: %q", len(failed), failed)
			}
		}
	}
}

func readyStatus(t *testing.T, s *server.Server) func() string {
	return func() string {
		a := mustGet(t, s.OpsURL()+"/readyz")
		return fmt.Sprint(a.status, " ", a.field("status"))
	}
}

// reads sends concurrent requests that read, on many database sessions.
func (p *user) reads(url string) (failed []string) {
	var (
		mu      sync.Mutex
		running sync.WaitGroup
	)
	for range 24 {
		running.Go(func() {
			if a, err := send(http.MethodGet, url+"/v1/transfers", p.token, "", nil, nil); err != nil || a.status != http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, fmt.Sprintf("%d %s %v", a.status, a.field("code"), err))
			}
		})
	}
	running.Wait()
	return failed
}

func (p *user) mustRead(url string) {
	p.t.Helper()
	if failed := p.reads(url); len(failed) > 0 {
		p.t.Errorf("%d reads failed: %q", len(failed), failed)
	}
}

// While the database is read-only, kizod is not ready and serves reads. Database sessions that were
// opened in that time are replaced afterwards, in every part of kizod.
func TestDatabaseBecomesReadOnly(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	c := config(t, db.AppURL)
	c.Roles = server.AllRoles()
	s := start(t, c)
	signUp(t, s.URL(), "bob")
	alice := signUp(t, s.URL(), "alice")
	ready := readyStatus(t, s)
	if got := ready(); got != "200 ready" {
		t.Error(got)
	}
	role := "ALTER ROLE kizo_app IN DATABASE " + pgx.Identifier{db.Name}.Sanitize()
	execute(t, db.SuperuserURL, role+" SET default_transaction_read_only = on")
	execute(t, db.SuperuserURL, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND usename = 'kizo_app'`)
	testkit.Eventually(t, "kizod is not ready", func() bool { return ready() == "503 database is read-only" })
	alice.mustRead(s.URL())
	for _, failed := range alice.writes(s.URL(), 1) {
		if !strings.Contains(failed, "503 unavailable") {
			t.Error(failed)
		}
	}
	alice.mustRead(s.URL())
	if metrics := mustGet(t, s.OpsURL()+"/metrics").body; !strings.Contains(metrics, "kizo_database_writable 0") {
		t.Error("the metric says that the database is writable")
	}
	execute(t, db.SuperuserURL, role+" RESET default_transaction_read_only")
	alice.mustRecover(s.URL())
	testkit.Eventually(t, "kizod is ready", func() bool { return ready() == "200 ready" })
}

// A migration changes the type of a column while all sessions have prepared statements on it.
func TestStalePlan(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := start(t, config(t, db.AppURL))
	signUp(t, s.URL(), "bob")
	alice := signUp(t, s.URL(), "alice")
	if failed := alice.writes(s.URL(), 12); len(failed) > 0 {
		t.Fatal(failed)
	}
	alice.mustRead(s.URL())
	for _, column := range []string{"accounts ALTER currency", "transfers ALTER memo"} {
		execute(t, db.AdminURL, `ALTER TABLE `+column+` TYPE varchar(200)`)
	}
	// A session reports the stale plan at its next use. That request fails and can be repeated.
	for _, failed := range append(alice.reads(s.URL()), alice.writes(s.URL(), 12)...) {
		if !strings.Contains(failed, "503 unavailable") {
			t.Error(failed)
		}
	}
	alice.mustRecover(s.URL())
	alice.mustRead(s.URL())
}

// cluster starts a PostgreSQL for this test alone.
func cluster(t *testing.T, dir string) *embedded.Postgres {
	t.Helper()
	pg, err := embedded.StartPostgres(t.Context(), embedded.PostgresConfig{Dir: dir})
	testkit.Must(t, err)
	t.Cleanup(func() { _ = pg.Kill() })
	return pg
}

// standbyOf starts a hot standby that replicates from primary.
func standbyOf(t *testing.T, primary *embedded.Postgres) *embedded.Postgres {
	t.Helper()
	var bin string
	conn, err := pgx.Connect(t.Context(), primary.URL("postgres", embedded.AdminRole))
	testkit.Must(t, err)
	defer conn.Close(context.Background())
	testkit.Must(t, conn.QueryRow(t.Context(), `SELECT setting FROM pg_config WHERE name = 'BINDIR'`).Scan(&bin))
	tool := filepath.Join(bin, "pg_basebackup")
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("a standby needs pg_basebackup: %v", err)
	}
	dir := pgtest.TempDir(t)
	out, err := exec.CommandContext(t.Context(), tool, "--pgdata", filepath.Join(dir, "pgdata"), "--write-recovery-conf", "--wal-method", "stream",
		"--checkpoint", "fast", "--dbname", primary.URL("postgres", embedded.AdminRole)).CombinedOutput()
	if err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, out)
	}
	return cluster(t, dir)
}

// either returns the URL of two servers; a client connects to the one that accepts writes.
func either(a, b *embedded.Postgres) string {
	return fmt.Sprintf("postgres://%s@/%s?host=%s,%s&port=%d,%d&sslmode=disable&target_session_attrs=read-write",
		embedded.AppRole, server.Database, a.SocketDir, b.SocketDir, a.Port, b.Port)
}

// The primary is killed and its standby is promoted. A kizod whose URL names both, and one whose
// URL names the standby, accept writes within recovery.
func TestFailover(t *testing.T) {
	t.Parallel()
	primary := cluster(t, pgtest.TempDir(t))
	testkit.Must(t, primary.EnsureDatabase(t.Context(), server.Database))
	testkit.Must(t, migrations.Apply(t.Context(), primary.URL(server.Database, embedded.OwnerRole)))
	standby := standbyOf(t, primary)

	c := config(t, either(primary, standby))
	c.Roles = server.AllRoles()
	both := start(t, c)
	signUp(t, both.URL(), "bob")
	alice := signUp(t, both.URL(), "alice")
	c.DatabaseURL = standby.URL(server.Database, embedded.AppRole)
	alone := start(t, c)
	readyBoth, readyAlone := readyStatus(t, both), readyStatus(t, alone)
	if got := readyBoth(); got != "200 ready" {
		t.Error(got)
	}
	if got := readyAlone(); got != "503 database is read-only" {
		t.Error(got)
	}
	testkit.Eventually(t, "the standby has replicated alice", func() bool {
		a, err := send(http.MethodGet, alone.URL()+"/v1/wallets", alice.token, "", nil, nil)
		return err == nil && a.status == http.StatusOK
	})
	alice.mustRead(alone.URL())
	if failed := alice.writes(both.URL(), 12); len(failed) > 0 {
		t.Error(failed)
	}

	testkit.Must(t, primary.Kill())
	testkit.Eventually(t, "kizod is not ready", func() bool { return strings.HasPrefix(readyBoth(), "503 ") })
	execute(t, standby.URL("postgres", embedded.AdminRole), `SELECT pg_promote()`)
	alice.mustRecover(both.URL(), alone.URL())
	for _, ready := range []func() string{readyBoth, readyAlone} {
		testkit.Eventually(t, "kizod is ready", func() bool { return ready() == "200 ready" })
	}
}

// The metrics name a locked account and the database session that keeps the lock.
func TestMetricsOfALock(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := start(t, config(t, db.AppURL))
	signUp(t, s.URL(), "bob")
	alice := signUp(t, s.URL(), "alice")
	conn, err := pgx.Connect(t.Context(), db.AdminURL)
	testkit.Must(t, err)
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	testkit.Must(t, err)
	var account int64
	testkit.Must(t, tx.QueryRow(t.Context(), `SELECT a.id FROM accounts a JOIN users u ON u.id = a.owner
		WHERE u.handle = 'alice' FOR UPDATE OF a`).Scan(&account))
	if a, err := alice.post("/v1/transfers", 0, usdTo(1, "@bob")); err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s %v", a.status, a.body, err)
	}
	metrics := func() string { return mustGet(t, s.OpsURL()+"/metrics").body }
	named := fmt.Sprintf(`kizo_ledger_locked_row_seconds{account="%d",blocking_pids="%d",transfer=""} `, account, conn.PgConn().PID())
	testkit.Eventually(t, "the metrics name the account", func() bool {
		m := metrics()
		return strings.Contains(m, named) && strings.Contains(m, "kizo_ledger_locked_rows 1") && !strings.Contains(m, "kizo_ledger_lock_timeouts_total 0")
	})
	testkit.Must(t, tx.Rollback(t.Context()))
	testkit.Eventually(t, "the account is unlocked", func() bool { return strings.Contains(metrics(), "kizo_ledger_locked_rows 0") })
	if strings.Contains(metrics(), "kizo_ledger_locked_row_seconds{") {
		t.Error("the metrics name an account that is unlocked")
	}
}
