package api_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/ledger"
)

func TestPanicFailsOneRequest(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) {
		o.before = func(a *api.API) {
			a.AddRoute("/boom", func(*fiber.Ctx) error { panic("boom") })
			a.AddRoute("/nil", func(*fiber.Ctx) error { var none *fiber.Ctx; return none.Next() })
		}
	})
	alice := h.signUp("alice")
	for _, got := range h.atOnce(20, func(i int) ask {
		return ask{method: "GET", path: []string{"/boom", "/nil", "/v1/me"}[i%3], token: alice.access}
	}) {
		if got.ask.path == "/v1/me" {
			got.want(200)
			continue
		}
		p := got.wantProblem(openapi.Internal)
		testkit.Equal(t, "the detail contains the cause", strings.Contains(p.Detail, "boom"), false)
		if !strings.Contains(h.log.String(), *p.RequestId) {
			t.Errorf("request %s is not in the log", *p.RequestId)
		}
	}
	if log := h.log.String(); !strings.Contains(log, "boom") || !strings.Contains(log, "robust_test.go") {
		t.Error("the log does not say where the panic was")
	}
	h.get(alice, "/v1/me").want(200)
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	for id, kept := range map[string]bool{
		"my-request_7":          true,
		strings.Repeat("a", 64): true,
		uuid.NewString():        true,
		strings.Repeat("a", 65): false,
		"":                      false,
		"a b":                   false,
		`a"b`:                   false,
		"a\tb":                  false,
		"a;b":                   false,
		"ä":                     false,
		"${jndi:ldap://x}":      false,
		"\x1b[31m":              false,
		"../../etc":             false,
	} {
		got, err := h.try(t.Context(), ask{method: "GET", path: "/v1/me", headers: map[string]string{"X-Request-Id": id}})
		if err != nil {
			continue // net/http does not send some of these; see TestRawRequests
		}
		got.wantProblem(openapi.Unauthenticated)
		echoed := got.header.Get("X-Request-Id")
		testkit.Equal(t, fmt.Sprintf("echo of %q", id), echoed == id, kept)
		testkit.Equal(t, "an id at all", len(echoed) > 0, true)
	}
}

// TestConcurrentRequestsNeverMix: Fiber reuses its buffers when a handler has returned, so strings
// that outlive the handler must be copies.
func TestConcurrentRequestsNeverMix(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1_000_000)
	const n = 300
	mark := func(i int) string {
		return fmt.Sprintf("%s-%d-%s", canary, i, strings.Repeat(string(rune('a'+i%26)), i%90))
	}
	answers := h.atOnce(n, func(i int) ask {
		request := alice.asks("/v1/transfers", pay(bob, int64(i+1)).with("memo", mark(i)))
		request.key = "key-of-" + mark(i)
		request.headers = map[string]string{"X-Request-Id": fmt.Sprint("request-", i)}
		return request
	})
	stored := make(map[uuid.UUID][3]string)
	rows, err := h.pool.Query(t.Context(), `SELECT id, idem_key, memo, amount::text FROM transfers WHERE kind = 'transfer'`)
	testkit.Must(t, err)
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var row [3]string
		testkit.Must(t, rows.Scan(&id, &row[0], &row[1], &row[2]))
		stored[id] = row
	}
	testkit.Must(t, rows.Err())
	testkit.Equal(t, "transfers", len(stored), n)
	for i, got := range answers {
		sent := read[openapi.Transfer](got.want(201))
		want := [3]string{"key-of-" + mark(i), mark(i), fmt.Sprint(i + 1)}
		testkit.Equal(t, "stored", stored[sent.Id], want)
		testkit.Equal(t, "answered", text(sent.Memo), mark(i))
		testkit.Equal(t, "request id", got.header.Get("X-Request-Id"), fmt.Sprint("request-", i))
	}
}

// TestKeysOutliveTheirRequests: a command may outlive its request. Its key and memo must then not
// become those of the next request on the same connection.
func TestKeysOutliveTheirRequests(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) { o.before = func(a *api.API) { a.SetTimeout(500 * time.Millisecond) } })
	alice, bob := h.pair(1000)
	request := alice.asks("/v1/transfers", pay(bob, 7).with("memo", canary))
	lock := h.lockAccounts()
	h.do(request).wantProblem(openapi.OutcomeUnknown)
	for range 8 { // on the same connection
		h.do(ask{method: "GET", path: "/v1/me", token: alice.access, key: strings.Repeat("x", 36)}).want(200)
	}
	testkit.Must(t, lock.Rollback(t.Context()))
	h.awaitTransfer()
	got := h.do(request).want(201)
	testkit.Equal(t, "replayed", got.replayed(), true)
	var key, memo string
	testkit.Must(t, h.pool.QueryRow(t.Context(), `SELECT idem_key, memo FROM transfers WHERE kind = 'transfer'`).Scan(&key, &memo))
	testkit.Equal(t, "key", key, request.key)
	testkit.Equal(t, "memo", memo, canary)
	h.wantBalance(bob, 7, 0)
}

// awaitTransfer waits until a transfer has been made whose request has already ended. Without it, a
// retry might get the lock before the first command.
func (h *fixture) awaitTransfer() {
	h.t.Helper()
	testkit.Eventually(h.t, "the transfer", func() bool {
		var there bool
		testkit.Must(h.t, h.pool.QueryRow(h.t.Context(), `SELECT EXISTS (SELECT FROM transfers WHERE kind = 'transfer')`).Scan(&there))
		return there
	})
}

