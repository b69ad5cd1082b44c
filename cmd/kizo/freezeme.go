package main

import (
	"context"

	"github.com/spf13/cobra"
)

type freezeMeOptions struct {
	app    *app
	output outputFlags
	yes    bool
}

// frozenAccount is the output of --json: the API's answer has no body.
type frozenAccount struct {
	Frozen bool `json:"frozen"`
}

func newFreezeMeCommand(a *app) *cobra.Command {
	opts := &freezeMeOptions{app: a}
	cmd := &cobra.Command{
		Use:   "freeze-me",
		Short: "Stop all money of your account, if you think that another person uses it",
		Long: `Stop all money of your account: nothing moves from or to your wallets, by any session or API key. What
is on its way still settles. You can look at everything. Only an operator lifts it, after they have
identified you.

Then end what the other person may have: kizo sessions revoke --others, kizo keys list, kizo password change.`,
		Example: "  kizo freeze-me --yes",
		Args:    takes(""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return freezeMeRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, frozenAccount{}, column{title: "FROZEN"})
	cmd.Flags().BoolVar(&opts.yes, "yes", false, "needed, since only an operator can undo this")
	return cmd
}

func freezeMeRun(ctx context.Context, opts *freezeMeOptions) error {
	a := opts.app
	if !opts.yes {
		return withHint(usagef("this stops all your money until an operator lifts it"), "kizo freeze-me --yes")
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	if err := kizo.FreezeMe(ctx); err != nil {
		return err
	}
	return a.printDone(opts.output, frozenAccount{true}, []string{"yes"}, func() {
		a.io.note("Your account is frozen. Next: kizo sessions revoke --others, kizo keys list, kizo password change.")
	})
}
