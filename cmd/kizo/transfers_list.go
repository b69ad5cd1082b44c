package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

// pageSize is the largest page that the API returns.
const pageSize = 100

type transfersListOptions struct {
	app    *app
	output outputFlags
	limit  int
	all    bool

	state, kind, direction, currency, since, until, query, with, key, tag, min, max string
}

func newTransfersListCommand(a *app) *cobra.Command {
	opts := &transfersListOptions{app: a}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List your transfers, newest first",
		Example: `  kizo transfers list --state pending
  kizo transfers list --since 2026-01-01 --until 2026-02-01 --all
  kizo transfers list -q lunch --json=id,amount,currency
  kizo transfers list --min 100 --max 500 --currency USD
  kizo transfers list --key rent-2026-11
  kizo transfers list --tag project=apollo`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return transfersListRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.Transfer{}, transferColumns...)
	opts.output.addWatch(cmd)
	flags := cmd.Flags()
	flags.IntVarP(&opts.limit, "limit", "n", 20, "maximum number")
	flags.BoolVar(&opts.all, "all", false, "list all of them")
	for _, f := range []struct {
		value      *string
		name, help string
		choices    []string
	}{
		{&opts.state, "state", "", []string{"pending", "posted", "voided", "refused"}},
		{&opts.kind, "kind", "", []string{"transfer", "authorization", "deposit", "withdrawal", "reversal"}},
		{&opts.direction, "direction", "", []string{"in", "out"}},
	} {
		addChoice(cmd, f.value, f.name, "", "only "+joinOr(f.choices), f.choices)
	}
	flags.StringVar(&opts.currency, "currency", "", "only in this currency")
	flags.StringVar(&opts.since, "since", "", "from this time on: "+timeFlagHelp)
	flags.StringVar(&opts.until, "until", "", "before this time: "+timeFlagHelp)
	flags.StringVar(&opts.with, "with", "", "only from or to this user: @handle or e-mail address")
	flags.StringVar(&opts.min, "min", "", "only of at least this amount: 12.50, 12.50 EUR, or with --currency")
	flags.StringVar(&opts.max, "max", "", "only of at most this amount")
	flags.StringVar(&opts.tag, "tag", "", "only with this tag that you gave: project, or project=apollo")
	flags.StringVar(&opts.key, "key", "", "only the transfer that your command with this idempotency key made or changed")
	flags.StringVarP(&opts.query, "query", "q", "", "only with a memo that contains this text")
	return cmd
}

func transfersListRun(ctx context.Context, opts *transfersListOptions) error {
	a := opts.app
	if opts.limit < 1 {
		return usagef("--limit %d: use at least 1", opts.limit)
	}
	params, err := opts.params()
	if err != nil {
		return err
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	if err := opts.addAmounts(ctx, kizo, &params); err != nil {
		return err
	}
	transfers, more, err := opts.collect(ctx, kizo, params)
	if err != nil {
		return err
	}
	a.learn(func(k *knowledge) { k.addTransfers(transfers[:min(len(transfers), maxKnownTransfers)]) })
	var rows [][]string
	for _, t := range transfers {
		rows = append(rows, a.transferRow(t))
	}
	if err := a.printList(opts.output, transfers, transferColumns, rows); err != nil {
		return err
	}
	if more && a.io.OutTerminal {
		a.io.note("There are more: kizo transfers list --all")
	}
	return nil
}

func (o *transfersListOptions) params() (client.ListTransfersParams, error) {
	var p client.ListTransfersParams
	if o.currency != "" {
		currency, err := parseCurrency(o.currency)
		if err != nil {
			return p, err
		}
		o.currency = string(currency)
	}
	for _, f := range []struct {
		from string
		to   **string
	}{{o.state, &p.State}, {o.kind, &p.Kind}, {o.direction, &p.Direction}, {o.currency, &p.Currency}, {o.query, &p.Q}, {o.with, &p.With}, {o.key, &p.Key}, {o.tag, &p.Tag}} {
		if f.from != "" {
			*f.to = &f.from
		}
	}
	for _, f := range []struct {
		from string
		to   **string
	}{{o.since, &p.Since}, {o.until, &p.Until}} {
		if f.from == "" {
			continue
		}
		at, err := o.app.parseTime(f.from)
		if err != nil {
			return p, err
		}
		text := at.UTC().Format(time.RFC3339Nano)
		*f.to = &text
	}
	return p, nil
}

// addAmounts adds --min and --max. Minor units of different currencies cannot be compared, so that
// the list has one currency: that of an amount, --currency, or the user's default.
func (o *transfersListOptions) addAmounts(ctx context.Context, kizo *client.Client, p *client.ListTransfersParams) error {
	for _, f := range []struct {
		from string
		to   **int64
	}{{o.min, &p.MinAmount}, {o.max, &p.MaxAmount}} {
		if f.from == "" {
			continue
		}
		typed := amountOptions{words: []string{f.from}, currency: text(p.Currency)}
		amount, err := typed.parse(ctx, o.app, kizo)
		if err != nil {
			return err
		}
		currency := string(amount.Currency)
		*f.to, p.Currency = &amount.Minor, &currency
	}
	return nil
}

// collect reads pages until there are enough items. more says that there are further ones.
func (o *transfersListOptions) collect(ctx context.Context, kizo *client.Client, p client.ListTransfersParams) (found []client.Transfer, more bool, err error) {
	seen := map[string]bool{}
	for {
		size := int32(pageSize)
		if !o.all {
			size = int32(min(pageSize, o.limit-len(found)))
		}
		p.Limit = &size
		page, err := kizo.Transfers(ctx, p)
		if err != nil {
			return nil, false, err
		}
		found = append(found, page.Items...)
		next := text(page.NextCursor)
		if next == "" {
			return found, false, nil
		}
		if !o.all && len(found) >= o.limit {
			return found[:o.limit], true, nil
		}
		if seen[next] {
			return nil, false, errors.New("the server returns the same page again and again")
		}
		seen[next] = true
		p.Cursor = &next
	}
}

func joinOr(words []string) string {
	out := words[0]
	for i, word := range words[1:] {
		if i == len(words)-2 {
			out += " or " + word
		} else {
			out += ", " + word
		}
	}
	return out
}
