package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

func newOpsUserCommand(a *app) *cobra.Command {
	group := newGroup("user", "Freeze, suspend or sign out a user",
		newActCommand(a, "freeze USER", "Let no money of the user move; what was held before still settles", "account.freeze",
			func(ctx context.Context, kizo *client.Client, login, reason string) error {
				return kizo.Freeze(ctx, login, reason)
			}),
		newActCommand(a, "unfreeze USER", "Let the user's wallets move again", "account.unfreeze",
			func(ctx context.Context, kizo *client.Client, login, reason string) error {
				return kizo.Unfreeze(ctx, login, reason)
			}),
		newActCommand(a, "suspend USER", "End the user's sessions, and let no new one begin", "user.suspend",
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
			}))
	group.Aliases = []string{"account"} // its name when it could freeze and unfreeze alone
	group.Long = `A frozen user can sign in and look, and no money moves: neither to nor from any wallet,
also not one that is opened later. A suspended user cannot sign in, and others may still
send money. Both may hold at once. You cannot do this to your own account.`
	return group
}
