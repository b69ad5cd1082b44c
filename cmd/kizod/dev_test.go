package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

func TestDev(t *testing.T) {
	t.Parallel()
	data, client := pgtest.TempDir(t), newClient()
	d := startDev(t, data)
	for what, url := range map[string]string{"API": d.URL + "/", "liveness": d.OpsURL + "/livez", "readiness": d.OpsURL + "/readyz"} {
		response, err := client.Get(url)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s: %v, %v", what, response, err)
		}
	}
	alice, bob := signUp(t, client, d.URL, "alice"), signUp(t, client, d.URL, "bob")
	for _, c := range []command{deposit(alice, 100_00), transfer(alice, 30_00, bob), withdrawal(bob, 10_00)} {
		if o, err := c.send(client, d.URL, 20); err != nil || o.state != "posted" {
			t.Errorf("%s: %+v, %v", c.path, o, err)
		}
	}

	// A second kizod on the same data fails, names the first, and does not change the ready file.
	code, output := run(t, nil, "dev", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0")
	if code != exitError {
		t.Errorf("the second kizod exits with %d", code)
	}
	testkit.Contains(t, output, data, "process "+strconv.Itoa(d.cmd.Process.Pid))

	client.CloseIdleConnections()
	began := time.Now()
	d.stops()
	t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
	if _, running, err := embedded.Attach(data); running || err != nil {
		t.Errorf("PostgreSQL still runs: %v, %v", running, err)
	}

	began = time.Now()
	d = startDev(t, data)
	t.Logf("on existing data it is ready after %v", time.Since(began).Round(time.Millisecond))
	if got, err := bob.wallet(client, d.URL); err != nil || got.Balance != 20_00 {
		t.Errorf("bob has %+v, %v", got, err)
	}
}

// The ready file exists while kizod serves. It is removed when kizod ends, and after a crash when
// the next one starts.
func TestReadyFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ready.json")
	stale, err := json.Marshal(readiness{"http://127.0.0.1:1", "http://127.0.0.1:1", 1 << 30, ""})
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(file, stale, 0o600))
	testkit.Must(t, removeReadyFile(file))
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the ready file of a killed process still exists: %v", err)
	}

	running, err := json.Marshal(readiness{"http://127.0.0.1:1", "http://127.0.0.1:1", os.Getppid(), ""})
	testkit.Must(t, err)
	for _, content := range []string{string(running), "not ours", "{}"} {
		testkit.Must(t, os.WriteFile(file, []byte(content), 0o600))
		testkit.Must(t, removeReadyFile(file))
		if got, err := os.ReadFile(file); err != nil || string(got) != content {
			t.Errorf("%q was changed: %q, %v", content, got, err)
		}
	}
	testkit.Must(t, os.Remove(file))

	env := append(validEnv(t), "KIZO_DATABASE_URL="+pgtest.New(t).AppURL, "KIZO_LISTEN=127.0.0.1:0", "KIZO_OPS_LISTEN=127.0.0.1:0")
	p := start(t, env, "serve", "--roles", "api", "--ready-file", file)
	r := p.ready(file)
	if r.URL == "" || r.OpsURL == "" || r.URL == r.OpsURL {
		t.Errorf("got %+v", r)
	}
	p.stops()
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the ready file exists after kizod has ended: %v", err)
	}
	code, output := run(t, env, "serve", "--roles", "api", "--ready-file", impossiblePath(t))
	if code != exitError || !strings.Contains(output, "ready file") {
		t.Errorf("with an impossible path of the ready file: %d, %s", code, output)
	}
}

// kizod drains while a client hangs. A second SIGTERM ends it at once, together with its children.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	d := startDev(t, pgtest.TempDir(t))
	address := strings.TrimPrefix(d.URL, "http://")
	conn, err := net.Dial("tcp", address)
	testkit.Must(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = conn.Write([]byte("POST /v1/transfers HTTP/1.1\r\nHost: x\r\nContent-Le"))
	testkit.Must(t, err)
	d.signal(syscall.SIGTERM)
	testkit.Eventually(t, "it drains", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case <-d.done:
		t.Fatal("it did not wait for the running request")
	default:
	}
	began := time.Now()
	d.signal(syscall.SIGTERM)
	d.ends()
	if status := d.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended as %v", d.cmd.ProcessState)
	}
	childrenEnd(t, d.data)
	t.Logf("kizod and PostgreSQL ended after %v", time.Since(began).Round(time.Millisecond))
}

// A kizod that is stopped while it starts leaves no process running.
func TestInterruptedStart(t *testing.T) {
	t.Parallel()
	data := pgtest.TempDir(t)
	p := start(t, nil, "dev", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0")
	testkit.Eventually(t, "the start has begun", func() bool {
		_, err := os.Stat(filepath.Join(data, "lock"))
		return err == nil
	})
	p.signal(syscall.SIGTERM)
	if code := p.ends(); code != exitInterrupted && code != 0 {
		t.Errorf("it exits with %d:\n%s", code, p.out.String())
	}
	childrenEnd(t, data)
}

func TestDevAsRootInPrivateDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root runs PostgreSQL as another user")
	}
	closed := filepath.Join(pgtest.TempDir(t), "closed")
	testkit.Must(t, os.Mkdir(closed, 0o700))
	data := filepath.Join(closed, "kizo")
	code, output := run(t, nil, "dev", "--data", data)
	if code != exitError {
		t.Errorf("it exits with %d", code)
	}
	testkit.Contains(t, output, "does not run as root", closed, data, "/var/lib/kizo", "chmod o+x "+closed)
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("it made %s: %v", data, err)
	}
}

