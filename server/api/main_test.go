package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	kizo "github.com/JDevAman/kizo"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/mail"
	"github.com/JDevAman/kizo/server/notices"
)

func TestMain(m *testing.M) {
	pgtest.Main(m, migrations.Apply, pgtest.WithSetting("fsync", "off"))
}

const (
	password = "canary-password battery staple"
	// canary begins every memo of these tests, so that a memo in a log is found.
	canary = "canary-memo"
)

// fixture is an API that serves on a listener, with a database of its own.
type fixture struct {
	t      testing.TB
	url    string
	client *http.Client
	pool   *pgxpool.Pool
	db     *pgtest.Database
	ledger *ledger.Ledger
	auth   *auth.Service
	// past is the same service with a clock that is an hour late: its tokens have expired.
	past     *auth.Service
	api      *api.API
	ops      *fakeOps
	network  *dbNetwork
	log      *logRecorder
	enqueued chan uuid.UUID
	mails    chan mail.Task
}

type options struct {
	before   func(*api.API) // called before the API serves
	poolSize int32
	inFlight int
	hasher   auth.Hasher   // in process when nil
	hashWait time.Duration // maximum wait in the hash queue; the default when 0
	proxies  api.TrustedProxies
	conns    api.Connections
	limits   api.Limits
	notDev   bool // without a mock bank
	strict   bool // operators need a second factor
	fourEyes api.FourEyes
	noMail   bool
}

func newFixture(t testing.TB, change ...func(*options)) *fixture {
	t.Helper()
	o := options{poolSize: 8, before: func(*api.API) {}}
	for _, c := range change {
		c(&o)
	}
	h := &fixture{t: t, db: pgtest.New(t), log: &logRecorder{}, network: &dbNetwork{}, enqueued: make(chan uuid.UUID, 1024), mails: make(chan mail.Task, 1024), ops: &fakeOps{}}
	config, err := pgxpool.ParseConfig(h.db.AppURL)
	testkit.Must(t, err)
	config.MaxConns = o.poolSize
	config.ConnConfig.DialFunc = h.network.dial
	h.pool, err = pgxpool.NewWithConfig(t.Context(), config)
	testkit.Must(t, err)
	t.Cleanup(h.pool.Close)
	logger := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.ledger = ledger.Open(ledger.Config{Pool: h.pool, Logger: logger, BatchTimeout: 2 * time.Second})
	t.Cleanup(func() { testkit.Must(t, h.ledger.Close(context.Background())) })
	h.auth, h.past = newAuth(t, h.pool, o, logger)
	var triggers api.Triggers
	if !o.notDev {
		triggers = &allTriggers{}
	}
	var mails func(mail.Task)
	if !o.noMail {
		mails = func(task mail.Task) { h.mails <- task }
	}
	h.api = api.New(api.Config{
		Triggers: triggers, Mail: mails, OperatorsWithoutSecondFactor: !o.strict, FourEyes: o.fourEyes,
		Ledger: h.ledger, Auth: h.auth, Notices: notices.New(h.pool), Ops: h.ops, Contract: kizo.Contract, DefaultCurrency: "USD", Version: "test",
		Logger: logger, Enqueue: func(id uuid.UUID) { h.enqueued <- id }, InFlight: o.inFlight, TrustedProxies: o.proxies, Connections: o.conns, Limits: o.limits,
	})
	o.before(h.api)
	h.serve()
	t.Cleanup(func() { h.log.check(t) })
	return h
}

func newAuth(t testing.TB, pool *pgxpool.Pool, o options, logger *slog.Logger) (now, past *auth.Service) {
	t.Helper()
	identity := authConfig(t, pool)
	identity.Hasher, identity.HashMaxWait, identity.Logger = o.hasher, o.hashWait, logger
	now, err := auth.New(identity)
	testkit.Must(t, err)
	return now, newAuthAt(t, pool, func() time.Time { return time.Now().Add(-time.Hour) })
}

