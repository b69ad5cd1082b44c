package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// A database that may lose committed transactions is refused, unless the operator accepts that with
// LoseMoney.
func TestNonDurableDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	// The test needs a PostgreSQL of its own, since these settings apply to all its databases.
	pg, err := embedded.StartPostgres(t.Context(), embedded.PostgresConfig{Dir: pgtest.TempDir(t)})
	testkit.Must(t, err)
	t.Cleanup(func() { _ = pg.Kill() })
	testkit.Must(t, pg.EnsureDatabase(t.Context(), server.Database))
	testkit.Must(t, migrations.Apply(t.Context(), pg.URL(server.Database, embedded.OwnerRole)))
	c := config(t, pg.URL(server.Database, embedded.AppRole))
	admin, err := pgx.Connect(t.Context(), pg.URL(server.Database, embedded.AdminRole))
	testkit.Must(t, err)
	t.Cleanup(func() { admin.Close(context.Background()) })
	set := func(name, value string) {
		t.Helper()
		for _, sql := range []string{"ALTER SYSTEM SET " + name + " = " + value, "SELECT pg_reload_conf()"} {
			_, err := admin.Exec(t.Context(), sql)
			testkit.Must(t, err)
		}
		testkit.Eventually(t, name+" is "+value, func() bool {
			var now string
			testkit.Must(t, admin.QueryRow(t.Context(), "SHOW "+name).Scan(&now))
			return now == value
		})
	}
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		set(name, "off")
		testkit.Contains(t, refused(t, c), "may lose committed transactions", name+" = off", "turn it on")
		accepting := c
		accepting.LoseMoney = true
		testkit.Must(t, start(t, accepting).Close())
		set(name, "on")
	}
	testkit.Must(t, start(t, c).Close())
}

// The same for a setting of this database alone, and of this connection alone.
func TestNonDurableSessionIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	separator := "?"
	if strings.Contains(db.AppURL, "?") {
		separator = "&"
	}
	testkit.Contains(t, refused(t, config(t, db.AppURL+separator+"synchronous_commit=off")), "synchronous_commit = off")
	execute(t, db.AdminURL, "ALTER DATABASE "+db.Name+" SET synchronous_commit = off")
	testkit.Contains(t, refused(t, config(t, db.AppURL)), "synchronous_commit = off")
}

func TestPrivilegedRoleIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	testkit.Contains(t, refused(t, config(t, db.AdminURL)), "kizo_owner", "owns the tables", "connect as kizo_app")
	testkit.Contains(t, refused(t, config(t, db.SuperuserURL)), "kizo_admin", "is superuser", "connect as kizo_app")
	for grant, words := range map[string]string{
		"GRANT UPDATE (amount) ON postings TO kizo_app":              "may change postings",
		"GRANT DELETE ON operator_actions TO kizo_app":               "may change operator_actions",
		"GRANT TRUNCATE ON accounts TO kizo_app":                     "may empty accounts",
		"GRANT TRIGGER ON transfers TO kizo_app":                     "may add triggers to transfers",
		"GRANT UPDATE (role) ON users TO kizo_app":                   "may make operators",
		"GRANT TEMPORARY ON DATABASE $db TO kizo_app":                "may create temporary tables (REVOKE TEMPORARY ON DATABASE $db FROM PUBLIC, kizo_app)",
		"GRANT TEMPORARY ON DATABASE $db TO PUBLIC":                  "may create temporary tables",
		"GRANT CREATE ON DATABASE $db TO kizo_app":                   "may create schemas (REVOKE CREATE ON DATABASE $db FROM PUBLIC, kizo_app)",
		"GRANT CREATE ON SCHEMA public TO PUBLIC":                    "may create objects in public (REVOKE CREATE ON SCHEMA public FROM PUBLIC, kizo_app)",
		"CREATE SCHEMA spare; GRANT ALL ON SCHEMA spare TO kizo_app": "may create objects in spare",
		"CREATE SCHEMA spare; GRANT USAGE ON SCHEMA spare TO kizo_app; CREATE TABLE spare.postings (LIKE public.postings); " +
			"ALTER ROLE kizo_app IN DATABASE $db SET search_path = spare, public": "does not see postings",
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			execute(t, db.SuperuserURL, strings.ReplaceAll(grant, "$db", db.Name))
			testkit.Contains(t, refused(t, config(t, db.AppURL)), strings.ReplaceAll(words, "$db", db.Name), "revoke that")
		})
	}
}

func TestOtherSchemaIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	execute(t, db.AdminURL, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)")
	testkit.Contains(t, refused(t, config(t, db.AppURL)), "schema 9999", "newer kizod")
	execute(t, db.AdminURL, "DELETE FROM goose_db_version WHERE version_id > 1")
	testkit.Contains(t, refused(t, config(t, db.AppURL)), "schema 1", "`kizod migrate`")
	testkit.Contains(t, refused(t, config(t, pgtest.Empty(t).AppURL)), "`kizod migrate`")
}

// A server does not start while a kizod of an older version is connected, and starts when that has
// gone.
func TestStartWaitsForOlderVersion(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	older, err := pgx.ParseConfig(db.AppURL)
	testkit.Must(t, err)
	older.RuntimeParams["application_name"] = "kizod"
	session, err := pgx.ConnectConfig(t.Context(), older)
	testkit.Must(t, err)
	t.Cleanup(func() { session.Close(context.Background()) })

	waiting := make(chan string, 1)
	c := config(t, db.AppURL)
	c.Logger = slog.New(logFunc(func(text string) {
		if strings.Contains(text, "older version") {
			waiting <- text
		}
	}))
	started := make(chan *server.Server, 1)
	go func() {
		s, err := server.Start(t.Context(), c)
		if err != nil {
			t.Error(err)
		}
		started <- s
	}()
	<-waiting
	select {
	case <-started:
		t.Fatal("it started beside the older version")
	default:
	}
	testkit.Must(t, session.Close(t.Context()))
	if s := <-started; s != nil {
		testkit.Must(t, s.Close())
	}
}

// logFunc is called with the message of each record.
type logFunc func(message string)

func (f logFunc) Enabled(context.Context, slog.Level) bool { return true }
func (f logFunc) WithAttrs([]slog.Attr) slog.Handler       { return f }
func (f logFunc) WithGroup(string) slog.Handler            { return f }
func (f logFunc) Handle(_ context.Context, r slog.Record) error {
	f(r.Message)
	return nil
}

func TestUnreachableDatabase(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"nothing listens": "postgres://kizo_app:hunter2@127.0.0.1:1/kizo",
		"no socket":       "postgres://kizo_app:hunter2@/kizo?host=/nonexistent",
		"unreadable":      "postgres://kizo_app:hunter2@127.0.0.1:99999999/kizo",
	} {
		text := refused(t, config(t, url))
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s: the error contains the password: %s", name, text)
		}
		testkit.Contains(t, text, "database")
		if strings.Contains(text, "migrate") {
			t.Errorf("%s: %q suggests a migration", name, text)
		}
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	t.Cleanup(func() { taken.Close() })
	c := config(t, db.AppURL)
	c.Listen = taken.Addr().String()
	testkit.Contains(t, refused(t, c), "--listen", c.Listen, "in use")
	c = config(t, db.AppURL)
	c.OpsListen = taken.Addr().String()
	testkit.Contains(t, refused(t, c), "--ops-listen", c.OpsListen, "in use")

	// Listeners that were opened before the failure are closed.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	c.Listen = free.Addr().String()
	free.Close()
	refused(t, c)
	again, err := net.Listen("tcp", c.Listen)
	testkit.Must(t, err)
	again.Close()
}

