package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp/totp"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/embedded/redistest"
)

// installation is Kizo as an operator installs it: PostgreSQL with passwords, Redis, one secrets
// file, and a bank that keeps its books when the database is restored.
type installation struct {
	t       *testing.T
	pg      *pgtest.Server
	dir     string
	redis   *embedded.Redis
	bank    *process
	bankURL string
	client  *http.Client
	kizod   *process
	url     string
}

// passwords are those of docs/operations.md.
var passwords = map[string]string{
	"postgres": pgtest.SuperuserPassword, "kizo_owner": "owner-password", "kizo_app": "app-password",
}

func newInstallation(t *testing.T, pg *pgtest.Server) *installation {
	i := &installation{t: t, pg: pg, dir: t.TempDir(), redis: redistest.New(t), client: newClient()}
	t.Cleanup(i.client.CloseIdleConnections)
	i.startBank()
	i.shell(shellBlocks(t, "docs/operations.md", "## Running it as a service")[0]) // roles and database
	i.must("migrate")
	i.must("secrets", "init", "--secrets-file", i.secrets())
	return i
}

func (i *installation) startBank() {
	i.bank, i.bankURL = startBank(i.t, filepath.Join(i.dir, "bank.jsonl"))
}

func (i *installation) secrets() string { return filepath.Join(i.dir, "secrets", "secrets.json") }

func (i *installation) env(more ...string) []string {
	redisURL := "redis://" + i.redis.Addr() + "/0"
	if i.redis.Network() == "unix" {
		redisURL = "redis-socket://" + i.redis.Addr()
	}
	return append(append(operatorEnv(i.t, i.pg, passwords),
		"KIZO_MIGRATE_URL="+i.pg.RoleURL("kizo", "kizo_owner", passwords["kizo_owner"]),
		"KIZO_DATABASE_URL="+i.pg.RoleURL("kizo", "kizo_app", passwords["kizo_app"]),
		"KIZO_REDIS_URL="+redisURL, "KIZO_BANK_URL="+i.bankURL, "KIZO_SECRETS_FILE="+i.secrets(),
		"KIZO_LISTEN=127.0.0.1:0", "KIZO_OPS_LISTEN=127.0.0.1:0"), more...)
}

// shell runs a script of a document.
func (i *installation) shell(script string, env ...string) string {
	i.t.Helper()
	return shell(i.t, i.dir, i.env(env...), script)
}

// must runs kizod, which must succeed.
func (i *installation) must(args ...string) {
	i.t.Helper()
	if code, output := run(i.t, i.env(), args...); code != 0 {
		i.t.Fatalf("kizod %v exits with %d: %s", args, code, output)
	}
}

func (i *installation) serve() {
	i.t.Helper()
	file := filepath.Join(i.t.TempDir(), "ready.json")
	i.kizod = start(i.t, i.env(), "serve", "--ready-file", file)
	i.url = i.kizod.ready(file).URL
}

// moved sends a command whose transfer must be posted, and returns its id.
func (i *installation) moved(c command) uuid.UUID {
	i.t.Helper()
	o, err := c.send(i.client, i.url, 20)
	if err != nil || o.state != "posted" {
		i.t.Fatalf("%s: %+v, %v", c.path, o, err)
	}
	return o.id
}

// event is an event of the stream.
type event struct {
	ID       string
	Transfer uuid.UUID
	State    string
}

// events returns the events of a user since a time or after an id, up to now.
func (i *installation) events(p *person, since string) (events []event) {
	i.t.Helper()
	request, err := http.NewRequestWithContext(i.t.Context(), http.MethodGet, i.url+"/v1/events?since="+url.QueryEscape(since), nil)
	testkit.Must(i.t, err)
	request.Header.Set("Authorization", "Bearer "+p.token)
	response, err := i.client.Do(request)
	testkit.Must(i.t, err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		i.t.Fatalf("the events: %s", response.Status)
	}
	var id, kind string
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			if kind == "live" {
				return events
			}
			var e struct {
				Transfer struct{ ID uuid.UUID }
				State    string
			}
			testkit.Must(i.t, json.Unmarshal([]byte(value), &e))
			events = append(events, event{id, e.Transfer.ID, e.State})
		}
	}
	i.t.Fatalf("the events ended: %v", lines.Err())
	return nil
}

func withoutIDs(events []event) (list []string) {
	for _, e := range events {
		list = append(list, e.Transfer.String()+" "+e.State)
	}
	return list
}

func itoa(n int) string { return strconv.Itoa(n) }

func dayAgo() string { return time.Now().Add(-24 * time.Hour).UTC().Format(time.RFC3339) }

