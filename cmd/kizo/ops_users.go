package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

func newOpsUserCommand(a *app) *cobra.Command {
	group := newGroup("user", "Freeze, suspend or sign out a user",
		newActCommand(a, "freeze USER", "Stop the user's money; existing holds still settle", "account.freeze",
			func(ctx context.Context, kizo *client.Client, login, reason string) error {
				return kizo.Freeze(ctx, login, reason)
			}),
		newActCommand(a, "unfreeze USER", "Let the user's money move again", "account.unfreeze",
			func(ctx context.Context, kizo *client.Client, login, reason string) error {
				return kizo.Unfreeze(ctx, login, reason)
			}),
		newActCommand(a, "suspend USER", "End the user's sessions, and refuse log-ins", "user.suspend",
			func(ctx context.Context, kizo *client.Client, login, reason string) error {
				return kizo.Suspend(ctx, login, reason)
			}),
		newActCommand(a, "reinstate USER", "Let a suspended user log in again", "user.reinstate",
			func(ctx context.Context, kizo *client.Client, login, reason string) error {
				return kizo.Reinstate(ctx, login, reason)
			}),
		newActCommand(a, "end-sessions USER", "End the user's sessions; the user may log in again", "user.end_sessions",
			func(ctx context.Context, kizo *client.Client, login, reason string) error {
				return kizo.EndSessions(ctx, login, reason)
			}),
		newOpsUserShowCommand(a),
		newOpsUserKeysCommand(a),
		newOpsUserLimitsCommand(a),
		newActCommand(a, "revoke-keys USER", "End all API keys of the user", "user.revoke_keys",
			func(ctx context.Context, kizo *client.Client, login, reason string) error {
				return kizo.RevokeAPIKeysOf(ctx, login, reason)
			}))
	group.Aliases = []string{"account"} // the name from before suspend existed
	group.Long = `A frozen user can log in and look, but no money moves to or from any of the wallets,
including those opened later. A suspended user cannot log in, but other users can still
send money to the user; the user's API keys do not work meanwhile. A user can be both. You cannot do this to your own account.`
	return group
}

type opsUserShowOptions struct {
	app    *app
	output outputFlags
	user   string
}

var opsUserColumns = []column{{title: "HANDLE"}, {title: "STATUS"}, {title: "FROZEN"}, {title: "SECOND FACTOR"}, {title: "NAME", free: true}, {title: "EMAIL", free: true},
	{title: "EMAIL VERIFIED"}, {title: "ID", id: true}, {title: "ROLE"}, {title: "SINCE"}}

func newOpsUserShowCommand(a *app) *cobra.Command {
	opts := &opsUserShowOptions{app: a}
	cmd := &cobra.Command{
		Use:   "show USER",
		Short: "Show who the user is, and whether the user is frozen, suspended or closed",
		Long: `Show who the user is, and whether the user is frozen, suspended or closed. The user finds in kizo sessions history
that an operator looked.`,
		Example: "  kizo ops user show bob",
		Args:    takes("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.user = args[0]
			return opsUserShowRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.OpsUser{}, opsUserColumns...)
	return cmd
}

func opsUserShowRun(ctx context.Context, opts *opsUserShowOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	u, err := kizo.UserOf(ctx, opts.user)
	if err != nil {
		return err
	}
	return a.printOne(opts.output, u, opsUserColumns, []string{"@" + u.Handle, string(u.Status), yesNo(u.Frozen), yesNo(u.SecondFactor), u.Name, u.Email,
		yesNo(u.EmailVerified), u.Id.String(), string(u.Role), a.when(u.CreatedAt)})
}
