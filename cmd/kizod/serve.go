package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/taskqueue"
)

const serveName = "serve"

func serveCommand(hangups <-chan os.Signal) *cobra.Command {
	all := serveSettings()
	var (
		readyFile string
		loseMoney bool
		plainText bool
	)
	cmd := &cobra.Command{
		Use:   serveName,
		Short: "Run a server on an existing PostgreSQL and Redis",
		Long: `Run a server on an existing PostgreSQL and Redis.

$KIZO_DATABASE_URL names the database (as kizo_app, which owns nothing) and
$KIZO_REDIS_URL names Redis; both can be in the configuration file instead. They have no
flags, since every user of a machine can read its command lines. The secrets file is made
once, by kizod secrets init, and copied to each host. Any number of processes may run,
each with any of the roles. A process with the role auth serves /v1/auth; one with the
role api and without auth serves all other routes.

SIGTERM drains the server; SIGHUP reloads the secrets file, the certificate of --tls-cert,
and the log level.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tuneRuntime()
			read, err := readSettings(cmd, all...)
			if err != nil {
				return err
			}
			if err := removeReadyFile(readyFile); err != nil {
				return err
			}
			secrets, err := loadSecrets(cmd.Context(), read)
			if err != nil {
				return err
			}
			certificate, err := server.LoadCertificate(read.get(tlsCert), read.get(tlsKey))
			if err != nil {
				return err
			}
			var level slog.LevelVar
			level.Set(levelOf(read))
			log := newLeveledLogger(read, &level)
			redis, err := taskqueue.ParseURL(read.get(redisURL))
			if err != nil {
				return errors.New("redis_url cannot be read")
			}
			sender, err := mailSender(read)
			if err != nil {
				return err
			}
			s, err := server.Start(cmd.Context(), server.Config{
				DatabaseURL: read.get(databaseURL), Redis: redis, BankURL: read.get(bankURL), BankToken: read.get(bankToken), Secrets: secrets, Certificate: certificate,
				Listen: read.get(listen), OpsListen: read.get(opsListen), PprofListen: read.get(pprofListen), Roles: read.roles(),
				HashWorker: []string{hashWorker}, HashSlots: read.count(hashSlots), HashMaxWait: read.duration(hashMaxWait),
				SessionIdle: read.duration(sessionIdle), SessionLifetime: read.duration(sessionLifetime), FourEyes: read.fourEyes(), RateLimit: read.count(rateLimit), RateLimitAddress: read.count(rateAddress),
				InFlight: read.count(inFlight), TrustedProxies: read.trustedProxies(),
				ClientConnections: read.count(maxConns), AddressConnections: read.count(addrConns),
				ReviewAttempts: read.count(reviewAttempts), ReviewAge: read.duration(reviewAge),
				AuditInterval: read.duration(auditInterval), AuditFullInterval: read.duration(auditFull),
				DefaultCurrency: money.Currency(read.get(currency)), DrainDelay: read.duration(drainDelay),
				TracesURL: read.get(tracesURL), TracesPercent: read.count(tracesPercent),
				Mail: sender, MailRate: read.count(mailRate),
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
	cmd.Flags().StringVar(&readyFile, "ready-file", "", "file to write {url, ops_url, pid} to when the server is ready")
	addPlainTextFlag(cmd, &plainText)
	cmd.Flags().BoolVar(&loseMoney, "i-accept-losing-money", false,
		"serve although fsync, full_page_writes or synchronous_commit is off in the database, or its indexes were built with another locale")
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

// startFailed returns errInterrupted if ctx has ended, since an interrupted start fails with
// various errors, and err otherwise.
func startFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// serveUntilDone writes the ready file, waits until ctx ends or the daemon fails, and drains.
func serveUntilDone(ctx context.Context, d daemon, readyFile string) error {
	_ = failpoint.Point("kizod.before_ready_file")
	if err := writeReadyFile(d, readyFile); err != nil {
		return errors.Join(err, d.Close())
	}
	return errors.Join(d.Wait(ctx), removeReadyFile(readyFile), d.Close())
}