// useTransactionIDs is SQL that does nothing in 5000 transactions.
const useTransactionIDs = `DO $$ BEGIN FOR n IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`

// The section "Dump and restore" of docs/operations.md works. Without its repair, kizod serve
// refuses the database and the audit fails.
func TestRestoreOfADump(t *testing.T) {
	t.Parallel()
	old := pgtest.NewServer(t, 0)
	needsPrograms(t, old, "psql", "pg_dump", "pg_restore")
	steps := shellBlocks(t, filepath.Join("docs", "operations.md"), "### Dump and restore")
	i := newInstallation(t, old)
	// The cluster has used many transaction ids.
	old.Exec(t, "kizo", useTransactionIDs)
	i.serve()
	alice, bob := signUp(t, i.client, i.url, "alice"), signUp(t, i.client, i.url, "bob")
	i.moved(deposit(alice, 100_00))
	for range 3 {
		i.moved(transfer(alice, 1_00, bob))
	}
	before := i.events(alice, dayAgo())
	i.shell(steps[0])
	// Events after the dump are lost.
	lost := i.moved(transfer(alice, 1_00, bob))
	seen := i.events(alice, before[len(before)-1].ID)
	if len(seen) != 1 || seen[0].Transfer != lost {
		t.Fatalf("after the dump: %+v", seen)
	}
	i.kizod.stops()

	i.pg = pgtest.NewServer(t, 0)
	i.shell(shellBlocks(t, "docs/operations.md", "## Running it as a service")[0])
	i.shell(steps[1])
	if code, output := run(t, i.env(), "serve"); code != exitError || !strings.Contains(output, "kizod repair") {
		t.Errorf("kizod serve exits with %d: %s", code, output)
	}
	if code, output := run(t, i.env(), "audit"); code != exitError || !strings.Contains(output, "event_order is broken") {
		t.Errorf("kizod audit exits with %d: %s", code, output)
	}
	i.shell(steps[2])
	i.serve()
	after := i.events(alice, dayAgo())
	if !slices.Equal(withoutIDs(after), withoutIDs(before)) || len(after) < 5 {
		t.Errorf("events before the restore:\n%s\nafter it:\n%s", strings.Join(withoutIDs(before), "\n"), strings.Join(withoutIDs(after), "\n"))
	}
	// A client continues after the last event that it has read, also after one that is lost.
	next := i.moved(transfer(alice, 1_00, bob))
	for _, last := range []event{before[len(before)-1], seen[0]} {
		if got := i.events(alice, last.ID); len(got) != 1 || got[0].Transfer != next {
			t.Errorf("after %v: %v, want %v", last, got, next)
		}
	}
	i.must("audit")
}

