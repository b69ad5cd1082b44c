package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/embedded/redistest"
)

type noCancel struct{ context.Context }

func (noCancel) Done() <-chan struct{} { return nil }
func (noCancel) Err() error            { return nil }

const canary = "hunter2-is-my-secret"

// startBank starts the mock bank and returns its URL.
func startBank(t *testing.T, journal string, env ...string) (p *process, url string) {
	t.Helper()
	return startBankWith(t, func(env []string, args ...string) *process { return start(t, env, args...) }, journal, env...)
}

// startBankWith is startBank with another function that starts the process.
func startBankWith(t *testing.T, start func(env []string, args ...string) *process, journal string, env ...string) (p *process, url string) {
	t.Helper()
	env = append([]string{"KIZO_BANK_LISTEN=127.0.0.1:0", "KIZO_LOG_FORMAT=json"}, env...)
	args := []string{"mockbank", "--journal", journal}
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "KIZO_BANK_TOKEN=") }) {
		args = append(args, "--i-accept-payments-from-anyone")
	}
	p = start(env, args...)
	testkit.Eventually(t, "the mock bank serves", func() bool {
		for line := range strings.Lines(p.out.String()) {
			var entry struct{ Msg, Addr string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Addr != "" {
				url = "http://" + entry.Addr
			}
		}
		return url != ""
	})
	return p, url
}

// Each role runs in a process of its own, on an existing PostgreSQL, Redis and bank. No output of
// any of them contains a secret.
func TestServeInManyProcesses(t *testing.T) {
	t.Parallel()
	db, redis, client, dir := pgtest.New(t), redistest.New(t), newClient(), t.TempDir()
	journal := filepath.Join(dir, "bank.jsonl")
	bank, bankURL := startBank(t, journal, "KIZO_BANK_TOKEN="+canary)
	secrets := filepath.Join(dir, "secrets", "secrets.json")
	if code, output := run(t, nil, "secrets", "init", "--secrets-file", secrets); code != 0 {
		t.Fatalf("secrets init: exit %d\n%s", code, output)
	}
	redisURL := "redis://" + redis.Addr() + "/0"
	if redis.Network() == "unix" {
		redisURL = "redis-socket://" + redis.Addr()
	}
	env := []string{
		"KIZO_DATABASE_URL=" + strings.Replace(db.AppURL, "kizo_app@", "kizo_app:"+canary+"@", 1), "KIZO_REDIS_URL=" + redisURL,
		"KIZO_BANK_URL=" + bankURL, "KIZO_BANK_TOKEN=" + canary, "KIZO_SECRETS_FILE=" + secrets,
		"KIZO_LISTEN=127.0.0.1:0", "KIZO_OPS_LISTEN=127.0.0.1:0", "KIZO_LOG_LEVEL=debug",
	}
	var all []*process
	serve := func(roles string) (*process, readiness) {
		file := filepath.Join(dir, strings.ReplaceAll(roles, ",", "-")+".json")
		p := start(t, env, "serve", "--roles", roles, "--ready-file", file)
		all = append(all, p)
		return p, p.ready(file)
	}
	_, api := serve("api")
	_, worker := serve("worker")
	_, janitor := serve("janitor")
	_, authServer := serve("auth")
	if worker.URL != "" || janitor.URL != "" {
		t.Errorf("worker or janitor serve the API: %+v, %+v", worker, janitor)
	}
	alice, bob := signUp(t, client, authServer.URL, "alice"), signUp(t, client, authServer.URL, "bob")
	for _, c := range []command{deposit(alice, 100_00), transfer(alice, 30_00, bob), withdrawal(bob, 10_00)} {
		if o, err := c.send(client, api.URL, 20); err != nil || o.state != "posted" {
			t.Errorf("%s: %+v, %v", c.path, o, err)
		}
	}
	// Without the worker, the janitor settles.
	all[1].stops()
	if o, err := deposit(alice, 1_00).send(client, api.URL, 20); err != nil || o.state != "posted" {
		t.Errorf("without a worker: %+v, %v", o, err)
	}
	if code, output := run(t, env, "audit"); code != 0 {
		t.Errorf("the audit exits with %d\n%s", code, output)
	}
	entries, err := sim.ReadJournal(journal)
	if err != nil || len(entries) != 3 {
		t.Errorf("the journal of the bank: %+v, %v", entries, err)
	}
	client.CloseIdleConnections()
	all[0].stops()
	all[2].stops()
	all[3].stops()
	bank.stops()
	for _, p := range append(all, bank) {
		if strings.Contains(p.out.String(), canary) {
			t.Errorf("%v: the output contains a secret:\n%s", p.cmd.Args, p.out.String())
		}
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	newest, err := migrations.Newest()
	testkit.Must(t, err)
	db := pgtest.Empty(t)
	env := []string{"KIZO_MIGRATE_URL=" + db.AdminURL}
	for range 2 {
		code, output := run(t, env, "migrate")
		var schema int64
		if code != 0 || !strings.HasPrefix(output, "schema ") || json.Unmarshal([]byte(strings.Fields(output)[1]), &schema) != nil || schema != newest {
			t.Errorf("exit %d, %q; want schema %d", code, output, newest)
		}
	}
	// Two at once, on an empty one: both succeed.
	db = pgtest.Empty(t)
	env = []string{"KIZO_MIGRATE_URL=" + db.AdminURL}
	var both sync.WaitGroup
	for range 2 {
		p := start(t, env, "migrate")
		both.Go(func() {
			<-p.done
			if code := p.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit %d\n%s", code, p.out.String())
			}
		})
	}
	both.Wait()
	// A newer version has been here: nothing to do is no success.
	admin, err := pgx.Connect(t.Context(), db.AdminURL)
	testkit.Must(t, err)
	defer admin.Close(noCancel{t.Context()})
	_, err = admin.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
	testkit.Must(t, err)
	on := append(validEnv(t), append(env, "KIZO_DATABASE_URL="+db.AppURL)...)
	for _, command := range [][]string{
		{"migrate"}, {"serve"}, {"audit"}, {"user", "grant", "@ada", "operator", "--reason", "test"}, {"secrets", "check"},
	} {
		code, output := run(t, on, command...)
		if code != exitError {
			t.Errorf("%v on a newer schema: exit %d", command, code)
		}
		testkit.Contains(t, output, "schema 9999", fmt.Sprintf("knows %d at most", newest), "newer kizod")
	}
	// The application's role may not.
	if code, output := run(t, []string{"KIZO_MIGRATE_URL=" + pgtest.Empty(t).AppURL}, "migrate"); code != exitError {
		t.Errorf("exit %d\n%s", code, output)
	}
}