// lockAccounts locks all accounts, so that the ledger waits.
func (h *fixture) lockAccounts() pgx.Tx {
	h.t.Helper()
	lock, err := h.pool.Begin(h.t.Context())
	testkit.Must(h.t, err)
	h.t.Cleanup(func() { _ = lock.Rollback(context.Background()) }) // otherwise the cleanup of a failed test would wait for the lock
	_, err = lock.Exec(h.t.Context(), `SELECT FROM accounts FOR UPDATE`)
	testkit.Must(h.t, err)
	return lock
}

func TestDisconnectUndoesNothing(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	lock := h.lockAccounts()
	request := alice.asks("/v1/transfers", pay(bob, 7))
	ctx, disconnect := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := h.try(ctx, request)
		gone <- err
	}()
	testkit.Eventually(t, "the ledger to wait for the lock", func() bool {
		var waiting bool
		testkit.Must(t, h.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting))
		return waiting
	})
	disconnect()
	if err := <-gone; err == nil {
		t.Error("the request succeeded")
	}
	testkit.Must(t, lock.Rollback(t.Context()))
	h.awaitTransfer()
	got := h.do(request).want(201) // a retry returns the result
	testkit.Equal(t, "replayed", got.replayed(), true)
	h.wantBalance(bob, 7, 0)
	h.wantBalance(alice, 993, 0)
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	request := alice.asks("/v1/transfers", pay(bob, 7))
	requests := []ask{
		request,
		alice.asks("/v1/deposits", fields{"amount": 1, "currency": "USD"}),
		{method: "GET", path: "/v1/me", token: alice.access},
		{method: "GET", path: "/v1/wallets", token: alice.access},
		{method: "POST", path: "/v1/auth/login", body: fields{"login": "alice", "password": password}},
		{method: "POST", path: "/v1/auth/refresh", body: fields{"refresh_token": alice.refresh}},
		{method: "POST", path: "/v1/auth/signup", body: fields{"email": "c@example.com", "handle": "carol", "name": "C", "password": password}},
	}
	h.network.cut()
	for range 2 { // first open connections fail, then new ones
		for _, failing := range requests {
			got := h.do(failing)
			p := got.wantProblem(openapi.Unavailable)
			testkit.Equal(t, "Retry-After of "+failing.path, got.header.Get("Retry-After"), "1")
			for _, inside := range []string{"dial", "pgx", "connect", "tcp", "unix", "sql"} {
				testkit.Equal(t, "the detail tells "+inside, strings.Contains(strings.ToLower(p.Detail), inside), false)
			}
		}
	}
	h.do(ask{method: "GET", path: "/openapi.yaml"}).want(200)
	h.network.restore()
	got := h.do(request).want(201)
	testkit.Equal(t, "replayed", got.replayed(), false)
	h.wantBalance(alice, 993, 0)
}

// TestDatabaseAwayInTheMiddle: when a commit's outcome is not known, the answer says so.
func TestDatabaseAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100_000)
	requests := make([]ask, 60)
	for i := range requests {
		requests[i] = alice.asks("/v1/transfers", pay(bob, 1))
	}
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		h.network.cut()
		h.network.restore()
	}()
	for _, got := range h.atOnce(len(requests), func(i int) ask { return requests[i] }) {
		if got.status != 201 {
			testkit.Equal(t, "status", got.status, 503)
		}
	}
	<-cut
	for _, request := range requests { // a retry with the key succeeds, whatever the first outcome was
		h.do(request).want(201)
	}
	h.wantBalance(bob, int64(len(requests)), 0)
}

// TestWaitForTheDatabaseIsBounded: a request that finds all connections busy fails after its
// timeout.
func TestWaitForTheDatabaseIsBounded(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) {
		o.poolSize = 3
		o.before = func(a *api.API) { a.SetTimeout(400 * time.Millisecond) }
	})
	alice := h.signUp("alice")
	var held []*pgxpool.Conn
	for range 3 {
		conn, err := h.pool.Acquire(t.Context())
		testkit.Must(t, err)
		held = append(held, conn)
	}
	release := sync.OnceFunc(func() {
		for _, conn := range held {
			conn.Release()
		}
	})
	defer release()
	started := time.Now()
	got := h.get(alice, "/v1/wallets")
	got.wantProblem(openapi.Unavailable)
	testkit.Equal(t, "Retry-After", got.header.Get("Retry-After"), "1")
	if waited := time.Since(started); waited > 3*time.Second {
		t.Errorf("it took %v", waited)
	}
	release()
	h.get(alice, "/v1/wallets").want(200)
}

func TestLedgerThatIsClosing(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	testkit.Must(t, h.ledger.Close(t.Context()))
	before := h.rows()
	got := h.post(alice, "/v1/transfers", pay(bob, 1))
	got.wantProblem(openapi.Unavailable)
	h.wantUntouched("a closing ledger", before)
	h.get(alice, "/v1/wallets").want(200)
}

// TestFrozenWallets: a frozen sender and a frozen payee are refused, and the sender sees the
// refusal.
func TestFrozenWallets(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	testkit.Must(t, h.ledger.SetStatus(t.Context(), bob.id, ledger.Frozen))
	h.post(alice, "/v1/transfers", pay(bob, 1)).wantProblem(openapi.AccountFrozen)
	h.post(bob, "/v1/deposits", fields{"amount": 1, "currency": "USD"}).wantProblem(openapi.AccountFrozen)
	testkit.Equal(t, "status", string(h.wallet(bob).Status), "frozen")
	testkit.Must(t, h.ledger.SetStatus(t.Context(), bob.id, ledger.Active))
	h.post(alice, "/v1/transfers", pay(bob, 1)).want(201)
}
