package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// oldKizod is an environment variable with the path of the kizod to upgrade from; make test-upgrade
// builds it from an earlier commit.
const oldKizod = "KIZO_UPGRADE_FROM"

// rolling is an upgrade of two processes, one after the other, while clients send transfers.
type rolling struct {
	t       *testing.T
	client  *http.Client
	env     []string
	dir     string
	started int
	urls    atomic.Pointer[[]string] // where clients send requests

	posted, failed, repeated atomic.Int64
}

func (r *rolling) serve(program string) (p *process, url string) {
	r.t.Helper()
	r.started++
	file := filepath.Join(r.dir, fmt.Sprint(r.started, ".ready"))
	args := []string{"serve", "--rate-limit", "0", "--rate-limit-address", "0", "--ready-file", file}
	p = startCommand(r.t, r.env, exec.Command(program, args...))
	return p, p.ready(file).URL
}

// send sends a transfer at a pace until stop is closed. It repeats one without an answer once, at
// the next process, with the same key.
func (r *rolling) send(from, to *person, pace <-chan time.Time, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-pace:
		}
		c := transfer(from, 1, to)
		urls := *r.urls.Load()
		o, err := c.send(r.client, urls[i%len(urls)], 0)
		if err != nil || !o.definite() {
			r.repeated.Add(1)
			urls = *r.urls.Load()
			o, err = c.send(r.client, urls[(i+1)%len(urls)], 0)
		}
		if err != nil || o.state != "posted" {
			r.failed.Add(1)
			r.t.Errorf("a transfer failed: %+v, %v", o, err)
			continue
		}
		r.posted.Add(1)
	}
}

// more waits until clients have posted further transfers.
func (r *rolling) more() {
	r.t.Helper()
	const further = 100
	want := r.posted.Load() + further
	testkit.Eventually(r.t, "further transfers are posted", func() bool { return r.posted.Load() >= want || r.failed.Load() > 0 })
}

// TestRollingUpgrade upgrades the schema and then two processes from an earlier version, under 200
// requests per second. No transfer fails for a client that repeats it once, and the books are
// right.
func TestRollingUpgrade(t *testing.T) {
	old := os.Getenv(oldKizod)
	if old == "" {
		t.Skip("SKIPPED: make test-upgrade builds an earlier kizod and runs this test")
	}
	const senders, pause = 8, 5 * time.Millisecond
	r := &rolling{t: t, client: newClient(), dir: t.TempDir()}
	t.Cleanup(r.client.CloseIdleConnections)
	pg := pgtest.NewServer(t, 0)
	needsPrograms(t, pg, "psql")
	roles := shellBlocks(t, "docs/operations.md", "## Running it as a service")[0]
	shell(t, r.dir, operatorEnv(t, pg, map[string]string{"postgres": pgtest.SuperuserPassword}), roles)
	at := "@127.0.0.1:" + itoa(pg.Port) + "/kizo"
	_, bankURL := startBank(t, filepath.Join(r.dir, "bank.jsonl"))
	r.env = []string{
		"KIZO_DATABASE_URL=postgres://kizo_app:app-password" + at, "KIZO_MIGRATE_URL=postgres://kizo_owner:owner-password" + at,
		"KIZO_REDIS_URL=redis://127.0.0.1:1/0", "KIZO_BANK_URL=" + bankURL, "KIZO_SECRETS_FILE=" + newSecrets(t), "KIZO_LISTEN=127.0.0.1:0", "KIZO_OPS_LISTEN=127.0.0.1:0",
	}
	migrate := func(program string) {
		t.Helper()
		p := startCommand(t, r.env, exec.Command(program, "migrate"))
		if p.ends() != 0 {
			t.Fatalf("migrate: %s", p.out.String())
		}
		t.Logf("%s migrate: %s", filepath.Base(program), p.out.String())
	}
	migrate(old)
	first, firstURL := r.serve(old)
	second, secondURL := r.serve(old)
	r.urls.Store(&[]string{firstURL, secondURL})
	bob := signUp(t, r.client, firstURL, "bob")
	pace := time.NewTicker(pause)
	defer pace.Stop()
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range senders {
		from := signUp(t, r.client, firstURL, fmt.Sprint("sender", i))
		if o, err := deposit(from, 1000_00).send(r.client, firstURL, 20); err != nil || o.state != "posted" {
			t.Fatalf("deposit: %+v, %v", o, err)
		}
		clients.Go(func() { r.send(from, bob, pace.C, stop) })
	}

	r.more()
	migrate(kizod) // while both of the old version serve
	r.more()
	for i, oldProcess := range []*process{first, second} {
		_, url := r.serve(kizod)
		urls := append([]string{url}, (*r.urls.Load())...) // before the old ones
		r.urls.Store(&urls)
		r.more()
		oldProcess.stops()
		gone := []string{firstURL, secondURL}[i]
		rest := slices.DeleteFunc(slices.Clone(urls), func(u string) bool { return u == gone })
		r.urls.Store(&rest)
		r.more()
	}
	close(stop)
	clients.Wait()
	t.Logf("%d transfers posted, %d repeated once, %d failed", r.posted.Load(), r.repeated.Load(), r.failed.Load())
	if w, err := bob.wallet(r.client, (*r.urls.Load())[0]); err != nil || w.Balance != r.posted.Load() {
		t.Errorf("bob has %+v, %v", w, err)
	}
	if code, output := run(t, r.env, "audit"); code != 0 {
		t.Errorf("audit: exit %d\n%s", code, output)
	}
}
