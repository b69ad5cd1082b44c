package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/server/bank/sim"
)

// Settings of the mock bank.
var (
	bankCallbackSecret = setting{"bank_callback_secret", "", true, "key that signs the bank's callbacks", anything}
	bankAddress        = setting{"bank_listen", "127.0.0.1:7422", false, "address of the mock bank", checkAddress}
)

func mockbankCommand() *cobra.Command {
	all := []setting{bankAddress, bankToken, bankCallbackSecret, logFormat, logLevel}
	var (
		journal, preset, callbacks string
		seed                       uint64
		lies, stubborn             float64
		open                       bool
	)
	cmd := &cobra.Command{
		Use:   "mockbank",
		Short: "Run the mock bank alone, with reproducible faults",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			read, err := readSettings(cmd, all...)
			if err != nil {
				return err
			}
			faults, err := sim.Preset(preset)
			if err != nil {
				return usageError{err}
			}
			if cmd.Flags().Changed("lies") {
				faults.Lies = lies
			}
			faults.Stubborn = stubborn
			bank, err := sim.New(sim.Config{
				Addr: read.get(bankAddress), Journal: journal, Seed: seed, Faults: faults,
				Token: read.get(bankToken), Open: open, CallbackURL: callbacks, CallbackSecret: read.get(bankCallbackSecret),
				Log: newLogger(read),
			})
			if errors.Is(err, sim.ErrNoToken) {
				return usageError{errors.New("bank_token is empty: set $" + bankToken.env() + ", the token that kizod sends; " +
					"--i-accept-payments-from-anyone serves without one")}
			}
			if err != nil {
				return err
			}
			return bank.Run(cmd.Context())
		},
	}
	addSettings(cmd, all...)
	flags := cmd.Flags()
	flags.StringVar(&journal, "journal", "bank.jsonl", "file of the bank's books: append-only, one line for each payment")
	flags.StringVar(&preset, "preset", "calm", "faults: calm, classic or hell")
	flags.Float64Var(&lies, "lies", 0, "share of answers that are wrong, from 0 to 1; overrides that of the preset")
	flags.Float64Var(&stubborn, "stubborn", 0, "share of payments whose answers stay wrong when the bank is asked again, from 0 to 1")
	flags.Uint64Var(&seed, "seed", 1, "the same seed gives the same faults")
	flags.BoolVar(&open, "i-accept-payments-from-anyone", false, "execute payments of every caller, without a token")
	flags.StringVar(&callbacks, "callback-url", "", "URL of the callbacks about finished payments")
	return cmd
}
