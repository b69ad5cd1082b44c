package main

import (
	"context"
	"strconv"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

var (
	paymentColumns = []column{
		{title: "TRANSFER", id: true}, {title: "WHEN", drop: 1}, {title: "DIRECTION"}, {title: "STATE", state: true}, {title: "AMOUNT", right: true},
		{title: "ATTEMPTS", right: true, drop: 2}, {title: "ERROR", cut: true, drop: 3, free: true},
	}
	paymentDetails = append(paymentColumns[:len(paymentColumns):len(paymentColumns)],
		column{title: "NEXT"}, column{title: "LEASE UNTIL"}, column{title: "FENCE"}, column{title: "BANK REF", free: true}, column{title: "REFERENCE"}, column{title: "TRACE"})
)

func (a *app) paymentRow(p client.Payment) []string {
	return []string{
		p.TransferId.String(), a.when(p.CreatedAt), string(p.Direction), string(p.State), amountOf(p.Amount, p.Currency),
		strconv.Itoa(p.Attempts), text(p.LastError),
	}
}

func (a *app) printPayment(flags outputFlags, p client.Payment) error {
	return a.printOne(flags, p, paymentDetails, append(a.paymentRow(p), a.whenever(p.NextAt), a.whenever(p.LeaseUntil),
		strconv.FormatInt(p.Fence, 10), text(p.BankRef), p.ExternalRef, text(p.TraceId)))
}

func newOpsPaymentsCommand(a *app) *cobra.Command {
	return newGroup("payments", "List payments, and resolve those that need review",
		newOpsPaymentsListCommand(a), newOpsPaymentsShowCommand(a), newOpsPaymentsResolveCommand(a))
}

type opsPaymentsListOptions struct {
	app           *app
	output        outputFlags
	state, cursor string
	limit         int32
}

func newOpsPaymentsListCommand(a *app) *cobra.Command {
	opts := &opsPaymentsListOptions{app: a}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List payments, newest first",
		Example: "  kizo ops payments list --state needs_review",
		Args:    takes(""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return opsPaymentsListRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.Payment{}, paymentColumns...)
	opts.output.addWatch(cmd)
	choices := []string{"pending", "unknown", "executed", "rejected", "needs_review"}
	addChoice(cmd, &opts.state, "state", "", "only "+joinOr(choices), choices)
	cmd.Flags().StringVar(&opts.cursor, "cursor", "", "continue after the previous page")
	cmd.Flags().Int32VarP(&opts.limit, "limit", "n", 20, "maximum number, up to 100")
	return cmd
}

func opsPaymentsListRun(ctx context.Context, opts *opsPaymentsListOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	params := client.OpsListPaymentsParams{Limit: &opts.limit}
	if opts.state != "" {
		params.State = &opts.state
	}
	if opts.cursor != "" {
		params.Cursor = &opts.cursor
	}
	page, err := kizo.Payments(ctx, params)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, p := range page.Items {
		rows = append(rows, a.paymentRow(p))
	}
	if err := a.printList(opts.output, page.Items, paymentColumns, rows); err != nil {
		return err
	}
	if next := text(page.NextCursor); next != "" && !opts.output.wantsJSON() {
		a.io.note("There are more: kizo ops payments list --cursor %s", next)
	}
	return nil
}

type opsPaymentsShowOptions struct {
	app    *app
	output outputFlags
	id     uuid.UUID
}

func newOpsPaymentsShowCommand(a *app) *cobra.Command {
	opts := &opsPaymentsShowOptions{app: a}
	cmd := &cobra.Command{
		Use:     "show TRANSFER",
		Short:   "Show the payment of a transfer",
		Example: `  kizo ops payments show 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d`,
		Args:    takes("TRANSFER"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if opts.id, err = parseID(args[0], "kizo ops payments list"); err != nil {
				return err
			}
			return opsPaymentsShowRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.Payment{}, paymentDetails...)
	opts.output.addWatch(cmd)
	return cmd
}

func opsPaymentsShowRun(ctx context.Context, opts *opsPaymentsShowOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	p, err := kizo.Payment(ctx, opts.id)
	if err != nil {
		return err
	}
	return opts.app.printPayment(opts.output, p)
}

type opsPaymentsResolveOptions struct {
	app             *app
	output          outputFlags
	id              uuid.UUID
	outcome, reason string
}

// outcomes are the decisions of an operator.
var outcomes = []string{"executed", "rejected", "ask"}

func newOpsPaymentsResolveCommand(a *app) *cobra.Command {
	opts := &opsPaymentsResolveOptions{app: a}
	cmd := &cobra.Command{
		Use:   "resolve TRANSFER OUTCOME",
		Short: "Resolve a payment that needs review: executed, rejected, or ask",
		Example: `  kizo ops payments resolve 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d executed --reason "the bank confirmed it by phone"
  kizo ops payments resolve 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d ask --reason "the bank is back"`,
		Long: `Resolve a payment that needs review. executed posts it, rejected releases its hold,
and ask asks the bank again. If the decision is wrong, reconciliation with the
bank's statement reports it: kizo ops reconcile.`,
		Args: takes("TRANSFER OUTCOME"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if opts.id, err = parseID(args[0], "kizo ops payments list --state needs_review"); err != nil {
				return err
			}
			if err := checkChoice(args[1], outcomes); err != nil {
				return err
			}
			if err := needReason(cmd, opts.reason); err != nil {
				return err
			}
			opts.outcome = args[1]
			return opsPaymentsResolveRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.Payment{}, paymentDetails...)
	a.addReason(cmd, &opts.reason)
	return cmd
}

func opsPaymentsResolveRun(ctx context.Context, opts *opsPaymentsResolveOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	if err := opts.app.confirmMove(ctx, "resolve as "+opts.outcome+" the payment of "+opts.id.String()); err != nil {
		return err
	}
	p, err := kizo.ResolvePayment(ctx, opts.id, opts.outcome, opts.reason)
	if err != nil {
		return err
	}
	return opts.app.printPayment(opts.output, p)
}
