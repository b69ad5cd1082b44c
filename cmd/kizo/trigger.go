package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type triggerOptions struct {
	bankOptions
	list bool
}

// triggerSample has the fields of a transfer and of --list.
type triggerSample struct {
	client.Transfer
	client.Trigger
}

func newTriggerCommand(a *app) *cobra.Command {
	opts := &triggerOptions{bankOptions: bankOptions{app: a}}
	cmd := &cobra.Command{
		Use:   "trigger EVENT [AMOUNT] [CURRENCY]",
		Short: "Make the mock bank of kizod dev confirm, reject, delay or contradict a payment",
		Long: `Make a deposit or a withdrawal of which the mock bank of kizod dev makes an event: to see what your program, kizo
listen or the dashboard does then. --list lists the events. Other servers refuse it.

The amount is 1 if there is none. kizo waits for the bank as kizo deposit does, with the same exit codes.`,
		Example: `  kizo trigger --list
  kizo trigger deposit.unanswered --wait=30s
  kizo trigger withdrawal.late 20 USD --wait=30s`,
		Args: takes("[EVENT] [AMOUNT] [CURRENCY]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.list {
				return triggerListRun(cmd.Context(), opts)
			}
			if len(args) == 0 {
				return withHint(usagef("kizo trigger needs EVENT"), "kizo trigger --list")
			}
			key, err := opts.key.use(cmd)
			if err != nil {
				return err
			}
			if opts.amount.words = args[1:]; len(args) == 1 {
				opts.amount.words = []string{"1"}
			}
			return triggerRun(cmd.Context(), opts, args[0], key)
		},
	}
	opts.output.addTo(cmd, a, triggerSample{}, transferDetails...)
	opts.amount.addTo(cmd)
	opts.key.addTo(cmd)
	opts.tags.addTo(cmd)
	opts.wait.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&opts.memo, "memo", "m", "", "a note to yourself")
	flags.BoolVar(&opts.list, "list", false, "list the events")
	return cmd
}

func triggerListRun(ctx context.Context, opts *triggerOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	triggers, err := kizo.Triggers(ctx)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, t := range triggers {
		rows = append(rows, []string{t.Event, t.Description})
	}
	return opts.app.printList(opts.output, triggers, []column{{title: "EVENT", id: true}, {title: "DESCRIPTION", cut: true}}, rows)
}

// triggerRun tells the mock bank what to do with a payment of this amount, and makes the payment.
func triggerRun(ctx context.Context, opts *triggerOptions, event, key string) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	amount, err := opts.amount.parse(ctx, a, kizo)
	if err != nil {
		return err
	}
	if _, err := opts.tags.tags(); err != nil { // before the bank waits for the payment
		return err
	}
	if err := kizo.ArmTrigger(ctx, client.TriggerArm{Event: event, Amount: amount.Minor, Currency: string(amount.Currency)}); err != nil {
		return withHint(err, "kizo trigger --list")
	}
	opts.build, opts.verb = client.NewDeposit, "deposit"
	if strings.HasPrefix(event, "withdrawal.") {
		opts.build, opts.verb = client.NewWithdrawal, "withdraw"
	}
	opts.amount = amountOptions{words: []string{amount.Decimal()}, currency: string(amount.Currency)}
	if opts.memo == "" {
		opts.memo = "trigger " + event
	}
	return bankRun(ctx, &opts.bankOptions, key)
}