// kizod dev starts without an installed redis-server.
func TestDevWithoutRedisServer(t *testing.T) {
	t.Parallel()
	bin := t.TempDir() // a PATH that has PostgreSQL, and no Redis
	for _, name := range []string{"postgres", "initdb"} {
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			if path := filepath.Join(dir, name); exists(path) {
				testkit.Must(t, os.Symlink(path, filepath.Join(bin, name)))
				break
			}
		}
	}
	data, file, client := pgtest.TempDir(t), filepath.Join(t.TempDir(), "ready.json"), newClient()
	p := start(t, []string{"PATH=" + bin}, "dev", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--ready-file", file)
	r := p.ready(file)
	testkit.Contains(t, p.out.String(), "redis-server is not installed")
	alice := signUp(t, client, r.URL, "alice")
	if o, err := deposit(alice, 100_00).send(client, r.URL, 20); err != nil || o.state != "posted" {
		t.Errorf("got %+v, %v", o, err)
	}
	client.CloseIdleConnections()
	p.stops()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// The audit of books with changed rows fails and names the rows.
func TestAuditOfDamagedBooks(t *testing.T) {
	t.Parallel()
	data, client := pgtest.TempDir(t), newClient()
	d := startDev(t, data)
	alice, bob := signUp(t, client, d.URL, "alice"), signUp(t, client, d.URL, "bob")
	var last outcome
	for _, c := range []command{deposit(alice, 100_00), transfer(alice, 30_00, bob)} {
		var err error
		last, err = c.send(client, d.URL, 20)
		testkit.Must(t, err)
	}
	client.CloseIdleConnections()
	code, output := run(t, nil, "audit", "--incremental", "--data", data)
	if code != exitError {
		t.Errorf("before the first audit: %d", code)
	}
	testkit.Contains(t, output, "no audit has been signed yet: run a full one")
	if code, output := run(t, nil, "audit", "--data", data); code != 0 {
		t.Fatalf("intact books: %d\n%s", code, output)
	}
	if code, output := run(t, nil, "audit", "--incremental", "--data", data); code != 0 || !strings.HasPrefix(output, "what is new since the audit of ") {
		t.Fatalf("intact books: %d\n%s", code, output)
	}
	instance, running, err := embedded.Attach(data)
	if err != nil || !running {
		t.Fatalf("running: %v, %v", running, err)
	}
	admin, err := pgx.Connect(t.Context(), instance.URL(server.Database, embedded.AdminRole))
	testkit.Must(t, err)
	defer admin.Close(noCancel{t.Context()})
	_, err = admin.Exec(t.Context(), `SET session_replication_role = replica`) // this disables triggers
	testkit.Must(t, err)
	damage := func(sql string, args ...any) {
		t.Helper()
		_, err := admin.Exec(t.Context(), sql, args...)
		testkit.Must(t, err)
	}

	var account int64
	testkit.Must(t, admin.QueryRow(t.Context(), `SELECT account_id FROM all_postings WHERE transfer_id = $1 AND amount > 0`, last.id).Scan(&account))
	damage(`UPDATE accounts SET balance = balance + 1 WHERE id = $1`, account)
	code, output = run(t, nil, "audit", "--data", data)
	if code != exitError {
		t.Errorf("a wrong balance: exit %d\n%s", code, output)
	}
	testkit.Contains(t, output, "BROKEN", strconv.FormatInt(account, 10), "an invariant of the books is broken")
	code, output = run(t, nil, "audit", "--incremental", "--data", data)
	if code != exitError {
		t.Errorf("a wrong balance: exit %d\n%s", code, output)
	}
	testkit.Contains(t, output, "BROKEN  currency_sums", "BROKEN  signed_balances", "an invariant of the books is broken")
	damage(`UPDATE accounts SET balance = balance - 1 WHERE id = $1`, account)

	damage(`UPDATE transfers SET credit_balance = credit_balance + 1, digest = sha256('') WHERE id = $1`, last.id)
	code, output = run(t, nil, "audit", "--json", "--data", data)
	if code != exitError {
		t.Errorf("a changed posting: exit %d\n%s", code, output)
	}
	testkit.Contains(t, output, last.id.String())

	// The audit starts a stopped PostgreSQL, and finds the same.
	testkit.Must(t, admin.Close(t.Context()))
	d.stops()
	code, output = run(t, nil, "audit", "--data", data)
	if code != exitError {
		t.Errorf("stopped: exit %d\n%s", code, output)
	}
	testkit.Contains(t, output, last.id.String())
	childrenEnd(t, data)

	testkit.Must(t, os.Remove(filepath.Join(data, "secrets", "secrets.json")))
	code, output = run(t, nil, "audit", "--data", data)
	if code != exitError {
		t.Errorf("without secrets: exit %d\n%s", code, output)
	}
	testkit.Contains(t, output, "this audit is not signed", last.id.String())
	code, output = run(t, nil, "audit", "--incremental", "--data", data)
	if code != exitError {
		t.Errorf("without secrets: exit %d\n%s", code, output)
	}
	testkit.Contains(t, output, "verify the last signed audit")

	code, output = run(t, nil, "audit", "--data", t.TempDir())
	if code != exitError {
		t.Errorf("without data: exit %d", code)
	}
	testkit.Contains(t, output, "no data", "--data")
}
