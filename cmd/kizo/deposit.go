package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

// bankOptions are the options of a deposit and of a withdrawal.
type bankOptions struct {
	app    *app
	output outputFlags
	amount amountOptions
	key    keyOptions
	wait   waitFlag
	memo   string
	tags   tagsFlag

	build func(key string, body client.BankTransferCreate) (client.Command, error)
	verb  string
}

func newDepositCommand(a *app) *cobra.Command {
	return newBankCommand(a, &bankOptions{build: client.NewDeposit, verb: "deposit"}, &cobra.Command{
		Use:   "deposit AMOUNT [CURRENCY]",
		Short: "Deposit money from your bank",
		Long: `Deposit money from your bank.

The bank decides, and may take some time. kizo waits for it, 5 seconds unless --wait says otherwise, and
exits with
  0  when the money has arrived
  3  when the bank refused
  8  when it has not answered yet: the deposit continues, and kizo transfers show ID shows its state
With --wait=0 it does not wait, and 0 means that the deposit was accepted.`,
		Example: `  kizo deposit 100
  kizo deposit 100 EUR --wait=30s`,
	})
}

func newBankCommand(a *app, opts *bankOptions, cmd *cobra.Command) *cobra.Command {
	opts.app = a
	cmd.Args = takes("AMOUNT [CURRENCY]")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts.amount.words = args
		key, err := opts.key.use(cmd)
		if err != nil {
			return err
		}
		return bankRun(cmd.Context(), opts, key)
	}
	opts.output.addTo(cmd, a, client.Transfer{}, transferDetails...)
	opts.amount.addTo(cmd)
	opts.key.addTo(cmd)
	opts.tags.addTo(cmd)
	opts.wait.addTo(cmd)
	if opts.verb == "withdraw" {
		a.addStepUpFlag(cmd)
	}
	cmd.Flags().StringVarP(&opts.memo, "memo", "m", "", "a note to yourself")
	return cmd
}

func bankRun(ctx context.Context, opts *bankOptions, key string) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	amount, err := opts.amount.parse(ctx, a, kizo)
	if err != nil {
		return err
	}
	body := client.BankTransferCreate{Amount: amount.Minor, Currency: string(amount.Currency)}
	if opts.memo != "" {
		body.Memo = &opts.memo
	}
	if body.Tags, err = opts.tags.tags(); err != nil {
		return err
	}
	command, err := opts.build(key, body)
	if err != nil {
		return err
	}
	command.Wait = opts.wait.Duration
	deadline := a.now().Add(opts.wait.Duration)
	return a.move(ctx, kizo, command, opts.verb+" "+amount.String(), func(r client.Receipt) (client.Transfer, error) {
		return a.finishBank(ctx, kizo, opts.output, r.Transfer, opts.wait.Duration, deadline)
	})
}

// finishBank waits for the rest of the --wait time and prints the transfer. It returns an error if
// the transfer is not posted.
func (a *app) finishBank(ctx context.Context, kizo *client.Client, flags outputFlags, t client.Transfer, wait time.Duration, deadline time.Time) (client.Transfer, error) {
	t, waitErr := settled(ctx, kizo, t, deadline)
	if err := a.printTransfer(flags, t); err != nil {
		return t, err
	}
	if waitErr != nil {
		return t, withHint(waitErr, "kizo transfers show "+t.Id.String())
	}
	if wait == 0 && t.State == client.Pending {
		return t, nil
	}
	return t, ending(t)
}
