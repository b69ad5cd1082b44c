package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

func newLimitsCommand(a *app) *cobra.Command {
	group := newGroup("limits", "Limit what leaves your wallets",
		newLimitsShowCommand(a), newLimitsSetCommand(a), newLimitsRemoveCommand(a))
	group.Long = `Limits that you set for yourself: what leaves a wallet in one transfer, and in a day (UTC), whatever session or
API key asks for it. A lower limit holds at once. A higher one, or none, holds 24 hours later, so a person who has your
computer cannot spend more than the limit in that time.

Transfers, authorizations, withdrawals and refunds count when they are made. What is not captured, voided, expired or
rejected by the bank is given back. Limits of API keys hold beside these: kizo keys create.`
	return group
}

// shownLimit is the output of --json.
type shownLimit struct {
	client.WalletLimit
	LeftToday *int64    `json:"left_today,omitempty"` // minor units; absent without a maximum per day
	RenewsAt  time.Time `json:"renews_at"`
}

var limitColumns = []column{{title: "CURRENCY", id: true}, {title: "PER TRANSFER", right: true}, {title: "PER DAY", right: true}, {title: "SPENT TODAY", right: true},
	{title: "LEFT TODAY", right: true}, {title: "RENEWS", drop: 1}, {title: "LATER", drop: 2, sparse: true}}

// printLimits prints the limits of wallets.
func (a *app) printLimits(flags outputFlags, limits []client.WalletLimit, renews time.Time) error {
	shown := []shownLimit{}
	var rows [][]string
	for _, limit := range limits {
		one := shownLimit{WalletLimit: limit, RenewsAt: renews}
		if limit.MaxPerDay != nil {
			left := max(*limit.MaxPerDay-limit.SpentToday, 0)
			one.LeftToday = &left
		}
		shown = append(shown, one)
		rows = append(rows, []string{limit.Currency, maximumOf(limit.MaxPerTransfer, limit.Currency), maximumOf(limit.MaxPerDay, limit.Currency),
			amountOf(limit.SpentToday, limit.Currency), maximumOf(one.LeftToday, limit.Currency), a.when(renews), a.nextLimit(limit)})
	}
	return a.printList(flags, shown, limitColumns, rows)
}

func maximumOf(minor *int64, currency string) string {
	if minor == nil {
		return "none"
	}
	return amountOf(*minor, currency)
}

// nextLimit describes a change that is not in effect yet, or is "".
func (a *app) nextLimit(limit client.WalletLimit) string {
	if limit.Next == nil {
		return ""
	}
	var parts []string
	if limit.Next.MaxPerTransfer != nil {
		parts = append(parts, amountOf(*limit.Next.MaxPerTransfer, limit.Currency)+" each")
	}
	if limit.Next.MaxPerDay != nil {
		parts = append(parts, amountOf(*limit.Next.MaxPerDay, limit.Currency)+" a day")
	}
	if parts == nil {
		parts = []string{"no limit"}
	}
	return strings.Join(parts, ", ") + " from " + limit.Next.At.UTC().Format(time.RFC3339)
}

type limitsShowOptions struct {
	app    *app
	output outputFlags
}

func newLimitsShowCommand(a *app) *cobra.Command {
	opts := &limitsShowOptions{app: a}
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show your limits and what is left of them",
		Example: "  kizo limits show",
		Args:    takes(""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return limitsShowRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, shownLimit{}, limitColumns...)
	return cmd
}

func limitsShowRun(ctx context.Context, opts *limitsShowOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	limits, err := kizo.Limits(ctx)
	if err != nil {
		return err
	}
	if err := a.printLimits(opts.output, limits.Items, limits.RenewsAt); err != nil {
		return err
	}
	if limits.Key != nil && !a.json {
		if of := limitsOf(*limits.Key); of != "" {
			a.io.note("The API key %s has limits too: %s.", limits.Key.Name, of)
		}
	}
	return nil
}

type limitsSetOptions struct {
	app                 *app
	output              outputFlags
	perTransfer, perDay []string
}

func newLimitsSetCommand(a *app) *cobra.Command {
	opts := &limitsSetOptions{app: a}
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Set limits: lower at once, higher 24 hours later",
		Long: `Set limits of your wallets, each an amount with its currency. What you do not name stays as it is. A lower
limit holds at once, a higher one 24 hours later; to take a raise back, set the earlier limit again.`,
		Example: `  kizo limits set --max-per-transfer 50USD --max-per-day 500USD
  kizo limits set --max-per-day 500USD --max-per-day 300EUR`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return limitsSetRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, shownLimit{}, limitColumns...)
	a.addStepUpFlag(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&opts.perTransfer, "max-per-transfer", nil, "the most of one transfer, such as 50USD; one for each currency")
	flags.StringSliceVar(&opts.perDay, "max-per-day", nil, "the most of a day (UTC), such as 500USD; one for each currency")
	return cmd
}