// A process with one role serves the part of that role, and names the other role for the rest.
func TestRoles(t *testing.T) {
	t.Parallel()
	c := config(t, pgtest.New(t).AppURL)
	for _, role := range []server.Role{server.RoleWorker, server.RoleJanitor} {
		c.Roles = []server.Role{role}
		s := start(t, c)
		if s.URL() != "" {
			t.Errorf("a %s listens for the API on %s", role, s.URL())
		}
		if got := mustGet(t, s.OpsURL()+"/readyz"); got.status != 200 {
			t.Errorf("%s: %d %s", role, got.status, got.body)
		}
	}
	c.Listen, c.AcceptPlainText = "0.0.0.0:0", true
	c.Roles = []server.Role{server.RoleAPI}
	log := &logBuffer{}
	c.Logger = slog.New(slog.NewJSONHandler(log, nil))
	s := start(t, c)
	testkit.Contains(t, s.URL(), "http://127.0.0.1:")
	if got := mustGet(t, s.URL()+"/"); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}

	// Log-ins are served by another process, which serves no wallets; both accept its tokens.
	c.Roles = []server.Role{server.RoleAuth}
	authServer := start(t, c)
	signUp(t, authServer.URL(), "alice")
	alice := logIn(t, authServer.URL(), "alice")
	alice.url = s.URL()
	alice.wantBalance(0, 0)
	for _, wrong := range []struct{ url, method, path, wantText string }{
		{s.URL(), "POST", "/v1/auth/login", "--roles auth"}, {s.URL(), "POST", "/v1/auth/signup", "--roles auth"},
		{authServer.URL(), "GET", "/v1/wallets", "--roles api"}, {authServer.URL(), "POST", "/v1/transfers", "--roles api"},
		{authServer.URL(), "GET", "/v1/events", "--roles api"}, {authServer.URL(), "GET", "/v1/me", "--roles api"},
	} {
		got, err := send(wrong.method, wrong.url+wrong.path, alice.token, "", map[string]string{}, nil)
		testkit.Must(t, err)
		if got.status != 503 || got.field("code") != "unavailable" || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", wrong.path, got.status, got.body)
		}
		testkit.Contains(t, got.body, wrong.wantText)
	}
	if strings.Contains(log.String(), `"level":"ERROR"`) {
		t.Errorf("a request for a process with other roles is logged as an error:\n%s", log)
	}
	if got := mustGet(t, authServer.URL()+"/.well-known/jwks.json"); got.status != 200 {
		t.Errorf("keys: %d %s", got.status, got.body)
	}
	got, err := send("POST", s.URL()+"/v1/auth/logout", alice.token, "", nil, nil)
	testkit.Must(t, err)
	if got.status != 204 {
		t.Errorf("log-out at the process that serves wallets: %d %s", got.status, got.body)
	}
}

// Start logs one line that names what runs and its dependencies, and contains no secret.
func TestStartIsLogged(t *testing.T) {
	t.Parallel()
	c := config(t, pgtest.New(t).AppURL)
	log := &logBuffer{}
	c.Logger = slog.New(slog.NewJSONHandler(log, nil))
	c.BankURL = "http://127.0.0.1:1/bank"
	c.DatabaseURL = strings.Replace(c.DatabaseURL, "kizo_app@", "kizo_app:hunter2@", 1)
	c.Redis = asynq.RedisFailoverClientOpt{MasterName: "kizo", SentinelAddrs: []string{"127.0.0.1:1"}, Password: "hunter2", SentinelPassword: "hunter2"}
	s := start(t, c)
	var line struct {
		Msg, Version, Roles, API, Ops, Database, Redis, Bank, Signing_key, Pepper string
		Schema                                                                    int64
	}
	found := 0
	for text := range strings.Lines(log.String()) {
		if strings.Contains(text, `"kizod serves"`) {
			testkit.Must(t, json.Unmarshal([]byte(text), &line))
			found++
		}
	}
	if found != 1 {
		t.Fatalf("%d lines:\n%s", found, log)
	}
	newest, err := migrations.Newest()
	testkit.Must(t, err)
	signingKey, pepper := s.SecretIDs()
	if line.Version != "test" || line.Schema != newest || line.Roles != "api,auth" || line.API != s.URL() || line.Ops != s.OpsURL() ||
		line.Redis != "kizo@127.0.0.1:1" || line.Bank != "http://127.0.0.1:1/bank" || line.Signing_key != signingKey || line.Pepper != pepper ||
		!strings.HasPrefix(line.Database, "kizo_app@/") || signingKey == "" || pepper == "" {
		t.Errorf("got %+v", line)
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log contains a secret:\n%s", log)
	}
}

// logBuffer collects the log of a server.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A server whose secrets differ from those that the database knows does not start, and names them.
func TestOtherSecretsAreRefused(t *testing.T) {
	t.Parallel()
	c := config(t, pgtest.New(t).AppURL)
	s := start(t, c)
	signingKey, pepper := s.SecretIDs()
	other := c
	secrets, err := auth.LoadOrCreateSecrets(filepath.Join(t.TempDir(), "secrets.json"))
	testkit.Must(t, err)
	other.Secrets = secrets
	testkit.Contains(t, refused(t, other), "pepper "+pepper+" is missing", "signing key "+signingKey+" is missing", "copy the file")

	// The pepper has the same id and another value, as after an edit by hand.
	secrets.SigningKeys, secrets.PepperKeys[0].ID = c.Secrets.SigningKeys, pepper
	other.Secrets = secrets
	testkit.Contains(t, refused(t, other), "pepper "+pepper+" has another value")
	start(t, c)
}
