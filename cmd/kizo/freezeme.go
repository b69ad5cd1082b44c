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
is on its way still settles. You can look at everything. With a second factor, you lift it yourself: kizo
unfreeze-me. Without one, only an operator lifts it, after they have identified you.

Then end what the other person may have: kizo sessions revoke --others, kizo keys list, kizo password change.`,
		Example: "  kizo freeze-me --yes",
		Args:    takes(""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return freezeMeRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, frozenAccount{}, column{title: "FROZEN"})
	cmd.Flags().BoolVar(&opts.yes, "yes", false, "needed, since without a second factor only an operator can undo this")
	return cmd
}

func freezeMeRun(ctx context.Context, opts *freezeMeOptions) error {
	a := opts.app
	if !opts.yes {
		return withHint(usagef("this stops all your money until you lift it with a second factor, or an operator does"), "kizo freeze-me --yes")
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

func newUnfreezeMeCommand(a *app) *cobra.Command {
	opts := &freezeMeOptions{app: a}
	cmd := &cobra.Command{
		Use:   "unfreeze-me",
		Short: "Let money move again, after kizo freeze-me",
		Long: `Lift the freeze that you have made with kizo freeze-me: money moves again. It needs a second factor, which
another person with your password does not have. Before it, end what that person may have: kizo sessions
revoke --others, kizo keys list, kizo password change.

A freeze that an operator has made stays: ask an operator.`,
		Example: `  kizo unfreeze-me
  kizo unfreeze-me --otp-stdin < code.txt`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return unfreezeMeRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, frozenAccount{}, column{title: "FROZEN"})
	a.addStepUpFlag(cmd)
	return cmd
}

func unfreezeMeRun(ctx context.Context, opts *freezeMeOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	if err := kizo.UnfreezeMe(ctx); err != nil {
		return err
	}
	return a.printDone(opts.output, frozenAccount{false}, []string{"no"}, func() {
		a.io.note("Your account is not frozen: money can move again.")
	})
}
