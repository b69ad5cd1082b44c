package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/hibiken/asynq"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/failpoint"
)

const serveName = "serve"

func serveCommand(hangups <-chan os.Signal) *cobra.Command {
	all := []setting{
		maxConns, addrConns, pprofListen,
		databaseURL, redisURL, bankURL, bankToken, bankCallbackSecret, secretsFile, listen, opsListen, proxies, roles, currency, reviewTries, reviewAge,
		rateLimit, rateAddress, hashSlots, hashMaxWait, inFlight, drainDelay, logFormat, logLevel,
	}
	var (
		readyFile string
		loseMoney bool
		plainText bool
	)
	cmd := &cobra.Command{
		Use:   serveName,
		Short: "Run the daemon on a PostgreSQL and Redis that run already",
		Long: `Run the daemon on a PostgreSQL and Redis that run already.

The database is named by $KIZO_DATABASE_URL (as kizo_app, which owns nothing) and
Redis by $KIZO_REDIS_URL, or both in the configuration file; they have no flags,
since everybody on a machine can read its command lines. The secrets file is made once,
by kizod secrets init, and copied to each host. Run as many copies as you like, each
with any of the roles. A process with the role auth answers /v1/auth; one with api and
without auth answers everything else, and leaves passwords to the former.

SIGTERM drains; SIGHUP reloads the secrets file and the log level.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tuneRuntime()
			read, err := readSettings(cmd, all...)
			if err != nil {
				return err
			}
			if err := retract(readyFile); err != nil {
				return err
			}
			secrets, err := loadSecrets(cmd.Context(), read)
			if err != nil {
				return err
			}
			var level slog.LevelVar
			level.Set(levelOf(read))
			log := newLeveledLogger(read, &level)
			redis, err := asynq.ParseRedisURI(read.get(redisURL))
			if err != nil {
				return errors.New("redis_url cannot be read")
			}
			s, err := server.Start(cmd.Context(), server.Config{
				DatabaseURL: read.get(databaseURL), Redis: redis, BankURL: read.get(bankURL), BankToken: read.get(bankToken), Secrets: secrets,
				Listen: read.get(listen), OpsListen: read.get(opsListen), PprofListen: read.get(pprofListen), Roles: read.roles(),
				HashWorker: []string{hashWorker}, HashSlots: read.count(hashSlots), HashMaxWait: read.duration(hashMaxWait), RateLimit: read.count(rateLimit), RateLimitAddress: read.count(rateAddress),
				InFlight: read.count(inFlight), TrustedProxies: read.trustedProxies(),
				ClientConnections: read.count(maxConns), AddressConnections: read.count(addrConns),
				ReviewAttempts: read.count(reviewTries), ReviewAge: read.duration(reviewAge),
				DefaultCurrency: money.Currency(read.get(currency)), DrainDelay: read.duration(drainDelay),
				LoseMoney: loseMoney, AcceptPlainText: plainText, Version: version, Logger: log,
			})
			if err != nil {
				return startFailed(cmd.Context(), err)
			}
			go (&reloader{cmd, all, read, s, log, &level}).run(cmd.Context(), hangups)
			return serveUntilDone(cmd.Context(), s, readyFile)
		},
	}
	addSettings(cmd, all...)
	cmd.Flags().StringVar(&readyFile, "ready-file", "", "write {url, ops_url, pid} here when it can serve")
	addPlainTextFlag(cmd, &plainText)
	cmd.Flags().BoolVar(&loseMoney, "i-accept-losing-money", false,
		"serve although fsync, full_page_writes or synchronous_commit is off in the database, or its indexes are those of another locale")
	return cmd
}

func addPlainTextFlag(cmd *cobra.Command, accept *bool) {
	cmd.Flags().BoolVar(accept, server.AcceptPlainTextFlag, false,
		"serve although passwords, or the token for the bank, cross a network unencrypted")
}

// daemon is a Server or a Dev.
type daemon interface {
	URL() string
	OpsURL() string
	PprofURL() string
	Wait(ctx context.Context) error
	Close() error
}

// startFailed tells a start that was interrupted from one that failed: what is cut
// short fails in many ways.
func startFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// serveUntilDone says that the daemon is ready, waits for the end, and drains.
func serveUntilDone(ctx context.Context, d daemon, readyFile string) error {
	_ = failpoint.Point("kizod.before_ready_file")
	if err := announce(d, readyFile); err != nil {
		return errors.Join(err, d.Close())
	}
	return errors.Join(d.Wait(ctx), retract(readyFile), d.Close())
}