// The sections "Physical backup" and "To an earlier moment" of docs/operations.md work. The
// reconciliation finds what the bank has executed after that moment.
func TestRestoreToAnEarlierMoment(t *testing.T) {
	t.Parallel()
	archive := pgtest.TempDir(t)
	testkit.Must(t, os.Chmod(archive, 0o777)) // PostgreSQL runs as another user
	old := pgtest.NewServer(t, 0, pgtest.WithSetting("archive_mode", "on"), pgtest.WithSetting("archive_command", "test ! -f "+archive+"/%f && cp %p "+archive+"/%f"))
	needsPrograms(t, old, "psql", "pg_basebackup", "pg_verifybackup")
	manual := filepath.Join("docs", "operations.md")
	backup, back := shellBlocks(t, manual, "### Physical backup"), shellBlocks(t, manual, "### To an earlier moment")
	i := newInstallation(t, old)
	i.serve()
	alice, bob := signUp(t, i.client, i.url, "alice"), signUp(t, i.client, i.url, "bob")
	i.moved(deposit(alice, 100_00))
	i.shell(backup[0])
	i.moved(transfer(alice, 10_00, bob))
	before := i.events(alice, dayAgo())

	i.bank.stops() // the withdrawal stays pending
	open, err := withdrawal(alice, 20_00).send(i.client, i.url, 0)
	if err != nil || open.state != "pending" {
		t.Fatalf("%+v, %v", open, err)
	}
	moment := i.ask("SELECT clock_timestamp()::text")
	i.kizod.stops()
	old.Exec(t, "kizo", useTransactionIDs)
	i.startBank() // at another address, with the same books
	i.serve()
	testkit.Eventually(t, "the withdrawal is executed", func() bool {
		w, err := alice.wallet(i.client, i.url)
		return err == nil && w == wallet{Balance: 70_00}
	})
	i.moved(deposit(alice, 7_00))
	i.moved(transfer(alice, 3_00, bob))
	seen := i.events(alice, before[len(before)-1].ID)
	i.kizod.stops()
	i.archiveAll()
	testkit.Must(t, old.Kill())

	i.shell(back[0], "MOMENT="+moment, "ARCHIVE="+archive)
	dir := pgtest.TempDir(t)
	testkit.Must(t, os.Rename(filepath.Join(i.dir, "base"), filepath.Join(dir, "pgdata")))
	i.pg = pgtest.StartServer(t, dir, 0)
	testkit.Eventually(t, "PostgreSQL accepts writes", func() bool { return i.ask("SELECT pg_is_in_recovery()::text") == "false" })
	i.shell(back[1])
	i.serve()

	if _, err := alice.wallet(i.client, i.url); err == nil {
		t.Error("a session from before the restore is still valid")
	}
	alice = logIn(t, i.client, i.url, "alice")
	i.must("user", "grant", "@alice", "operator")
	alice.enroll(t, i.client, i.url)
	var found reconciliation
	testkit.Eventually(t, "the pending withdrawal ends and the lost deposit is found", func() bool {
		found = i.reconcile(alice)
		w, err := alice.wallet(i.client, i.url)
		return err == nil && w == wallet{Balance: 70_00} && len(found.Discrepancies) == 1 && found.Open == 0
	})
	if d := found.Discrepancies[0]; d.Kind != "unknown_ref" || !strings.Contains(d.Detail, "deposit executed of 700 USD") {
		t.Errorf("the reconciliation found %+v", d)
	}
	next := i.moved(transfer(alice, 1_00, bob))
	got := i.events(alice, seen[len(seen)-1].ID)
	if len(got) == 0 || got[len(got)-1].Transfer != next {
		t.Errorf("after the last event that was read: %+v, want %s at the end", got, next)
	}
	i.must("audit")
}

// ask returns the value of a query, as the superuser.
func (i *installation) ask(query string) (answer string) {
	i.t.Helper()
	conn, err := pgx.Connect(i.t.Context(), i.pg.SocketURL("kizo"))
	testkit.Must(i.t, err)
	defer conn.Close(i.t.Context())
	testkit.Must(i.t, conn.QueryRow(i.t.Context(), query).Scan(&answer))
	return answer
}

// archiveAll waits until all WAL is archived.
func (i *installation) archiveAll() {
	i.t.Helper()
	last := i.ask("SELECT pg_walfile_name(pg_switch_wal())")
	testkit.Eventually(i.t, "the WAL is archived", func() bool {
		return i.ask("SELECT COALESCE(last_archived_wal, '') FROM pg_stat_archiver") >= last
	})
}

type reconciliation struct {
	Open          int
	Discrepancies []struct{ Kind, Detail string }
}

func (i *installation) reconcile(operator *person) (r reconciliation) {
	i.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + operator.token}}
	status, _, text, err := call(i.client, http.MethodPost, i.url+"/v1/ops/reconcile", header, map[string]any{"reason": "restore drill"}, &r)
	if err != nil || status != http.StatusOK {
		i.t.Fatal(fmt.Errorf("reconcile: %d %s %w", status, text, err))
	}
	return r
}

// enroll gives a person the second factor that operators need.
func (p *person) enroll(t *testing.T, client *http.Client, url string) {
	t.Helper()
	header := http.Header{"Authorization": {"Bearer " + p.token}}
	var made struct{ Secret string }
	status, _, text, err := call(client, http.MethodPost, url+"/v1/auth/second-factor", header, map[string]any{"password": password}, &made)
	if err != nil || status != http.StatusOK {
		t.Fatalf("add a second factor: %d %s %v", status, text, err)
	}
	code, err := totp.GenerateCode(made.Secret, time.Now())
	testkit.Must(t, err)
	var codes struct{}
	status, _, text, err = call(client, http.MethodPost, url+"/v1/auth/second-factor/confirm", header, map[string]any{"otp": code}, &codes)
	if err != nil || status != http.StatusOK {
		t.Fatalf("confirm the second factor: %d %s %v", status, text, err)
	}
}

func logIn(t *testing.T, client *http.Client, url, handle string) *person {
	t.Helper()
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	status, _, text, err := call(client, http.MethodPost, url+"/v1/auth/login", http.Header{}, map[string]any{"login": handle, "password": password}, &tokens)
	if err != nil || status != http.StatusOK {
		t.Fatalf("log in: %d %s %v", status, text, err)
	}
	return &person{handle, tokens.AccessToken}
}
