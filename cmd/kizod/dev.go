package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/embedded"
)

func devCommand() *cobra.Command {
	all := []setting{maxConns, addrConns, pprofListen, listen, opsListen, proxies, currency, fourEyes, rateLimit, rateAddress, hashSlots, hashMaxWait, logFormat, logLevel}
	var (
		data, readyFile, postgresBin, bankListen, bankPreset string
		bankSeed                                             uint64
		bankLies                                             float64
		plainText, secondFactor                              bool
	)
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a server with its own PostgreSQL, Redis and mock bank",
		Long: `Run a server with its own PostgreSQL, Redis and mock bank.

PostgreSQL is a child process. Its programs are found on the PATH or in the usual
directories, and it listens on a unix socket only. Redis is redis-server if that is
installed, and otherwise in memory. The data survives restarts.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tuneRuntime()
			read, err := readSettings(cmd, all...)
			if err != nil {
				return err
			}
			if err := checkAddress(bankListen); err != nil {
				return usageError{fmt.Errorf("--bank-listen: %w", err)}
			}
			if _, err := sim.Preset(bankPreset); err != nil {
				return usageError{fmt.Errorf("--bank-preset: %w", err)}
			}
			if !(bankLies >= 0 && bankLies <= 1) { // also true for NaN
				return usageError{fmt.Errorf("--bank-lies: %v is not a share from 0 to 1", bankLies)}
			}
			if data == "" {
				if data, err = embedded.DefaultDir(); err != nil {
					return err
				}
			}
			if err := removeReadyFile(readyFile); err != nil {
				return err
			}
			d, err := server.StartDev(cmd.Context(), server.DevConfig{
				Dir: data, PostgresBin: postgresBin, Listen: read.get(listen), OpsListen: read.get(opsListen),
				PprofListen: read.get(pprofListen),
				BankListen:  bankListen, BankPreset: bankPreset, BankSeed: bankSeed, BankLies: bankLies,
				DefaultCurrency: money.Currency(read.get(currency)), Version: version, Logger: newLogger(read),
				HashWorker: []string{hashWorker}, HashSlots: read.count(hashSlots), HashMaxWait: read.duration(hashMaxWait), RateLimit: read.count(rateLimit), RateLimitAddress: read.count(rateAddress),
				TrustedProxies:  read.trustedProxies(),
				AcceptPlainText: plainText,
				FourEyes:        read.fourEyes(),

				OperatorSecondFactor: secondFactor,

				ClientConnections: read.count(maxConns), AddressConnections: read.count(addrConns),
			})
			if err != nil {
				return startFailed(cmd.Context(), err)
			}
			fmt.Fprintf(os.Stderr, "kizod %s serves on %s, data in %s\nmetrics and health on %s\n", version, d.URL(), data, d.OpsURL())
			if !secondFactor {
				fmt.Fprintln(os.Stderr, "operators need no second factor here, unlike under kizod serve: --operator-second-factor asks for one")
			}
			return serveUntilDone(cmd.Context(), d, readyFile)
		},
	}
	addSettings(cmd, all...)
	addPlainTextFlag(cmd, &plainText)
	flags := cmd.Flags()
	flags.StringVar(&data, "data", "", "directory of all data (default $XDG_DATA_HOME/kizo)")
	flags.StringVar(&readyFile, "ready-file", "", "file to write {url, ops_url, pid} to when the server is ready")
	flags.BoolVar(&secondFactor, "operator-second-factor", false, "operators need a second factor, as they always do under kizod serve")
	flags.StringVar(&postgresBin, "postgres-bin", "", "directory of PostgreSQL's programs")
	flags.StringVar(&bankListen, "bank-listen", "127.0.0.1:0", "address of the mock bank")
	flags.StringVar(&bankPreset, "bank-preset", "calm", "faults of the mock bank: calm, classic or hell")
	flags.Float64Var(&bankLies, "bank-lies", 0, "share of payments, from 0 to 1, about which the mock bank's answers are wrong until an operator decides: each needs review after about a minute")
	flags.Uint64Var(&bankSeed, "bank-seed", 1, "the same seed gives the same faults")
	return cmd
}
