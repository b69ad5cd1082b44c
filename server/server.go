// Package server puts the rooms of kizod together.
//
//	            ┌────────────────── Server ──────────────────┐
//	listener ─► api ─► ledger ─► PostgreSQL ◄─ settle ─► bank │ ◄─ ops listener
//	            └─► auth ──────────┘             └─► Redis    │
//	            └────────────────────────────────────────────┘
//
// Server is `kizod serve`: everything it talks to runs already. Dev is `kizod
// dev`: it brings its own PostgreSQL, Redis and bank, and a Server on top.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	kizo "github.com/JDevAman/kizo"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/hashworker"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/listener"
	"github.com/JDevAman/kizo/server/monitoring"
	"github.com/JDevAman/kizo/server/ops"
	"github.com/JDevAman/kizo/server/ratelimit"
	"github.com/JDevAman/kizo/server/settle"
)

// Role is one of the jobs that a kizod can have.
type Role string

// The roles. Each may run in any number of processes.
const (
	RoleAPI     Role = "api"  // everything but signing up and in, which is
	RoleAuth    Role = "auth" // /v1/auth: the one that hashes passwords
	RoleWorker  Role = "worker"
	RoleJanitor Role = "janitor"
)

// AllRoles is what a lone kizod does.
func AllRoles() []Role { return []Role{RoleAPI, RoleAuth, RoleWorker, RoleJanitor} }

// Config of a Server.
type Config struct {
	DatabaseURL     string // as kizo_app
	MaxConnections  int32  // to the database; 24 when 0
	Redis           asynq.RedisConnOpt
	BankURL         string
	BankToken       string // shown to the bank; none if ""
	Secrets         auth.Secrets
	Listen          string       // of the API, host:port
	Listener        net.Listener // of the API, where it is open already; then Listen is not looked at
	OpsListen       string       // of metrics and health, host:port
	PprofListen     string       // of profiles, on loopback; none if ""
	Roles           []Role
	DefaultCurrency money.Currency
	HashWorker      []string      // arguments that make this program a hash worker; hashes in process when nil
	HashSlots       int           // password hashes at a time; as many as CPUs when 0
	HashMaxWait     time.Duration // a sign-in that would wait longer is refused at once; auth.DefaultHashMaxWait when 0

	// Requests a second, twice as many at once, of a user and of an address that
	// nobody is known at; 0 is no limit.
	RateLimit, RateLimitAddress int

	InFlight int // requests worked on at once, the others are sent away; api.DefaultInFlight when 0

	TrustedProxies api.TrustedProxies // whose X-Forwarded-For names the client

	AcceptPlainText bool // serve although passwords or the bank's token cross a network unencrypted

	// Connections of clients at once, in all and of one address. When 0, as many as
	// the file descriptors allow, and a quarter of them.
	ClientConnections, AddressConnections int

	ReviewAttempts int           // a payment tried so often and
	ReviewAge      time.Duration // so old is left to an operator; 12 and 1 h when 0
	DrainDelay     time.Duration // between "not ready" and no longer accepting
	DrainTimeout   time.Duration // for the requests under way; 25 s when 0
	LoseMoney      bool          // serve although the database may forget commits
	Version        string
	Logger         *slog.Logger
}

// Server is a running kizod.
type Server struct {
	config  Config
	log     *slog.Logger
	pool    *pgxpool.Pool
	ledger  *ledger.Ledger
	api     *api.API
	queues  *settle.Queues
	settler *settle.Settler
	auth    *auth.Service
	metrics metrics
	monitor monitor
	ready   atomic.Bool

	secrets         atomic.Pointer[auth.Secrets] // in use now
	secretsRegistry *auth.Registry

	hashWorker *hashworker.Worker    // nil where hashing is in process
	limitRedis redis.UniversalClient // nil without the API

	apiListener, opsListener net.Listener
	ops                      *http.Server
	stopWork                 context.CancelFunc
	work                     sync.WaitGroup
	pprofListener            net.Listener // nil where no profiles are served
	failed                   chan error   // what ended by itself
	closing                  sync.Once
	closeErr                 error
}