// asOwner executes a statement with the role that owns the tables.
func (h *fixture) asOwner(sql string, args ...any) {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), h.db.AdminURL)
	testkit.Must(h.t, err)
	defer conn.Close(h.t.Context())
	_, err = conn.Exec(h.t.Context(), sql, args...)
	testkit.Must(h.t, err)
}

// grant gives a user a role, with the database role that owns the tables, which alone may.
func (h *fixture) grant(who string, role auth.Role) {
	h.t.Helper()
	pool, err := pgxpool.New(h.t.Context(), h.db.AdminURL)
	testkit.Must(h.t, err)
	defer pool.Close()
	service, err := auth.New(authConfig(h.t, pool))
	testkit.Must(h.t, err)
	testkit.Must(h.t, service.Grant(h.t.Context(), who, role, "test"))
}

func authConfig(t testing.TB, pool *pgxpool.Pool) auth.Config {
	t.Helper()
	keys, err := auth.NewKeys(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	testkit.Must(t, err)
	peppers, err := auth.NewPeppers(auth.Pepper{ID: "p1", Key: auth.NewSecret(make([]byte, 32))})
	testkit.Must(t, err)
	return auth.Config{
		Pool: pool, Keys: keys, Peppers: peppers, HashSlots: 8,
		Params: auth.Argon2Params{MemoryKiB: 8, Time: 1, Threads: 1}, // cheap, because these tests do not test hashing
	}
}

// newAuthAt returns a service with another clock.
func newAuthAt(t testing.TB, pool *pgxpool.Pool, now func() time.Time) *auth.Service {
	t.Helper()
	config := authConfig(t, pool)
	config.Now = now
	service, err := auth.New(config)
	testkit.Must(t, err)
	return service
}

func (h *fixture) serve() {
	h.t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(h.t.Context(), "tcp", "127.0.0.1:0")
	testkit.Must(h.t, err)
	served := make(chan error, 1)
	go func() { served <- h.api.Serve(listener) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	h.url, h.client = "http://"+listener.Addr().String(), &http.Client{Transport: transport, Timeout: 20 * time.Second}
	h.t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		testkit.Must(h.t, h.api.Shutdown(ctx))
		testkit.Must(h.t, <-served)
	})
}

// dbNetwork dials the connections to the database and can cut them.
type dbNetwork struct {
	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func (w *dbNetwork) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.ErrClosed}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		w.conns = append(w.conns, conn)
	}
	return conn, err
}

func (w *dbNetwork) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	for _, conn := range w.conns {
		_ = conn.Close()
	}
	w.conns = nil
}

func (w *dbNetwork) restore() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = false
}

// logRecorder records the log and checks that no secret is in it.
type logRecorder struct {
	mu      sync.Mutex
	text    bytes.Buffer
	secrets []string
}

func (b *logRecorder) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(line)
}

func (b *logRecorder) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logRecorder) keepOut(secrets ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.secrets = append(b.secrets, secrets...)
}

func (b *logRecorder) check(t testing.TB) {
	t.Helper()
	text := b.String()
	for _, secret := range append(b.secrets, password, canary, "Bearer", "argon2id") {
		if strings.Contains(text, secret) {
			t.Errorf("the log contains %.24q…:\n%s", secret, text)
			return
		}
	}
}

// rows counts the rows that a request may insert, and sums the amounts that it may change.
func (h *fixture) rows() [8]int64 {
	h.t.Helper()
	var n [8]int64
	testkit.Must(h.t, h.pool.QueryRow(h.t.Context(), `SELECT (SELECT count(*) FROM transfers), (SELECT count(*) FROM all_postings),
		(SELECT count(*) FROM all_events), (SELECT count(*) FROM payments), (SELECT count(*) FROM accounts),
		(SELECT count(*) FROM users), (SELECT sum(held) FROM accounts), (SELECT sum(abs(balance)) FROM accounts)`).
		Scan(&n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7]))
	return n
}

func (h *fixture) wantUntouched(what string, before [8]int64) {
	h.t.Helper()
	if after := h.rows(); after != before {
		h.t.Errorf("%s wrote something: %v, before it %v", what, after, before)
	}
}
