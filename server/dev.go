package server

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/listener"
	"github.com/JDevAman/kizo/server/mail"
)

// Database is the name of Kizo's database in the PostgreSQL of a Dev.
const Database = "kizo"

// DevConfig of a Dev. Every field except Dir has a default.
type DevConfig struct {
	Dir             string // holds all data of the Dev
	PostgresBin     string // directory of PostgreSQL's programs; searched for when ""
	RedisInProcess  bool   // use the in-memory replacement even if redis-server is installed
	Listen          string // address of the API, host:port; like the next two, a free loopback port when ""
	OpsListen       string
	PprofListen     string // no profiles when ""
	BankListen      string // address of the mock bank
	BankPreset      string // calm, classic or hell; calm when ""
	BankSeed        uint64
	BankLies        float64        // share of payments, 0 to 1, whose every answer has a wrong amount: they need review
	DefaultCurrency money.Currency // USD when ""

	// The following are those of Config.
	HashWorker                             []string
	HashSlots, RateLimit, RateLimitAddress int
	HashMaxWait                            time.Duration
	TrustedProxies                         api.TrustedProxies
	ClientConnections, AddressConnections  int
	AcceptPlainText                        bool
	OperatorSecondFactor                   bool // operators need one, as always under a Server
	FourEyes                               api.FourEyes

	Version string
	Logger  *slog.Logger
}

func (c DevConfig) withDefaults() DevConfig {
	const freePort = "127.0.0.1:0"
	c.Listen = cmp.Or(c.Listen, freePort)
	c.OpsListen = cmp.Or(c.OpsListen, freePort)
	c.BankListen = cmp.Or(c.BankListen, freePort)
	c.BankPreset = cmp.Or(c.BankPreset, "calm")
	c.DefaultCurrency = cmp.Or(c.DefaultCurrency, "USD")
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return c
}

// Dev is a kizod that needs no other server: its PostgreSQL and Redis are child processes, and its
// mock bank runs in this process. It keeps the mail of users in a directory. Its data survives a
// restart. A second Dev on the same data is refused.
type Dev struct {
	*Server
	postgres *embedded.Postgres
	redis    *embedded.Redis
	bank     *sim.Server
	listener net.Listener // of the API; opened before the bank, which must know its address
	bankEnds chan error

	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
}

// StartDev starts PostgreSQL, Redis, the mock bank and the Server, in that order. The caller must
// close the Dev that it returns.
func StartDev(ctx context.Context, config DevConfig) (_ *Dev, err error) {
	config = config.withDefaults()
	reachable := Config{Listen: config.Listen, Roles: AllRoles(), TrustedProxies: config.TrustedProxies, AcceptPlainText: config.AcceptPlainText}
	if err := reachable.checkTransport(slog.New(slog.DiscardHandler)); err != nil { // before any process is started
		return nil, err
	}
	d := &Dev{bankEnds: make(chan error, 1), closing: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = d.Close()
		}
	}()
	faults, err := sim.Preset(config.BankPreset)
	if err != nil {
		return nil, err
	}
	faults.Stubborn = config.BankLies
	// PostgreSQL is the first, since StartPostgres locks the directory, and checks that the user
	// that PostgreSQL runs as may enter it.
	d.postgres, err = embedded.StartPostgres(ctx, embedded.PostgresConfig{
		Dir: config.Dir, BinDir: config.PostgresBin, Log: config.Logger,
	})
	if err != nil {
		return nil, err
	}
	if err := d.postgres.EnsureDatabase(ctx, Database); err != nil {
		return nil, err
	}
	if err := migrations.Apply(ctx, d.postgres.URL(Database, embedded.OwnerRole)); err != nil {
		return nil, err
	}
	secrets, err := devSecrets(ctx, d.postgres.URL(Database, embedded.AppRole), DevSecretsFile(config.Dir))
	if err != nil {
		return nil, err
	}
	if d.redis, err = embedded.StartRedis(ctx, embedded.RedisConfig{Dir: config.Dir, ForceInProcess: config.RedisInProcess}); err != nil {
		return nil, err
	}
	if d.redis.InProcess() && !config.RedisInProcess {
		config.Logger.Info("redis-server is not installed: queues are kept in memory, and rebuilt from PostgreSQL")
	}
	if d.listener, err = listenForAPI(ctx, config.Listen); err != nil {
		return nil, err
	}
	bankURL, err := d.startBank(ctx, config, faults, secrets)
	if err != nil {
		return nil, err
	}
	mailbox, err := mail.NewMailbox(filepath.Join(config.Dir, "mail"))
	if err != nil {
		return nil, err
	}
	d.Server, err = Start(ctx, Config{
		DatabaseURL: d.postgres.URL(Database, embedded.AppRole),
		Redis:       asynq.RedisClientOpt{Network: d.redis.Network(), Addr: d.redis.Addr()},
		BankURL:     bankURL, BankToken: bankToken(secrets), Secrets: secrets, Listener: d.listener, OpsListen: config.OpsListen,
		PprofListen: config.PprofListen,
		Triggers:    triggers{d.bank}, Mail: mailbox,

		OperatorsWithoutSecondFactor: !config.OperatorSecondFactor, FourEyes: config.FourEyes,
		Roles: AllRoles(), DefaultCurrency: config.DefaultCurrency, Version: config.Version, Logger: config.Logger,
		HashWorker: config.HashWorker, HashSlots: config.HashSlots, HashMaxWait: config.HashMaxWait, RateLimit: config.RateLimit, RateLimitAddress: config.RateLimitAddress,
		AuditInterval: time.Hour, AuditFullInterval: 7 * 24 * time.Hour,
		TrustedProxies:    config.TrustedProxies,
		AcceptPlainText:   config.AcceptPlainText,
		ClientConnections: config.ClientConnections, AddressConnections: config.AddressConnections,
	})
	if err != nil {
		return nil, err
	}
	d.watch(config.Logger)
	return d, nil
}

