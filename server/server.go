// Package server assembles kizod from the packages below it.
//
//	         ┌───────────────────── Server ─────────────────────┐
//	users ──►│ listener ─► api ─┬─► ledger ──┬──► PostgreSQL    │
//	         │                  ├─► auth ────┤                  │
//	         │                  └─► ops ──► settle ──► Redis    │
//	         │ worker, janitor ───────────► settle ──► the bank │
//	         │ worker ────────────────────► mail ──► mail server│
//	ops ────►│ monitoring: /metrics, /livez, /readyz            │
//	         └──────────────────────────────────────────────────┘
//
// Server is `kizod serve`: PostgreSQL, Redis and the bank run already. Dev is `kizod dev`: it
// starts its own PostgreSQL, Redis and mock bank, and a Server that uses them.
//
// The package makes the parts, connects them, starts what each role needs, and stops all in
// order. It holds no rule about money, users or the bank.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
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
	"github.com/JDevAman/kizo/server/mail"
	"github.com/JDevAman/kizo/server/monitoring"
	"github.com/JDevAman/kizo/server/notices"
	"github.com/JDevAman/kizo/server/ops"
	"github.com/JDevAman/kizo/server/ratelimit"
	"github.com/JDevAman/kizo/server/settle"
	"github.com/JDevAman/kizo/server/spans"
)

// Role is a part of kizod's work. A process has one or more roles.
type Role string

// The roles. Each may run in any number of processes.
const (
	RoleAPI     Role = "api"     // serves every route except sign-up and log-in
	RoleAuth    Role = "auth"    // serves /v1/auth, which hashes passwords
	RoleWorker  Role = "worker"  // settles payments that tasks name, and sends mail
	RoleJanitor Role = "janitor" // finds overdue payments, expired authorizations and expired sessions, and makes notices about payments
)

// AllRoles returns every role, for a deployment with a single process.
func AllRoles() []Role { return []Role{RoleAPI, RoleAuth, RoleWorker, RoleJanitor} }

// Config of a Server.
type Config struct {
	DatabaseURL     string // of PostgreSQL, as kizo_app
	MaxConnections  int32  // to the database; 24 when 0
	Redis           asynq.RedisConnOpt
	BankURL         string
	BankToken       string // authenticates kizod to the bank; no token when ""
	Secrets         auth.Secrets
	Listen          string           // address of the API, host:port
	Listener        net.Listener     // of the API, if it is open already; Listen is then ignored
	Certificate     *tls.Certificate // of the API's listener, with its Leaf; no TLS when nil
	OpsListen       string           // address of metrics and health, host:port
	PprofListen     string           // address of profiles, on loopback; no profiles when ""
	Roles           []Role
	DefaultCurrency money.Currency
	HashWorker      []string      // arguments that make this program a hash worker; nil hashes in this process
	HashSlots       int           // concurrent password hashes; the number of CPUs when 0
	HashMaxWait     time.Duration // a log-in that would wait longer is rejected at once; auth.DefaultHashMaxWait when 0

	SessionIdle     time.Duration // after which an unused session ends; auth.DefaultSessionIdle when 0
	SessionLifetime time.Duration // after which every session ends; auth.DefaultSessionLifetime when 0

	// Requests per second of one user, and of one address with anonymous requests. Bursts may
	// be twice that. 0 disables the limit.
	RateLimit, RateLimitAddress int

	InFlight int // maximum number of concurrent requests, others are rejected; api.DefaultInFlight when 0

	TrustedProxies api.TrustedProxies // proxies whose X-Forwarded-For names the client

	AcceptPlainText bool // start although passwords or the bank's token cross a network unencrypted

	// Maximum number of concurrent client connections, in total and from one address. When 0,
	// as many as the file descriptors allow, and a quarter of that.
	ClientConnections, AddressConnections int

	ReviewAttempts    int           // a payment that was tried this often, 12 when 0,
	ReviewAge         time.Duration // and is this old, 1 h when 0, needs review
	AuditInterval     time.Duration // between audits by the janitor; it makes none when 0
	AuditFullInterval time.Duration // between those of them that are full

	PruneInterval time.Duration // between deletions of expired sessions and log-in failures; 1 min when 0
	TracesURL     string        // of a collector of OpenTelemetry spans; none are exported when empty
	TracesPercent int           // of the traces that are exported
	DrainDelay    time.Duration // between reporting "not ready" and closing the listener
	DrainTimeout  time.Duration // for running requests to finish; 25 s when 0
	LoseMoney     bool          // start although the database may lose committed transactions
	Triggers      api.Triggers  // of the mock bank of a Dev
	Mail          mail.Sender   // nil: users get no mail
	MailRate      int           // mails in a minute, of all processes together; mail.DefaultRate when 0
	FourEyes      api.FourEyes  // above which actions of operators need a second operator; none when nil

	OperatorsWithoutSecondFactor bool // operators need no second factor; only a Dev sets it

	Version string
	Logger  *slog.Logger // no logging when nil
}