// Start checks the database, listens, and starts the roles. A Server that it
// returns must be closed.
func Start(ctx context.Context, config Config) (_ *Server, err error) {
	if config.MaxConnections == 0 {
		config.MaxConnections = 24
	}
	if config.DrainTimeout == 0 {
		config.DrainTimeout = 25 * time.Second
	}
	config.Logger = cmp.Or(config.Logger, slog.New(slog.DiscardHandler))
	s := &Server{config: config, log: config.Logger, failed: make(chan error, 8), stopWork: func() {}}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if err := config.checkTransport(s.log); err != nil {
		return nil, err
	}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if err := failpoint.Point("server.connected"); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	if err := failpoint.Point("server.listening"); err != nil {
		return nil, err
	}
	if err := s.assemble(); err != nil {
		return nil, err
	}
	if err := failpoint.Point("server.assembled"); err != nil {
		return nil, err
	}
	s.ready.Store(true)
	s.logStart(ctx)
	return s, nil
}

// checkWithin bounds the questions that a database is asked before it is trusted.
const checkWithin = 15 * time.Second

// connect opens the database and refuses one that cannot be trusted with money.
func (s *Server) connect(ctx context.Context) error {
	var err error
	if s.pool, err = openDatabase(ctx, s.config, s.log); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("reach the database (is PostgreSQL running, and the URL right?): %w", err)
	}
	if err := migrations.Check(ctx, s.pool); err != nil {
		return err
	}
	if err := ledger.CheckRole(ctx, s.pool); err != nil {
		return err
	}
	if err := ledger.CheckRestored(ctx, s.pool); err != nil {
		return err
	}
	if err := errors.Join(ledger.CheckDurable(ctx, s.pool), ledger.CheckCollation(ctx, s.pool)); err != nil {
		if !s.config.LoseMoney {
			return err
		}
		s.log.Warn("serving on a database that may lose money, as told to", "error", err)
	}
	return s.adoptSecrets(ctx)
}

// metrics of the packages that a Server assembles.
type metrics struct {
	batches    *monitoring.BatchMetrics
	settlement *settle.Metrics
	api        *api.Metrics
	auth       *auth.Metrics
	limits     *ratelimit.Metrics
	listeners  *listener.Metrics
}

func newMetrics() metrics {
	return metrics{
		monitoring.NewBatchMetrics(), settle.NewMetrics(), api.NewMetrics(), auth.NewMetrics(), ratelimit.NewMetrics(), listener.NewMetrics(),
	}
}

func (m metrics) collectors() []prometheus.Collector {
	return slices.Concat(m.batches.Collectors(), m.settlement.Collectors(), m.api.Collectors(), m.auth.Collectors(),
		m.limits.Collectors(), m.listeners.Collectors())
}

// assemble makes the parts of the server and starts them.
func (s *Server) assemble() error {
	s.metrics = newMetrics()
	s.ledger = ledger.Open(ledger.Config{Pool: s.pool, Logger: s.log, OnBatch: s.metrics.batches.Observe})
	bankClient, err := bank.NewClient(bank.ClientConfig{URL: s.config.BankURL, Token: s.config.BankToken})
	if err != nil {
		return err
	}
	dispatcher := settle.NewDispatcher(s.config.Redis, s.log, s.metrics.settlement)
	s.settler = settle.New(settle.Config{
		Pool: s.pool, Ledger: s.ledger, Bank: bankClient, Logger: s.log, Metrics: s.metrics.settlement,
		MaxAttempts: s.config.ReviewAttempts, MaxAge: s.config.ReviewAge,
		CallbackSecret: s.config.Secrets.BankCallback.Reveal(), Enqueue: dispatcher.EnqueueAttempt,
	})
	s.queues = settle.NewQueues(s.config.Redis)
	s.monitor = s.newMonitor()
	if s.auth, err = s.newAuth(); err != nil {
		return err
	}

	var working context.Context
	working, s.stopWork = context.WithCancel(context.Background())
	s.run("watching the database", func() error { return s.monitor.database.Watch(working) })
	s.run("watching for a restored database", func() error { return s.monitor.restored.Watch(working) })
	s.run("dispatcher", func() error { return dispatcher.Run(working) })
	s.run("reporting secrets", func() error { return s.reportSecrets(working) })
	if s.has(RoleWorker) {
		worker := settle.NewWorker(s.settler, dispatcher, s.config.Redis)
		s.run("worker", func() error { return worker.Run(working) })
	}
	if s.has(RoleJanitor) {
		janitor := settle.NewJanitor(s.settler)
		s.run("janitor", func() error { return janitor.Run(working) })
		s.run("pruning", func() error { return s.prune(working) })
	}
	if s.servesAPI() {
		s.api = s.newAPI(dispatcher)
		s.serve("API", func() error { return s.api.Serve(s.apiListener) })
	}
	s.ops = &http.Server{Handler: s.monitor.handler, ReadHeaderTimeout: 5 * time.Second}
	s.serve("operators' listener", func() error { return s.serveOps(s.ops, s.opsListener) })
	s.servePprof()
	return nil
}

