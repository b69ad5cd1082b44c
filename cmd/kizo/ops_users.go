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