// Server is a running kizod.
type Server struct {
	config  Config
	log     *slog.Logger
	pool    *pgxpool.Pool
	ledger  *ledger.Ledger
	auditor *ledger.Auditor
	api     *api.API
	queues  *settle.Queues
	settler *settle.Settler
	auth    *auth.Service
	spans   *spans.Exporter // nil if none are exported
	notices *notices.Inbox
	metrics metrics
	monitor monitor
	ready   atomic.Bool

	secrets         atomic.Pointer[auth.Secrets] // in use
	certificates    certificates
	secretsRegistry *auth.Registry

	hashWorker *hashworker.Worker    // nil if this process hashes passwords itself
	limitRedis redis.UniversalClient // nil if this process does not serve the API

	apiListener, opsListener net.Listener
	ops                      *http.Server
	stopWork                 context.CancelFunc
	work                     sync.WaitGroup
	pprofListener            net.Listener // nil if no profiles are served
	failed                   chan error   // errors of parts that ended by themselves
	closing                  sync.Once
	closeErr                 error
}

// Start checks the database, listens, and starts the roles. The caller must close the Server
// that it returns.
func Start(ctx context.Context, config Config) (_ *Server, err error) {
	if config.MaxConnections == 0 {
		config.MaxConnections = 24
	}
	if config.DrainTimeout == 0 {
		config.DrainTimeout = 25 * time.Second
	}
	config.PruneInterval = cmp.Or(config.PruneInterval, time.Minute)
	config.Logger = cmp.Or(config.Logger, slog.New(slog.DiscardHandler))
	s := &Server{config: config, log: config.Logger, failed: make(chan error, 8), stopWork: func() {}}
	s.certificates.current.Store(config.Certificate)
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

// checkTimeout bounds the checks of the database, at the start and when secrets change.
const checkTimeout = 15 * time.Second

// connect opens the database. It refuses one that may lose or corrupt money: with another
// schema, a role with too many privileges, unrepaired after a restore, or not durable. It waits
// while a kizod of an older version is connected.
func (s *Server) connect(ctx context.Context) error {
	var err error
	if s.pool, err = openDatabase(ctx, s.config, s.log); err != nil {
		return err
	}
	if err := s.checkDatabase(ctx); err != nil {
		return err
	}
	if err := waitForOlder(ctx, s.pool, s.log); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return s.adoptSecrets(ctx)
}

func (s *Server) checkDatabase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
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
		s.log.Warn("serving on a database that may lose money, as configured", "error", err)
	}
	return nil
}

// metrics are those of the assembled packages.
type metrics struct {
	batches    *monitoring.BatchMetrics
	settlement *settle.Metrics
	api        *api.Metrics
	auth       *auth.Metrics
	limits     *ratelimit.Metrics
	listeners  *listener.Metrics
	mail       *mail.Metrics
}

func newMetrics() metrics {
	return metrics{
		monitoring.NewBatchMetrics(), settle.NewMetrics(), api.NewMetrics(), auth.NewMetrics(), ratelimit.NewMetrics(), listener.NewMetrics(),
		mail.NewMetrics(),
	}
}

func (m metrics) collectors() []prometheus.Collector {
	return slices.Concat(m.batches.Collectors(), m.settlement.Collectors(), m.api.Collectors(), m.auth.Collectors(),
		m.limits.Collectors(), m.listeners.Collectors(), m.mail.Collectors())
}