// monitor is what watches the server.
type monitor struct {
	database     *monitoring.Database
	restored     *monitoring.RestoredCheck
	dependencies *monitoring.Dependencies
	audit        *monitoring.AuditStatus
	handler      http.Handler // of the operators' listener
}

func (s *Server) newMonitor() monitor {
	m := monitor{
		database: monitoring.NewDatabase(s.pool, s.log), restored: monitoring.NewRestoredCheck(s.pool, s.log),
		dependencies: monitoring.NewDependencies(s.queues, s.settler, s.pool, s.log), audit: new(monitoring.AuditStatus),
	}
	registry := monitoring.NewRegistry(monitoring.Build{Version: s.config.Version, Roles: roleNames(s.config.Roles)},
		m.database, m.dependencies, m.audit, monitoring.NewPoolMetrics(s.pool), monitoring.NewLedgerMetrics(s.ledger))
	registry.MustRegister(s.metrics.collectors()...)
	m.handler = monitoring.Handler(registry, &monitoring.Readiness{Serving: s.ready.Load, Database: m.database, Restored: m.restored})
	return m
}

func (s *Server) newAPI(dispatcher *settle.Dispatcher) *api.API {
	return api.New(api.Config{
		Ledger: s.ledger, Auth: s.auth, Ops: s.newOps(), Enqueue: dispatcher.Enqueue, Contract: kizo.Contract,
		DefaultCurrency: s.config.DefaultCurrency, Version: s.config.Version, Logger: s.log, Metrics: s.metrics.api, Limits: s.newLimits(),
		Part: s.part(), InFlight: s.config.InFlight, TrustedProxies: s.config.TrustedProxies, Connections: s.connections(),
	})
}

func (s *Server) newOps() *ops.Ops {
	snapshots := monitoring.SnapshotConfig{
		Requests: s.metrics.api.Seconds(), Batches: s.metrics.batches, Pool: s.pool, Settler: s.settler,
		Dependencies: s.monitor.dependencies, Audit: s.monitor.audit,
	}
	if s.has(RoleWorker) || s.has(RoleJanitor) {
		snapshots.Settlement = s.metrics.settlement.Seconds()
	}
	return ops.New(ops.Config{
		Settler: s.settler, Queues: s.queues, Audited: s.monitor.audit, Snapshots: monitoring.NewSnapshots(snapshots),
		Audit: func(ctx context.Context) (ledger.Report, error) { return ledger.Audit(ctx, s.pool) },
	})
}

// part of the API that the roles of this process make up.
func (s *Server) part() api.Part {
	switch {
	case !s.has(RoleAuth):
		return api.WithoutSignIn
	case !s.has(RoleAPI):
		return api.SignInAlone
	}
	return api.Everything
}

func (s *Server) servesAPI() bool { return s.config.servesClients() }

// run starts a part that must be over before the ledger is closed.
func (s *Server) run(name string, part func() error) {
	s.work.Go(func() {
		if err := part(); err != nil {
			s.failed <- fmt.Errorf("%s: %w", name, err)
		}
	})
}

// serve starts a part that ends when its listener is closed.
func (s *Server) serve(name string, part func() error) {
	go func() {
		if err := part(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("%s: %w", name, err)
		}
	}()
}

func (s *Server) has(role Role) bool {
	for _, r := range s.config.Roles {
		if r == role {
			return true
		}
	}
	return false
}

// URL of the API; "" without the role.
func (s *Server) URL() string { return httpURL(s.apiListener) }

// OpsURL of metrics and health.
func (s *Server) OpsURL() string { return httpURL(s.opsListener) }

func httpURL(l net.Listener) string {
	if l == nil {
		return ""
	}
	address, ok := l.Addr().(*net.TCPAddr)
	if ok && address.IP.IsUnspecified() { // "everywhere" is no place to connect to
		return fmt.Sprintf("http://127.0.0.1:%d", address.Port)
	}
	return "http://" + l.Addr().String()
}

// Wait returns when ctx ends, with nil, or when a part of the server has failed.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}
