package server_test

import (
	"context"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/hibiken/asynq"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/embedded/redistest"
)

func TestOpsListener(t *testing.T) {
	t.Parallel()
	d := startDev(t, server.DevConfig{Dir: pgtest.TempDir(t), RedisInProcess: true})
	alice := signUp(t, d.URL(), "alice")
	bob := signUp(t, d.URL(), "bob")
	alice.mustPost("/v1/deposits", usd(100_00))
	alice.mustPost("/v1/transfers", usdTo(10_00, "@bob"))
	if got, err := get(d.URL() + "/no/such/alice"); err != nil || got.status != http.StatusNotFound {
		t.Errorf("got %+v, %v", got, err)
	}

	var metrics string
	testkit.Eventually(t, "a heartbeat of the workers in the metrics", func() bool {
		metrics = mustGet(t, d.OpsURL()+"/metrics").body
		return strings.Contains(metrics, "kizo_worker_slots 50")
	})
	for _, family := range []string{
		"kizo_http_request_seconds_bucket", "kizo_ledger_batch_commands_bucket", "kizo_ledger_commit_seconds_bucket",
		`kizo_settlement_seconds_count{direction="deposit",outcome="executed"} 1`, "kizo_bank_unknown_total 0",
		"kizo_settlement_enqueue_failures_total 0", "kizo_janitor_claims_total", "kizo_database_connections_busy",
		`route="/v1/transfers"`, "go_goroutines", "process_open_fds", "go_sched_latencies_seconds_bucket",
		`kizo_bank_request_seconds_count{op="submit",outcome="executed"} 1`, `kizo_bank_request_seconds_count{op="status",outcome="executed"} 1`,
		"kizo_redis_up 1", `kizo_queue_tasks{queue="bank",state="pending"} `, `kizo_queue_oldest_seconds{queue="bank"} `, `kizo_queue_paused{queue="bank"} 0`,
		"kizo_worker_slots 50", "kizo_database_up 1", "kizo_database_connections_idle", "kizo_database_connections_max 24", "kizo_database_acquire_waits_total",
		"kizo_database_idle_transaction_seconds 0", "kizo_database_write_transaction_seconds",
		"kizo_payments_overdue 0", "kizo_payments_in_review 0", "kizo_bank_discrepancies_open 0",
		"kizo_database_writable 1", "kizo_database_clock_ahead_seconds ", "kizo_ledger_lock_timeouts_total 0", "kizo_ledger_remembered_batches_total ", "kizo_ledger_outdated_batches_total 0", "kizo_ledger_locked_rows 0",
		`roles="api,auth,worker,janitor",version=""} 1`,
	} {
		if !strings.Contains(metrics, family) {
			t.Errorf("there is no %s", family)
		}
	}
	personal := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}|alice|bob|example\.com`)
	if found := personal.FindString(metrics); found != "" {
		t.Errorf("the metrics contain personal data: %q", found)
	}

	if got := mustGet(t, d.URL()+"/no/such/bob"); got.status != http.StatusNotFound {
		t.Errorf("%d", got.status)
	}
	if got, err := send(http.MethodDelete, d.URL()+"/v1/transfers", "", "", nil, nil); err != nil || got.status != http.StatusMethodNotAllowed {
		t.Errorf("%+v, %v", got, err)
	}
	metrics = mustGet(t, d.OpsURL()+"/metrics").body
	testkit.Contains(t, metrics, `kizo_http_request_seconds_count{method="GET",route="none",status="404"} 2`,
		`kizo_http_request_seconds_count{method="DELETE",route="none",status="405"} 1`)

	for path, want := range map[string]int{
		"/livez": 200, "/readyz": 200, "/metrics": 200, "/debug/pprof/": 404, "/debug/pprof/goroutine?debug=1": 404, "/v1/me": 404,
	} {
		if got := mustGet(t, d.OpsURL()+path); got.status != want {
			t.Errorf("operators get %d for %s, want %d", got.status, path, want)
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		if got := mustGet(t, d.URL()+path); got.status != http.StatusNotFound {
			t.Errorf("the API answers %d for %s", got.status, path)
		}
	}
	bob.wantBalance(10_00, 0)
}

// Without Redis, its metrics are absent and not 0, and the others are there. The result of an audit
// is a metric once an operator has requested one.
func TestMetricsWithoutRedis(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	c := config(t, db.AppURL)
	c.OperatorsWithoutSecondFactor = true
	s := start(t, c)
	metrics := mustGet(t, s.OpsURL()+"/metrics")
	testkit.Contains(t, metrics.body, "kizo_redis_up 0", "kizo_database_up 1", "kizo_payments_overdue 0")
	for _, absent := range []string{"kizo_queue_tasks{", "kizo_worker_slots ", "kizo_audit_ok{"} {
		if strings.Contains(metrics.body, absent) {
			t.Errorf("%s is there", absent)
		}
	}
	signUp(t, s.URL(), "olga")
	execute(t, db.AdminURL, `UPDATE users SET role = 'operator' WHERE handle = 'olga'`)
	root := logIn(t, s.URL(), "olga")
	report, err := send(http.MethodPost, s.URL()+"/v1/ops/audit", root.token, "", nil, nil)
	if err != nil || report.status != http.StatusOK {
		t.Fatalf("%+v, %v", report, err)
	}
	metrics = mustGet(t, s.OpsURL()+"/metrics")
	testkit.Contains(t, metrics.body, `kizo_audit_ok{mode="full"} 1`, `kizo_audit_timestamp_seconds{mode="full"} `)
}

// hangingRedis accepts connections and never answers; connected receives one value for each.
func hangingRedis(t *testing.T) (address string, connected <-chan struct{}) {
	t.Helper()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, silent.Close()) })
	accepted := make(chan struct{}, 1024)
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			select {
			case accepted <- struct{}{}:
			default:
			}
		}
	}()
	return silent.Addr().String(), accepted
}

// A Redis that accepts a command and never answers delays no scrape beyond its timeout.
func TestMetricsWhileRedisHangs(t *testing.T) {
	t.Parallel()
	silent, connected := hangingRedis(t)
	c := config(t, pgtest.New(t).AppURL)
	c.Redis = asynq.RedisClientOpt{Addr: silent, ReadTimeout: -1} // no timeout of its own
	s := start(t, c)
	for range 2 {
		testkit.Contains(t, mustGet(t, s.OpsURL()+"/metrics").body, "kizo_redis_up 0", "kizo_database_up 1", "kizo_ledger_commit_seconds")
	}
	select {
	case <-connected:
	default:
		t.Error("Redis got no connection")
	}
}

// TestReadyzShowsRoles: a process reports what its roles use. Redis that does not answer makes none
// of them unready.
func TestReadyzShowsRoles(t *testing.T) {
	t.Parallel()
	c, redis := config(t, pgtest.New(t).AppURL), redistest.New(t)
	c.Roles, c.Redis = []server.Role{server.RoleAPI}, asynq.RedisClientOpt{Network: redis.Network(), Addr: redis.Addr()}
	got := mustGet(t, start(t, c).OpsURL()+"/readyz")
	testkit.Equal(t, "status", got.status, 200)
	testkit.Equal(t, "answer", strings.TrimSpace(got.body), `{"status":"ready","version":"test","roles":["api"],"database":"writable","redis":"answers"}`)
}

func TestNotReadyWithoutDatabase(t *testing.T) {
	t.Parallel()
	dir := pgtest.TempDir(t)
	run := func() *embedded.Postgres {
		pg, err := embedded.StartPostgres(t.Context(), embedded.PostgresConfig{Dir: dir})
		testkit.Must(t, err)
		t.Cleanup(func() { _ = pg.Kill() })
		return pg
	}
	pg := run()
	testkit.Must(t, pg.EnsureDatabase(t.Context(), server.Database))
	testkit.Must(t, migrations.Apply(t.Context(), pg.URL(server.Database, embedded.OwnerRole)))
	c := config(t, pg.URL(server.Database, embedded.AppRole))
	c.Roles = server.AllRoles()
	s := start(t, c)
	ready := func() answer { return mustGet(t, s.OpsURL()+"/readyz") }
	if got := ready(); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	} else {
		testkit.Contains(t, got.body, `{"status":"ready","version":"test","roles":["api","auth","worker","janitor"],"database":"writable",`+
			`"redis":"no answer","bank":"answers","hash_queue":{"waiting":0,"full":false}}`)
	}
	testkit.Must(t, pg.Stop(context.Background()))
	if got := ready(); got.status != http.StatusServiceUnavailable {
		t.Errorf("ready without a database: %d %s", got.status, got.body)
	} else {
		testkit.Contains(t, got.body, `"status":"no database","reason":"`, `"database":"no answer"`)
	}
	if got := mustGet(t, s.OpsURL()+"/livez"); got.status != 200 {
		t.Errorf("not live without a database, although a restart would not help: %d", got.status)
	}
	run()
	testkit.Eventually(t, "it is ready again", func() bool { return ready().status == 200 })
}
