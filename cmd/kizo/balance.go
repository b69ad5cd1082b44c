package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

type balanceOptions struct {
	app      *app
	output   outputFlags
	currency string // empty: all
	at       string
}

// balanceSample has the fields of both answers: the current wallet, and the balance at a time.
type balanceSample struct {
	client.Wallet
	At time.Time `json:"at"`
}

func newBalanceCommand(a *app) *cobra.Command {
	opts := &balanceOptions{app: a}
	cmd := &cobra.Command{
		Use:   "balance [CURRENCY]",
		Short: "Show your balances, now or at a time",
		Long: `Show your balances: the balance, how much of it is held for pending transfers, and how much is
available.

With --at, show the posted balance at a time. The answer for a time in the past never changes.`,
		Example: `  kizo balance
  kizo balance EUR --at 2026-01-31T23:59:59Z
  kizo balance --at 12h`,
		Args: takes("[CURRENCY]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				opts.currency = args[0]
			}
			return balanceRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, balanceSample{}, walletColumns...)
	opts.output.addWatch(cmd)
	cmd.Flags().StringVar(&opts.at, "at", "", timeFlagHelp)
	return cmd
}

func balanceRun(ctx context.Context, opts *balanceOptions) error {
	a := opts.app
	var currency money.Currency
	if opts.currency != "" {
		var err error
		if currency, err = parseCurrency(opts.currency); err != nil {
			return err
		}
	}
	var at time.Time
	if opts.at != "" {
		var err error
		if at, err = a.parseTime(opts.at); err != nil {
			return err
		}
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	if opts.at != "" {
		return balancesAt(ctx, opts, kizo, currency, at)
	}
	wallets, err := kizo.Wallets(ctx)
	if err != nil {
		return err
	}
	a.learn(func(k *knowledge) { k.setWallets(wallets) })
	if currency == "" {
		return a.printWallets(opts.output, wallets)
	}
	for _, w := range wallets {
		if w.Currency == string(currency) {
			return a.printOne(opts.output, w, walletColumns, walletRow(w))
		}
	}
	return noWallet(string(currency))
}

func noWallet(currency string) error {
	return withHint(&exitError{exit: exitNotFound, code: string(client.WalletNotFound), err: fmt.Errorf("you have no %s wallet", currency)},
		"kizo wallet open "+currency, "kizo wallet list")
}

func balancesAt(ctx context.Context, opts *balanceOptions, kizo *client.Client, currency money.Currency, at time.Time) error {
	columns := []column{{title: "CURRENCY"}, {title: "BALANCE", right: true}, {title: "AT"}}
	// The time itself, not its age: it is what the user asked for.
	row := func(b client.Balance) []string {
		return []string{b.Currency, amountOf(b.Balance, b.Currency), b.At.UTC().Format(time.RFC3339Nano)}
	}
	if currency != "" {
		b, err := kizo.Balance(ctx, string(currency), at)
		if err != nil {
			return err
		}
		return opts.app.printOne(opts.output, b, columns, row(b))
	}
	wallets, err := kizo.Wallets(ctx)
	if err != nil {
		return err
	}
	balances := []client.Balance{}
	var rows [][]string
	for _, w := range wallets {
		b, err := kizo.Balance(ctx, w.Currency, at)
		if err != nil {
			return err
		}
		balances, rows = append(balances, b), append(rows, row(b))
	}
	return opts.app.printList(opts.output, balances, columns, rows)
}
