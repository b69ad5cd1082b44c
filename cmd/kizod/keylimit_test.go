package main

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/embedded/redistest"
)

// twoKizods are two processes on one database. The first may be killed, and starts again at another
// address.
type twoKizods struct {
	t      *testing.T
	client *http.Client
	env    []string
	dir    string
	first  *process
	urls   [2]atomic.Pointer[string]
}

func startTwoKizods(t *testing.T) *twoKizods {
	t.Helper()
	db, redis, dir := pgtest.New(t), redistest.New(t), t.TempDir()
	_, bankURL := startBank(t, filepath.Join(dir, "bank.jsonl"), "KIZO_BANK_TOKEN="+canary)
	redisURL := "redis://" + redis.Addr() + "/0"
	if redis.Network() == "unix" {
		redisURL = "redis-socket://" + redis.Addr()
	}
	k := &twoKizods{t: t, client: newClient(), dir: dir, env: []string{
		"KIZO_DATABASE_URL=" + db.AppURL, "KIZO_REDIS_URL=" + redisURL, "KIZO_BANK_URL=" + bankURL, "KIZO_BANK_TOKEN=" + canary,
		"KIZO_SECRETS_FILE=" + newSecrets(t), "KIZO_LISTEN=127.0.0.1:0", "KIZO_OPS_LISTEN=127.0.0.1:0", "KIZO_TRUSTED_PROXIES=127.0.0.1",
	}}
	if code, output := run(t, k.env, "secrets", "record"); code != 0 {
		t.Fatalf("secrets record: exit %d\n%s", code, output)
	}
	t.Cleanup(k.client.CloseIdleConnections)
	k.first = k.serve(0, "api,auth")
	k.serve(1, "api,auth,worker,janitor")
	return k
}

func (k *twoKizods) serve(i int, roles string) *process {
	k.t.Helper()
	file := filepath.Join(k.dir, fmt.Sprint(i, ".ready"))
	p := start(k.t, k.env, "serve", "--roles", roles, "--rate-limit", "0", "--rate-limit-address", "0", "--ready-file", file)
	url := p.ready(file).URL
	k.urls[i].Store(&url)
	return p
}

func (k *twoKizods) url(i int) string { return *k.urls[i%2].Load() }

// killFirst kills the first process with SIGKILL and starts it again.
func (k *twoKizods) killFirst() {
	k.t.Helper()
	k.first.crashes()
	k.first = k.serve(0, "api,auth")
}

// insist sends a command to both processes in turn until one of them has a final answer.
func (k *twoKizods) insist(c command, i int) (outcome, error) {
	var last error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); i++ {
		o, err := c.send(k.client, k.url(i), 0)
		if err == nil && o.definite() {
			return o, nil
		}
		last = errors.Join(err, errors.New(o.text))
	}
	return outcome{}, last
}

// spend lets each spender send a command, twice, beginning at different processes. After the first
// answers the first process is killed. It returns the outcomes.
func (k *twoKizods) spend(commands []command) []outcome {
	k.t.Helper()
	var (
		outcomes = make([]outcome, len(commands))
		answers  atomic.Int64
		some     = make(chan struct{})
		spenders sync.WaitGroup
	)
	for i, c := range commands {
		spenders.Go(func() {
			first, err := k.insist(c, i)
			if answers.Add(1) == int64(len(commands)/4) {
				close(some)
			}
			again, errAgain := k.insist(c, i+1)
			if err != nil || errAgain != nil || first.id != again.id || first.accepted() != again.accepted() {
				k.t.Errorf("%s: first %+v, %v, then %+v, %v", c.key, first, err, again, errAgain)
			}
			outcomes[i] = again
		})
	}
	<-some
	k.killFirst()
	spenders.Wait()
	return outcomes
}

func countAccepted(outcomes []outcome) (n int) {
	for _, o := range outcomes {
		if o.accepted() {
			n++
		}
	}
	return n
}

// createKey creates an API key and returns its id and a person whose requests have it.
func (k *twoKizods) createKey(owner *person, body map[string]any) (id string, scripted *person) {
	k.t.Helper()
	var made struct {
		Key    struct{ ID string }
		Secret string
	}
	header := http.Header{"Authorization": {"Bearer " + owner.token}}
	status, _, text, err := call(k.client, http.MethodPost, k.url(1)+"/v1/auth/keys", header, body, &made)
	if err != nil || status != http.StatusCreated {
		k.t.Fatalf("create a key: %d %s %v", status, text, err)
	}
	return made.Key.ID, &person{owner.handle, made.Secret}
}

