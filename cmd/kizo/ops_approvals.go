package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type opsApprovalsOptions struct {
	app    *app
	output outputFlags
	limit  int32
	reason string
}

func newOpsApprovalsCommand(a *app) *cobra.Command {
	group := newGroup("approvals", "Actions that need a second operator", newOpsApprovalsListCommand(a),
		newOpsDecideCommand(a, "approve ID", "Approve an action of another operator, which is carried out at once", "kizo ops approvals approve "+exampleApproval+" --reason 'checked with the bank'",
			(*client.Client).Approve),
		newOpsDecideCommand(a, "reject ID", "Reject an action of another operator", "kizo ops approvals reject "+exampleApproval+" --reason 'the bank denies it'",
			(*client.Client).RejectApproval))
	group.Long = `Actions that need a second operator: those that move or release more money than kizod's --four-eyes-above. The
first operator runs the action, which prints an id. Another operator approves it within 24 hours, or rejects it.`
	return group
}

const exampleApproval = "0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d"

func newOpsApprovalsListCommand(a *app) *cobra.Command {
	opts := &opsApprovalsOptions{app: a}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the requests for an approval, newest first",
		Example: `  kizo ops approvals list
  kizo ops approvals list --jq '.[] | select(.state == "pending").id'`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return opsApprovalsListRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.Approval{}, approvalColumns...)
	cmd.Flags().Int32VarP(&opts.limit, "limit", "n", 20, "maximum number, up to 100")
	return cmd
}

var approvalColumns = []column{
	{title: "ID", id: true}, {title: "REQUESTED"}, {title: "STATE"}, {title: "ACTION"}, {title: "ABOUT", free: true}, {title: "BY"}, {title: "DECIDED BY"},
	{title: "REASON", cut: true, free: true},
}

func (a *app) approvalRow(x client.Approval) []string {
	decided := ""
	if x.DecidedBy != nil {
		decided = "@" + *x.DecidedBy
	}
	return []string{x.Id.String(), a.when(x.RequestedAt), x.State, x.Action, x.About, "@" + x.RequestedBy, decided, x.Reason}
}

func opsApprovalsListRun(ctx context.Context, opts *opsApprovalsOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	approvals, err := kizo.Approvals(ctx, opts.limit)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, x := range approvals {
		rows = append(rows, opts.app.approvalRow(x))
	}
	return opts.app.printList(opts.output, approvals, approvalColumns, rows)
}

// newOpsDecideCommand returns a command that decides about a request.
func newOpsDecideCommand(a *app, use, short, example string, decide func(*client.Client, context.Context, uuid.UUID, string) (client.Approval, error)) *cobra.Command {
	opts := &opsApprovalsOptions{app: a}
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  " + example,
		Args:    takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0], "kizo ops approvals list")
			if err != nil {
				return err
			}
			if err := needReason(cmd, opts.reason); err != nil {
				return err
			}
			kizo, err := a.kizo()
			if err != nil {
				return err
			}
			if err := a.confirmMove(cmd.Context(), "decide about the request "+id.String()); err != nil {
				return err
			}
			approval, err := decide(kizo, cmd.Context(), id, opts.reason)
			if err != nil {
				return err
			}
			return a.printOne(opts.output, approval, approvalColumns, a.approvalRow(approval))
		},
	}
	opts.output.addTo(cmd, a, client.Approval{}, approvalColumns...)
	a.addReason(cmd, &opts.reason)
	return cmd
}