// assemble makes the parts of the server and starts them.
func (s *Server) assemble() error {
	s.metrics = newMetrics()
	s.ledger = ledger.Open(ledger.Config{Pool: s.pool, Logger: s.log, OnBatch: s.metrics.batches.Observe})
	s.auditor = &ledger.Auditor{Pool: s.pool, Keys: func() []ledger.AuditKey { return AuditKeys(*s.secrets.Load()) }}
	var err error
	s.spans, err = spans.New(context.Background(), spans.Config{
		URL: s.config.TracesURL, Percent: s.config.TracesPercent, Version: s.config.Version, Roles: roleNames(s.config.Roles), Log: s.log,
	})
	if err != nil {
		return err
	}
	bankClient, err := bank.NewClient(bank.ClientConfig{URL: s.config.BankURL, Token: s.config.BankToken, Spans: s.spans})
	if err != nil {
		return err
	}
	dispatcher := settle.NewDispatcher(s.config.Redis, s.log, s.metrics.settlement)
	s.settler = settle.New(settle.Config{
		Pool: s.pool, Ledger: s.ledger, Bank: bankClient, Logger: s.log, Metrics: s.metrics.settlement,
		MaxAttempts: s.config.ReviewAttempts, MaxAge: s.config.ReviewAge,
		CallbackSecret: s.config.Secrets.BankCallback.Reveal(), Enqueue: dispatcher.EnqueueAttempt, Spans: s.spans,
	})
	s.queues = settle.NewQueues(s.config.Redis, mail.QueueName)
	s.monitor = s.newMonitor()
	if s.auth, err = s.newAuth(); err != nil {
		return err
	}
	s.notices = notices.New(s.pool)

	var working context.Context
	working, s.stopWork = context.WithCancel(context.Background())
	s.run("watching the database", func() error { return s.monitor.database.Watch(working) })
	s.run("watching for a restored database", func() error { return s.monitor.restored.Watch(working) })
	s.run("dispatcher", func() error { return dispatcher.Run(working) })
	mails := s.startMail(working)
	s.run("reporting secrets", func() error { return s.reportSecrets(working) })
	if s.has(RoleWorker) {
		worker := settle.NewWorker(s.settler, dispatcher, s.config.Redis)
		s.run("worker", func() error { return worker.Run(working) })
	}
	if s.has(RoleJanitor) {
		janitor := settle.NewJanitor(s.settler)
		s.run("janitor", func() error { return janitor.Run(working) })
		s.run("pruning", func() error { return s.prune(working) })
		watcher := notices.NewWatcher(s.pool, s.ledger, s.log)
		s.run("notices about payments", func() error { return watcher.Run(working) })
		if s.config.AuditInterval > 0 {
			s.run("audits", func() error { return s.runAudits(working) })
		}
	}
	if s.servesAPI() {
		s.monitor.history = s.newHistory()
		s.run("recording the history", func() error { return s.monitor.history.Run(working) })
		s.api = s.newAPI(dispatcher, mails)
		s.serve("API", func() error { return s.api.Serve(s.apiListener) })
	}
	s.ops = &http.Server{Handler: s.monitor.handler, ReadHeaderTimeout: 5 * time.Second}
	s.serve("operators' listener", func() error { return s.serveOps(s.ops, s.opsListener) })
	s.servePprof()
	return nil
}

// monitor measures the server.
type monitor struct {
	database     *monitoring.Database
	restored     *monitoring.RestoredCheck
	dependencies *monitoring.Dependencies
	history      *monitoring.History // nil if this process does not serve the API
	audit        *monitoring.AuditStatus
	handler      http.Handler // of the operators' listener
}

func (s *Server) newMonitor() monitor {
	m := monitor{
		database: monitoring.NewDatabase(s.pool, s.log), restored: monitoring.NewRestoredCheck(s.pool, s.log),
		dependencies: monitoring.NewDependencies(s.queues, s.settler, s.pool, s.log), audit: new(monitoring.AuditStatus),
	}
	build := monitoring.Build{Version: s.config.Version, Roles: roleNames(s.config.Roles)}
	registry := monitoring.NewRegistry(build,
		m.database, m.dependencies, m.audit, monitoring.NewPoolMetrics(s.pool), monitoring.NewLedgerMetrics(s.ledger))
	registry.MustRegister(s.metrics.collectors()...)
	registry.MustRegister(&s.certificates)
	ready := &monitoring.Readiness{Build: build, Serving: s.ready.Load, Database: m.database, Restored: m.restored, Dependencies: m.dependencies}
	if s.has(RoleWorker) || s.has(RoleJanitor) {
		ready.BankAnswers = func() bool { return !s.settler.BreakerOpen() }
	}
	if s.has(RoleAuth) {
		ready.HashQueue = func() (int64, bool) { return s.auth.HashQueue() } // s.auth is made later
	}
	m.handler = monitoring.Handler(registry, ready)
	return m
}

