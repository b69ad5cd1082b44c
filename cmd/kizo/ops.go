package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

func newOpsCommand(a *app) *cobra.Command {
	group := newGroup("ops", "For operators: queues, payments, users, the books",
		newOpsQueuesCommand(a), newOpsQueueCommand(a), newOpsTasksCommand(a), newOpsPaymentsCommand(a),
		newOpsUserCommand(a), newOpsReconcileCommand(a), newOpsAuditCommand(a), newOpsApprovalsCommand(a), newOpsActionsCommand(a))
	group.Long = `For operators, whose role kizod user grant assigns. Commands that change something require --reason,
which is stored with your name in the log of actions: kizo ops actions. They ask for a code of your second factor,
if this session gave none in the last five minutes.`
	return group
}

// actOptions are those of a command that changes something and has no result.
type actOptions struct {
	app    *app
	output outputFlags
	reason string
}

// acted is the output of --json for such a command.
type acted struct {
	Action  string `json:"action"`
	Subject string `json:"subject"`
}

// actExamples has an example of each action.
var actExamples = map[string]string{
	"queue.pause":       `queue pause bank --reason "the bank is being changed"`,
	"queue.resume":      `queue resume bank --reason "the bank is back"`,
	"task.retry":        `tasks retry 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d --reason "the bank is back"`,
	"task.archive":      `tasks archive 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d --reason "it fails each time"`,
	"task.delete":       `tasks delete 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d --reason "its payment has ended"`,
	"account.freeze":    `user freeze bob --reason "reported stolen"`,
	"account.unfreeze":  `user unfreeze bob --reason "found again"`,
	"user.suspend":      `user suspend bob --reason "a phone was stolen"`,
	"user.reinstate":    `user reinstate bob --reason "the phone was found"`,
	"user.end_sessions": `user end-sessions bob --reason "asked for it"`,
	"user.revoke_keys":  `user revoke-keys bob --reason "a key was published"`,
}

// newActCommand returns a command that does one thing to one subject, for a reason.
func newActCommand(a *app, use, short, action string, act func(ctx context.Context, kizo *client.Client, subject, reason string) error) *cobra.Command {
	opts := &actOptions{app: a}
	_, subject, _ := strings.Cut(use, " ")
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  kizo ops " + actExamples[action],
		Args:    takes(subject),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needReason(cmd, opts.reason); err != nil {
				return err
			}
			kizo, err := a.kizo()
			if err != nil {
				return err
			}
			if err := act(cmd.Context(), kizo, args[0], opts.reason); err != nil {
				return err
			}
			return a.printDone(opts.output, acted{action, args[0]}, []string{action, args[0]}, func() {
				a.io.note("Done: %s %s.", action, printable.Text(args[0]))
			})
		},
	}
	opts.output.addTo(cmd, a, acted{}, column{title: "ACTION"}, column{title: "SUBJECT", free: true})
	a.addReason(cmd, &opts.reason)
	return cmd
}

// addReason adds the flags of a command that changes something as an operator.
func (a *app) addReason(cmd *cobra.Command, reason *string) {
	a.addStepUpFlag(cmd)
	cmd.Flags().StringVar(reason, "reason", "", "the reason, for the log of actions")
}

func needReason(cmd *cobra.Command, reason string) error {
	if reason == "" {
		return withHint(usagef("%s needs a reason, for the log of actions", cmd.CommandPath()), cmd.CommandPath()+" … --reason WHY")
	}
	return nil
}

type opsActionsOptions struct {
	app    *app
	output outputFlags
	limit  int32
}

func newOpsActionsCommand(a *app) *cobra.Command {
	opts := &opsActionsOptions{app: a}
	cmd := &cobra.Command{
		Use:   "actions",
		Short: "List what operators did, newest first",
		Example: `  kizo ops actions
  kizo ops actions -n 100 -o csv`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return opsActionsRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.Action{}, actionColumns...)
	cmd.Flags().Int32VarP(&opts.limit, "limit", "n", 20, "maximum number, up to 100")
	return cmd
}

var actionColumns = []column{{title: "WHEN"}, {title: "OPERATOR"}, {title: "ACTION"}, {title: "SUBJECT", drop: 1, free: true}, {title: "REASON", cut: true, free: true}}

func opsActionsRun(ctx context.Context, opts *opsActionsOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	actions, err := kizo.Actions(ctx, opts.limit)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, x := range actions {
		rows = append(rows, []string{a.when(x.At), "@" + x.Operator, x.Action, x.Subject, x.Reason})
	}
	return a.printList(opts.output, actions, actionColumns, rows)
}
