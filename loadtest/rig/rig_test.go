package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A rig starts, has users whose money came from the bank, serves them, counts money, is audited,
// and leaves nothing behind. This is one test because a start costs seconds.
func TestRig(t *testing.T) {
	if testing.Short() {
		t.Skip("builds kizod and starts everything")
	}
	ctx := t.Context()
	r, err := Start(ctx, Config{Log: t.Output(), BankPreset: "calm", Env: []string{"GOMAXPROCS=2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	const funds = 5_000
	users, err := r.Seed(ctx, 4, funds)
	if err != nil {
		t.Fatal(err)
	}
	seeded, err := r.Books(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := seeded.Posted("deposit"), (Sum{4, 4 * funds}); got != want || len(seeded) != 1 {
		t.Errorf("seeded deposits: %v, want %v", got, want)
	}
	if more, err := r.Seed(ctx, 1, funds); err != nil || more[0].Handle == users[0].Handle {
		t.Errorf("a second seed made no further user: %v", err)
	}

	// kizod accepts the tokens and the passwords of these users.
	for what, c := range map[string]struct{ path, token, body string }{
		"token":    {"/v1/summary", users[0].AccessToken, ""},
		"password": {"/v1/auth/login", "", `{"login":"` + users[1].Email + `","password":"` + users[1].Password + `"}`},
	} {
		if status, body := request(t, r.URL()+c.path, c.token, "", c.body); status != http.StatusOK {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	before, gauge := must(r.Books(ctx))(t), r.Gauge(ctx)
	pay := `{"to":"@` + users[1].Handle + `","amount":7,"currency":"USD"}`
	if status, body := request(t, r.URL()+"/v1/transfers", users[0].AccessToken, "pay-1", pay); status != http.StatusCreated {
		t.Errorf("transfer: %d %s", status, body)
	}
	if status, body := request(t, r.URL()+"/v1/deposits", users[0].AccessToken, "dep-1", `{"amount":11,"currency":"USD"}`); status != http.StatusAccepted {
		t.Errorf("deposit: %d %s", status, body)
	}
	if err := r.WaitSettled(ctx); err != nil {
		t.Error(err)
	}
	since := must(r.Books(ctx))(t).Since(before)
	if since.Posted("transfer") != (Sum{1, 7}) || since.Posted("deposit") != (Sum{1, 11}) {
		t.Errorf("what settled: %v", since)
	}
	if spent := r.Gauge(ctx).Since(gauge); spent.Elapsed <= 0 || spent.RSS <= 0 {
		t.Errorf("gauge: %+v", spent)
	}

	// New tokens, after a restart on other ports.
	old := users[0].AccessToken
	if err := r.Refresh(ctx, users, time.Hour); err != nil || users[0].AccessToken == old {
		t.Errorf("refresh: %v", err)
	}
	if err := r.Restart(ctx, "--roles", "api"); err != nil {
		t.Fatal(err)
	}
	if status, body := request(t, r.URL()+"/v1/summary", users[0].AccessToken, "", ""); status != http.StatusOK {
		t.Errorf("after a restart: %d %s", status, body)
	}
	// Without a worker, Seed settles the deposits itself.
	alone, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := r.Seed(alone, 1, funds); err != nil {
		t.Error(err)
	}
	checkSecond(t, r, users)
	checkEnvironment(t, r)
	checkAudit(t, r)
	checkEnd(t, r)
}

// checkSecond checks that a second kizod serves, that its batches count, and that it runs where it
// was placed.
func checkSecond(t *testing.T, r *Rig, users []User) {
	t.Helper()
	if err := r.StartSecond(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, _, err := r.Batches(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pay := `{"to":"@` + users[1].Handle + `","amount":7,"currency":"USD"}`
	if status, body := request(t, r.SecondURL()+"/v1/transfers", users[0].AccessToken, "pay-2", pay); status != http.StatusCreated {
		t.Errorf("transfer: %d %s", status, body)
	}
	if after, commands, err := r.Batches(t.Context()); err != nil || after != before+1 || commands < 1 {
		t.Errorf("batches: %d, then %d with %d commands: %v", before, after, commands, err)
	}
	if runtime.GOOS != "linux" {
		return
	}
	everywhere := make([]int, runtime.NumCPU())
	for cpu := range everywhere {
		everywhere[cpu] = cpu
	}
	if err := r.Place(Placement{Postgres: []int{0}, Kizod: []int{0}, Generator: everywhere}); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{r.postgres.Pid(), r.kizod.PID(), r.second.PID()} {
		if cpus := field(fmt.Sprintf("/proc/%d/status", pid), "Cpus_allowed_list"); cpus != "0" {
			t.Errorf("process %d runs on the CPUs %s", pid, cpus)
		}
	}
}

func checkEnvironment(t *testing.T, r *Rig) {
	t.Helper()
	e, err := r.Environment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e.CPUs < 1 || e.MemoryMiB < 1 || e.Fsync <= 0 || e.PostgreSQL == "" || e.Redis == "unknown" || e.Settings["fsync"] != "on" ||
		!slices.Contains(e.Kizod, "api") {
		t.Errorf("environment: %+v", e)
	}
	var text bytes.Buffer
	if e.WriteMarkdown(&text); !strings.Contains(text.String(), "synchronous_commit on") {
		t.Errorf("environment:\n%s", text.String())
	}
	if _, err := json.Marshal(e); err != nil {
		t.Error(err)
	}
}

// checkAudit checks that the audit passes, and fails after a balance was changed.
func checkAudit(t *testing.T, r *Rig) {
	t.Helper()
	if checks, err := r.Audit(t.Context()); err != nil || checks < 20 {
		t.Errorf("audit: %d checks passed: %v", checks, err)
	}
	conn, err := pgx.Connect(t.Context(), r.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	const theft = `SET session_replication_role = replica; UPDATE accounts SET balance = balance - 1 WHERE kind = 'wallet'`
	if _, err := conn.Exec(t.Context(), theft); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Audit(t.Context()); err == nil || !strings.Contains(err.Error(), "BROKEN") {
		t.Errorf("an audit of wrong books: %v", err)
	}
}

// checkEnd checks that the end of a process is noticed, and that no process or file is left.
func checkEnd(t *testing.T, r *Rig) {
	t.Helper()
	if err := r.Alive(); err != nil {
		t.Error(err)
	}
	kizod, postgres := r.kizod, r.postgres
	kizod.Signal(syscall.SIGKILL)
	<-kizod.Done()
	if r.Alive() == nil {
		t.Error("a kizod that died was not noticed")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	<-postgres.Done()
	if _, err := os.Stat(r.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	if r.bank.Alive() {
		t.Error("the bank is still there")
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func request(t *testing.T, url, token, key, body string) (status int, answer string) {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	asked, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	asked.Header.Set("Content-Type", "application/json")
	if token != "" {
		asked.Header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		asked.Header.Set("Idempotency-Key", key)
	}
	got, err := http.DefaultClient.Do(asked)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, string(text)
}

func TestBooksSince(t *testing.T) {
	before := Books{{"deposit", "pending"}: {2, 20}, {"transfer", "posted"}: {1, 5}}
	after := Books{{"deposit", "posted"}: {2, 20}, {"transfer", "posted"}: {3, 9}}
	want := Books{{"deposit", "posted"}: {2, 20}, {"deposit", "pending"}: {-2, -20}, {"transfer", "posted"}: {2, 4}}
	if since := after.Since(before); !maps.Equal(since, want) {
		t.Errorf("got %v", since)
	}
}