// DevSecretsFile returns the path of the secrets file in the data of a Dev.
func DevSecretsFile(dir string) string { return filepath.Join(dir, "secrets", "secrets.json") }

// devSecrets reads the secrets of a Dev, and creates them for new data. It does not replace lost
// secrets, since with new ones no existing user could log in.
func devSecrets(ctx context.Context, url, path string) (auth.Secrets, error) {
	secrets, err := auth.LoadSecrets(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secrets, err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return auth.Secrets{}, fmt.Errorf("connect to the database: %w", err)
	}
	defer pool.Close()
	needed, err := auth.NeededKeys(ctx, pool)
	if err != nil {
		return auth.Secrets{}, err
	}
	if len(needed) > 0 {
		return auth.Secrets{}, fmt.Errorf("the secrets file %s is missing, and the data needs %s: restore it from a backup, or start with new data (--data)",
			path, strings.Join(needed, ", "))
	}
	return auth.LoadOrCreateSecrets(path)
}

func bankToken(secrets auth.Secrets) string { return hex.EncodeToString(secrets.BankToken.Reveal()) }

// triggers are the scenarios of the mock bank.
type triggers struct{ bank *sim.Server }

func (t triggers) List() []openapi.Trigger {
	var list []openapi.Trigger
	for _, s := range sim.Scenarios() {
		list = append(list, openapi.Trigger{Event: s.Name, Description: s.Help})
	}
	return list
}

func (t triggers) Arm(event string, amount money.Amount) bool {
	return t.bank.Arm(event, amount.Minor, string(amount.Currency)) == nil
}

// startBank serves the mock bank over HTTP and returns its URL.
func (d *Dev) startBank(ctx context.Context, config DevConfig, faults sim.Faults, secrets auth.Secrets) (_ string, err error) {
	d.bank, err = sim.New(sim.Config{
		Journal: filepath.Join(config.Dir, "bank", "journal.jsonl"), Seed: config.BankSeed, Faults: faults,
		Token: bankToken(secrets), CallbackURL: httpURL(d.listener) + "/v1/bank/callbacks",
		CallbackSecret: string(secrets.BankCallback.Reveal()), Log: config.Logger, MaxConnections: bankConnections(listener.Descriptors()),
	})
	if err != nil {
		return "", err
	}
	var listen net.ListenConfig
	inner, err := listen.Listen(ctx, "tcp", config.BankListen)
	if err != nil {
		return "", fmt.Errorf("listen for the mock bank: %w", err)
	}
	go func() { d.bankEnds <- d.bank.Serve(context.WithoutCancel(ctx), inner) }()
	return httpURL(inner), nil
}

// watch makes the Server fail when PostgreSQL or the mock bank ends. Without Redis the Server
// keeps running, but settles more slowly.
func (d *Dev) watch(log *slog.Logger) {
	go func() {
		select {
		case <-d.closing:
		case <-d.postgres.Done():
			d.failed <- fmt.Errorf("PostgreSQL has ended; its log is %s", d.postgres.LogPath())
		}
	}()
	go func() {
		select {
		case <-d.closing:
		case err := <-d.bankEnds:
			d.failed <- fmt.Errorf("the mock bank has ended: %w", err)
		}
	}()
	go func() {
		select {
		case <-d.closing:
		case <-d.redis.Done():
			log.Warn("Redis has ended: until the next start, only the janitor settles payments")
		}
	}()
}

// Close stops the Server, then the mock bank, Redis and PostgreSQL. It may be called more than
// once.
func (d *Dev) Close() error {
	d.closeOnce.Do(func() {
		close(d.closing)
		d.closeErr = d.stop()
	})
	return d.closeErr
}

func (d *Dev) stop() error {
	var errs []error
	if d.Server != nil {
		errs = append(errs, d.Server.Close())
	}
	if d.listener != nil {
		errs = append(errs, closeListener(d.listener)) // Start may have failed before it took the listener
	}
	if d.bank != nil {
		errs = append(errs, d.bank.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	if d.redis != nil {
		errs = append(errs, d.redis.Stop(ctx))
	}
	if d.postgres != nil {
		errs = append(errs, d.postgres.Stop(ctx))
	}
	return errors.Join(errs...)
}