// startMail starts the queue of mail, and the worker that sends it. The function that it returns
// asks for a mail; it is nil if users get no mail.
func (s *Server) startMail(working context.Context) func(mail.Task) {
	if s.config.Mail == nil {
		return nil
	}
	queue := mail.NewQueue(s.config.Redis, s.log, s.metrics.mail)
	s.run("queue of mail", func() error { return queue.Run(working) })
	if s.has(RoleWorker) {
		worker := mail.NewWorker(mail.WorkerConfig{
			Redis: s.config.Redis, Auth: s.auth, Sender: s.config.Mail, Rate: s.config.MailRate, Logger: s.log, Metrics: s.metrics.mail,
			Notices: s.notices, Enqueue: queue.Enqueue,
		})
		s.run("mail worker", func() error { return worker.Run(working) })
	}
	return queue.Enqueue
}

func (s *Server) newAPI(dispatcher *settle.Dispatcher, mails func(mail.Task)) *api.API {
	return api.New(api.Config{
		Ledger: s.ledger, Auth: s.auth, Ops: s.newOps(), Enqueue: dispatcher.Enqueue, Contract: kizo.Contract,
		DefaultCurrency: s.config.DefaultCurrency, Version: s.config.Version, Logger: s.log, Metrics: s.metrics.api, Limits: s.newLimits(),
		Notices: s.notices, Part: s.part(), InFlight: s.config.InFlight, TrustedProxies: s.config.TrustedProxies, Connections: s.connections(),
		Triggers: s.config.Triggers, TryOut: s.config.Triggers != nil, Mail: mails, TLS: s.certificates.config(),
		FourEyes: s.config.FourEyes, Spans: s.spans, OperatorsWithoutSecondFactor: s.config.OperatorsWithoutSecondFactor,
	})
}

func (s *Server) newOps() *ops.Ops {
	snapshots := monitoring.SnapshotConfig{
		Requests: s.metrics.api.Seconds(), Settlement: s.settlementSeconds(), Batches: s.metrics.batches, Pool: s.pool, Settler: s.settler,
		Dependencies: s.monitor.dependencies, Audit: s.monitor.audit,
	}
	return ops.New(ops.Config{
		Settler: s.settler, Queues: s.queues, Audited: s.monitor.audit, Snapshots: monitoring.NewSnapshots(snapshots),
		History: s.monitor.history, Auditor: s.auditor,
	})
}

func (s *Server) newHistory() *monitoring.History {
	return monitoring.NewHistory(monitoring.HistoryConfig{
		Requests: s.metrics.api.Seconds(), Settlement: s.settlementSeconds(), Batches: s.metrics.batches, Dependencies: s.monitor.dependencies,
	})
}

// settlementSeconds returns the histogram of payments, or nil if this process settles none.
func (s *Server) settlementSeconds() prometheus.Collector {
	if s.has(RoleWorker) || s.has(RoleJanitor) {
		return s.metrics.settlement.Seconds()
	}
	return nil
}

// part returns the part of the API that this process serves, which follows from its roles.
func (s *Server) part() api.Part {
	switch {
	case !s.has(RoleAuth):
		return api.WithoutPasswords
	case !s.has(RoleAPI):
		return api.OnlyAuth
	}
	return api.Everything
}

func (s *Server) servesAPI() bool { return s.config.servesClients() }

// run starts a part that must end before the ledger is closed.
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

// URL returns the URL of the API, or "" if this process does not serve it.
func (s *Server) URL() string {
	url := httpURL(s.apiListener)
	if s.certificates.current.Load() != nil {
		url = strings.Replace(url, "http://", "https://", 1)
	}
	return url
}

// OpsURL returns the URL of metrics and health.
func (s *Server) OpsURL() string { return httpURL(s.opsListener) }

func httpURL(l net.Listener) string {
	if l == nil {
		return ""
	}
	address, ok := l.Addr().(*net.TCPAddr)
	if ok && address.IP.IsUnspecified() { // an address to listen on, not to connect to
		return fmt.Sprintf("http://127.0.0.1:%d", address.Port)
	}
	return "http://" + l.Addr().String()
}

// Wait returns nil when ctx ends, or the error of the first part of the server that fails.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}