// TestLimitOfAKeyHoldsInTwoProcesses: 64 concurrent spenders share a key whose limit allows 10. One
// of two processes is killed, every command is sent twice, and some holds are voided.
func TestLimitOfAKeyHoldsInTwoProcesses(t *testing.T) {
	t.Parallel()
	const (
		allowed  = 10
		spenders = 64
	)
	if time.Until(time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)) < 5*time.Minute {
		t.Skip("the limit would renew during the test")
	}
	k := startTwoKizods(t)
	alice, bob := signUp(t, k.client, k.url(1), "alice"), signUp(t, k.client, k.url(1), "bob")
	if o, err := k.insist(deposit(alice, 1000_00), 0); err != nil || !o.accepted() {
		t.Fatalf("deposit: %+v, %v", o, err)
	}
	testkit.Eventually(t, "the deposit is there", func() bool {
		w, err := alice.wallet(k.client, k.url(1))
		testkit.Must(t, err)
		return w.Balance == 1000_00
	})
	id, scripted := k.createKey(alice, map[string]any{
		"name": "payroll", "scopes": []string{"transfers:write", "read"}, "password": password,
		"limits": []map[string]any{{"currency": "USD", "max_per_transfer": 1_00, "max_per_day": allowed * 1_00}},
	})
	spend := func() []command {
		commands := make([]command, spenders)
		for i := range commands {
			commands[i] = transfer(scripted, 1_00, bob)
			if i%16 > 0 { // a batch decides transfers before holds
				commands[i].body["authorize"] = true
			}
		}
		return commands
	}
	first := spend()
	outcomes := k.spend(first)
	testkit.Equal(t, "accepted", countAccepted(outcomes), allowed)

	// Holds are voided while further spenders come.
	voided := 0
	var voids sync.WaitGroup
	for i, o := range outcomes {
		if !o.accepted() || first[i].body["authorize"] == nil {
			continue
		}
		voided++
		voids.Go(func() {
			void := command{bob, "/v1/transfers/" + o.id.String() + "/void", uuid.NewString(), nil}
			for at := range 2 {
				if status, err := k.void(void, i+at); err != nil || status != http.StatusCreated {
					t.Errorf("void: %d %v", status, err)
				}
			}
		})
	}
	more := countAccepted(k.spend(spend()))
	voids.Wait()
	for {
		o, err := k.insist(transfer(scripted, 1_00, bob), more)
		testkit.Must(t, err)
		if !o.accepted() {
			testkit.Equal(t, "code", o.code, "limit_exceeded")
			break
		}
		more++
	}
	t.Logf("%d holds were voided", voided)
	testkit.Equal(t, "accepted after the voids", more, voided)
	for i, o := range outcomes { // what was refused stays refused
		if again, err := k.insist(first[i], i); err != nil || again.id != o.id || again.accepted() != o.accepted() {
			t.Errorf("a command once more: %+v, %v, want %+v", again, err, o)
		}
	}
	var limits struct {
		Key struct {
			Limits []struct {
				SpentToday int64 `json:"spent_today"`
			}
		}
	}
	testkit.Must(t, scripted.get(k.client, k.url(0), "/v1/limits", &limits))
	testkit.Equal(t, "spent", limits.Key.Limits[0].SpentToday, int64(allowed*1_00))

	// When the revocation has returned, no process accepts the key, which both have just used.
	for i := range 2 {
		testkit.Must(t, scripted.get(k.client, k.url(i), "/v1/me", nil))
	}
	header := http.Header{"Authorization": {"Bearer " + alice.token}}
	status, _, text, err := call(k.client, http.MethodDelete, k.url(0)+"/v1/auth/keys/"+id, header, nil, nil)
	if err != nil || status != http.StatusNoContent {
		t.Fatalf("revoke: %d %s %v", status, text, err)
	}
	for i := range 2 {
		if err := scripted.get(k.client, k.url(i), "/v1/me", nil); err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "key_revoked") {
			t.Errorf("process %d and the revoked key: %v", i, err)
		}
	}
	if code, output := run(t, k.env, "audit"); code != 0 {
		t.Errorf("the audit exits with %d\n%s", code, output)
	}
}

// void sends a void until a process has answered.
func (k *twoKizods) void(c command, i int) (status int, err error) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); i++ {
		header := http.Header{"Authorization": {"Bearer " + c.from.token}, "Idempotency-Key": {c.key}}
		status, _, _, err = call(k.client, http.MethodPost, k.url(i)+c.path, header, nil, nil)
		if err == nil && status < http.StatusInternalServerError {
			return status, nil
		}
	}
	return status, err
}