func limitsSetRun(ctx context.Context, opts *limitsSetOptions) error {
	a := opts.app
	var named client.APIKeyCreate
	flags := limitOptions{perTransfer: opts.perTransfer, perDay: opts.perDay}
	if err := flags.apply(&named); err != nil {
		return err
	}
	if len(named.Limits) == 0 {
		return withHint(usagef("kizo limits set needs a limit"), "kizo limits set --max-per-day 500USD")
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	before, err := kizo.Limits(ctx)
	if err != nil {
		return err
	}
	var changed []string
	for _, wanted := range named.Limits {
		set := client.LimitSet{MaxPerTransfer: wanted.MaxPerTransfer, MaxPerDay: wanted.MaxPerDay}
		for _, limit := range before.Items {
			if limit.Currency == wanted.Currency {
				set = completed(set, limit)
			}
		}
		if _, err := kizo.SetLimit(ctx, wanted.Currency, set); err != nil {
			return err
		}
		changed = append(changed, wanted.Currency)
	}
	return a.showChangedLimits(ctx, kizo, opts.output, changed)
}

// completed adds the maximum that the user has not named: the one that was asked for last.
func completed(set client.LimitSet, limit client.WalletLimit) client.LimitSet {
	earlier := client.LimitSet{MaxPerTransfer: limit.MaxPerTransfer, MaxPerDay: limit.MaxPerDay}
	if limit.Next != nil {
		earlier = client.LimitSet{MaxPerTransfer: limit.Next.MaxPerTransfer, MaxPerDay: limit.Next.MaxPerDay}
	}
	if set.MaxPerTransfer == nil {
		set.MaxPerTransfer = earlier.MaxPerTransfer
	}
	if set.MaxPerDay == nil {
		set.MaxPerDay = earlier.MaxPerDay
	}
	return set
}

// showChangedLimits prints the limits of these currencies, and says what is not in effect yet.
func (a *app) showChangedLimits(ctx context.Context, kizo *client.Client, flags outputFlags, changed []string) error {
	limits, err := kizo.Limits(ctx)
	if err != nil {
		return err
	}
	var unlimited []string
	for _, limit := range limits.Items {
		if limit.MaxPerTransfer == nil && limit.MaxPerDay == nil {
			unlimited = append(unlimited, limit.Currency)
		}
	}
	items := slices.DeleteFunc(limits.Items, func(l client.WalletLimit) bool { return !slices.Contains(changed, l.Currency) })
	if err := a.printLimits(flags, items, limits.RenewsAt); err != nil || a.json {
		return err
	}
	for _, limit := range items {
		if limit.Next != nil {
			a.io.note("Later: %s. Until then the limit stays as it is.", a.nextLimit(limit))
		}
	}
	if len(unlimited) > 0 {
		a.io.note("Without a limit: your wallets in %s.", strings.Join(unlimited, ", "))
	}
	return nil
}

type limitsRemoveOptions struct {
	app      *app
	output   outputFlags
	currency string
}

func newLimitsRemoveCommand(a *app) *cobra.Command {
	opts := &limitsRemoveOptions{app: a}
	cmd := &cobra.Command{
		Use:     "remove CURRENCY",
		Short:   "Remove the limits of a wallet, 24 hours later",
		Example: "  kizo limits remove USD",
		Args:    takes("CURRENCY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.currency = args[0]
			return limitsRemoveRun(cmd.Context(), opts)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	opts.output.addTo(cmd, a, shownLimit{}, limitColumns...)
	a.addStepUpFlag(cmd)
	return cmd
}

func limitsRemoveRun(ctx context.Context, opts *limitsRemoveOptions) error {
	a := opts.app
	currency, err := parseCurrency(opts.currency)
	if err != nil {
		return err
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	if _, err := kizo.RemoveLimit(ctx, string(currency)); err != nil {
		return err
	}
	return a.showChangedLimits(ctx, kizo, opts.output, []string{string(currency)})
}

type opsLimitsOptions struct {
	app    *app
	output outputFlags
	user   string
}

func newOpsUserLimitsCommand(a *app) *cobra.Command {
	opts := &opsLimitsOptions{app: a}
	cmd := &cobra.Command{
		Use:     "limits USER",
		Short:   "Show the limits that the user has set",
		Example: "  kizo ops user limits bob",
		Args:    takes("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.user = args[0]
			return opsLimitsRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, shownLimit{}, limitColumns...)
	return cmd
}

func opsLimitsRun(ctx context.Context, opts *opsLimitsOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	limits, err := kizo.LimitsOf(ctx, opts.user)
	if err != nil {
		return err
	}
	return opts.app.printLimits(opts.output, limits.Items, limits.RenewsAt)
}
