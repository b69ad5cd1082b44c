package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/hibiken/asynq"

	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/embedded"
)

// Database is the name of Kizo's database in a PostgreSQL of its own.
const Database = "kizo"

// DevConfig of a Dev; all but Dir has a default.
type DevConfig struct {
	Dir             string // where everything is kept
	PostgresBin     string // directory of PostgreSQL's programs; found by itself if ""
	Listen          string // host:port; port 0 picks one
	OpsListen       string
	BankListen      string // the mock bank's; a free loopback port if ""
	BankPreset      string // calm, classic or hell
	BankSeed        uint64
	DefaultCurrency money.Currency
	Version         string
	Logger          *slog.Logger
}

// Dev is a kizod that needs nothing running: its PostgreSQL and Redis are children
// of this process, its bank a part of it. The data survives; a second Dev on the
// same data is refused.
type Dev struct {
	*Server
	lock     *embedded.DirLock
	postgres *embedded.Postgres
	redis    *embedded.Redis
	bank     *sim.Server
	bankEnds chan error
}

// StartDev starts everything, in the order of need. A Dev that it returns must be
// closed.
func StartDev(ctx context.Context, config DevConfig) (_ *Dev, err error) {
	d := &Dev{bankEnds: make(chan error, 1)}
	defer func() {
		if err != nil {
			_ = d.Close()
		}
	}()
	if d.lock, err = embedded.Lock(config.Dir); err != nil {
		return nil, err
	}
	secrets, err := auth.LoadOrCreateSecrets(filepath.Join(config.Dir, "secrets", "secrets.json"))
	if err != nil {
		return nil, err
	}
	d.postgres, err = embedded.StartPostgres(ctx, embedded.PostgresConfig{
		Dir: config.Dir, BinDir: config.PostgresBin, Lock: d.lock, Log: config.Logger,
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
	if d.redis, err = embedded.StartRedis(ctx, embedded.RedisConfig{Dir: config.Dir}); err != nil {
		return nil, err
	}
	if d.redis.InProcess() {
		config.Logger.Info("redis-server is not installed: queues are kept in memory, and rebuilt from the ledger")
	}
	bankToken := hex.EncodeToString(secrets.BankToken.Reveal())
	bankURL, err := d.startBank(ctx, config, bankToken)
	if err != nil {
		return nil, err
	}
	d.Server, err = Start(ctx, Config{
		DatabaseURL: d.postgres.URL(Database, embedded.AppRole),
		Redis:       asynq.RedisClientOpt{Network: d.redis.Network(), Addr: d.redis.Addr()},
		BankURL:     bankURL, BankToken: bankToken, Secrets: secrets, Listen: config.Listen, OpsListen: config.OpsListen,
		Roles: AllRoles(), DefaultCurrency: config.DefaultCurrency, Version: config.Version, Logger: config.Logger,
	})
	if err != nil {
		return nil, err
	}
	d.watch()
	return d, nil
}

// startBank serves the mock bank over HTTP like any other, on a loopback port.
func (d *Dev) startBank(ctx context.Context, config DevConfig, token string) (string, error) {
	faults, err := sim.Preset(config.BankPreset)
	if err != nil {
		return "", err
	}
	d.bank, err = sim.New(sim.Config{
		Journal: filepath.Join(config.Dir, "bank", "journal.jsonl"), Seed: config.BankSeed, Faults: faults,
		Token: token, Log: config.Logger,
	})
	if err != nil {
		return "", err
	}
	if config.BankListen == "" {
		config.BankListen = "127.0.0.1:0"
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", config.BankListen)
	if err != nil {
		return "", fmt.Errorf("listen for the mock bank: %w", err)
	}
	go func() { d.bankEnds <- d.bank.Serve(context.Background(), listener) }()
	return "http://" + listener.Addr().String(), nil
}

// watch makes the end of a child the server's own failure.
func (d *Dev) watch() {
	go func() {
		<-d.postgres.Done()
		d.failed <- fmt.Errorf("PostgreSQL has ended; its log is %s", d.postgres.LogPath())
	}()
}

// Close drains the server and then stops what it stood on.
func (d *Dev) Close() error {
	var errs []error
	if d.Server != nil {
		errs = append(errs, d.Server.Close())
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
	if d.lock != nil {
		errs = append(errs, d.lock.Unlock())
	}
	return errors.Join(errs...)
}
