package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

var walletColumns = []column{
	{title: "CURRENCY"}, {title: "BALANCE", right: true}, {title: "HELD", right: true},
	{title: "AVAILABLE", right: true}, {title: "STATUS", state: true, drop: 1}, {title: "ID", id: true, drop: 2},
}

func walletRow(w client.Wallet) []string {
	return []string{
		w.Currency, amountOf(w.Balance, w.Currency), amountOf(w.Held, w.Currency),
		amountOf(w.Available, w.Currency), string(w.Status), w.Id.String(),
	}
}

func newWalletCommand(a *app) *cobra.Command {
	return newGroup("wallet", "Your wallets, one for each currency", newWalletListCommand(a), newWalletOpenCommand(a))
}

type walletListOptions struct {
	app    *app
	output outputFlags
}

func newWalletListCommand(a *app) *cobra.Command {
	opts := &walletListOptions{app: a}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List your wallets",
		Example: `  kizo wallet list
  kizo wallet list -o csv`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return walletListRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.Wallet{}, walletColumns...)
	opts.output.addWatch(cmd)
	return cmd
}

func walletListRun(ctx context.Context, opts *walletListOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	wallets, err := kizo.Wallets(ctx)
	if err != nil {
		return err
	}
	opts.app.learn(func(k *knowledge) { k.setWallets(wallets) })
	return opts.app.printWallets(opts.output, wallets)
}

func (a *app) printWallets(flags outputFlags, wallets []client.Wallet) error {
	var rows [][]string
	for _, w := range wallets {
		rows = append(rows, walletRow(w))
	}
	return a.printList(flags, wallets, walletColumns, rows)
}

type walletOpenOptions struct {
	app      *app
	output   outputFlags
	currency string
}

func newWalletOpenCommand(a *app) *cobra.Command {
	opts := &walletOpenOptions{app: a}
	cmd := &cobra.Command{
		Use:     "open CURRENCY",
		Short:   "Open a wallet in a currency",
		Long:    "Open a wallet in a currency. If you have one already, it is shown. kizo config set currency chooses the default one.",
		Example: "  kizo wallet open EUR",
		Args:    takes("CURRENCY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.currency = args[0]
			return walletOpenRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.Wallet{}, walletColumns...)
	return cmd
}

func walletOpenRun(ctx context.Context, opts *walletOpenOptions) error {
	currency, err := parseCurrency(opts.currency)
	if err != nil {
		return err
	}
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	wallet, err := kizo.OpenWallet(ctx, string(currency))
	if err != nil {
		return err
	}
	if err := opts.app.printOne(opts.output, wallet, walletColumns, walletRow(wallet)); err != nil {
		return err
	}
	opts.app.offerDefaultWallet(ctx, kizo)
	return nil
}
