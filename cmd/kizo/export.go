package main

import (
	"bufio"
	"context"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/books"
	"github.com/JDevAman/kizo/money"
)

type exportOptions struct {
	app                          *app
	format, since, until, wallet string
}

const booksHelp = `A journal (hledger, ledger, beancount) has the accounts assets:kizo:USD, what is available;
assets:kizo:USD:held, what is held for pending authorizations and withdrawals; assets:bank; income:kizo
and expenses:kizo. Refusals move nothing and are left out. Every entry has the id of its transfer and of its
event. Dates are those of UTC. The journal states the balances, so that the program that reads it checks them.`

func newExportCommand(a *app) *cobra.Command {
	opts := &exportOptions{app: a}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write your books for hledger, ledger, beancount or a spreadsheet",
		Long: `Write all changes of your wallets on stdout, oldest first, as a journal for hledger, ledger or beancount, as
CSV, as JSON lines (amounts in minor units), or as bank statements (OFX 2.1.1) for programs that import them.

` + booksHelp + `

kizo reads the whole history, also for a part of it, compares the result with the server's balance, and fails
if they differ. For books that grow, kizo sync reads only what is new.`,
		Example: `  kizo export --format hledger > kizo.journal
  kizo export --format beancount --since 2026-01-01 --until 2026-02-01
  kizo export --format csv --wallet EUR
  kizo export --format ofx --since 2026-01-01 > kizo.ofx`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return exportRun(cmd.Context(), opts) },
	}
	addFormat(cmd, &opts.format, append(formatNames(), "ofx"))
	flags := cmd.Flags()
	flags.StringVar(&opts.since, "since", "", "from this time on, after an opening entry: "+timeFlagHelp)
	flags.StringVar(&opts.until, "until", "", "before this time: "+timeFlagHelp)
	flags.StringVar(&opts.wallet, "wallet", "", "only the wallet in this currency")
	return cmd
}

// addFormat adds the flag --format, which a command needs.
func addFormat(cmd *cobra.Command, value *string, names []string) {
	addChoice(cmd, value, "format", "", joinOr(names), names)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *value == "" {
			return withHint(usagef("%s needs --format: %s", cmd.CommandPath(), joinOr(names)), cmd.CommandPath()+" --format "+names[0])
		}
		return run(cmd, args)
	}
}

// formatNames returns the formats that grow entry by entry.
func formatNames() []string {
	var names []string
	for _, f := range books.Formats() {
		names = append(names, f.Name)
	}
	return names
}

func exportRun(ctx context.Context, opts *exportOptions) error {
	a := opts.app
	period, err := opts.period()
	if err != nil {
		return err
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(a.io.Out, 64<<10)
	export, err := opts.begin(ctx, kizo, out, period)
	if err != nil {
		return err
	}
	defer export.Discard()
	if err := a.readHistory(ctx, kizo, firstEvent, export.Add); err != nil {
		return err
	}
	wallets, err := export.Close()
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return err
	}
	return checkBalances(ctx, kizo, wallets)
}

func (o *exportOptions) period() (p books.Period, err error) {
	if o.wallet != "" {
		if p.Currency, err = parseCurrency(o.wallet); err != nil {
			return p, err
		}
	}
	for _, f := range []struct {
		text string
		at   *time.Time
	}{{o.since, &p.Since}, {o.until, &p.Until}} {
		if f.text == "" {
			continue
		}
		if *f.at, err = o.app.parseTime(f.text); err != nil {
			return p, err
		}
	}
	if !p.Until.IsZero() && !p.Since.Before(p.Until) {
		return p, usagef("--since %s is not before --until %s", o.since, o.until)
	}
	return p, nil
}

func (o *exportOptions) begin(ctx context.Context, kizo *client.Client, out io.Writer, p books.Period) (*books.Export, error) {
	if o.format == "ofx" {
		wallets, err := kizo.Wallets(ctx)
		if err != nil {
			return nil, err
		}
		ids := map[money.Currency]uuid.UUID{}
		for _, w := range wallets {
			ids[money.Currency(w.Currency)] = w.Id
		}
		return books.NewOFX(out, p, ids, o.app.now()), nil
	}
	format, _ := books.FormatNamed(o.format)
	return books.NewExport(out, format, p)
}
