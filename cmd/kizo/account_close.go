package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type accountCloseOptions struct {
	app      *app
	output   outputFlags
	password passwordOptions
	otp      otpOptions
	yes      bool
}

// closedAccount is the output of --json: the API's answer has no body.
type closedAccount struct {
	Closed string `json:"closed"` // the handle
}

func newAccountCloseCommand(a *app) *cobra.Command {
	opts := &accountCloseOptions{app: a}
	cmd := &cobra.Command{
		Use:   "close",
		Short: "Close your account, forever",
		Long: `Close your account, forever. It needs your password, and a code if you have a second factor. Your wallets must be
empty and nothing may be pending: withdraw or send what is left first. Otherwise nothing happens, and kizo says what
is left.

All sessions and API keys end. Your e-mail address, name, second factor and devices are deleted. The books stay: your
transfers, with memos and tags, and your handle, which no other user ever gets. You cannot be paid any more. To keep a
copy: kizo account export, kizo export.`,
		Example: `  kizo account close
  kizo account close --password-stdin --otp-stdin --yes < two-lines.txt`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return accountCloseRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, closedAccount{}, column{title: "CLOSED"})
	opts.password.addTo(cmd)
	opts.otp.addTo(cmd)
	cmd.Flags().BoolVar(&opts.yes, "yes", false, "do not ask: this cannot be undone")
	return cmd
}

func accountCloseRun(ctx context.Context, opts *accountCloseOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	me, err := kizo.Me(ctx)
	if err != nil {
		return err
	}
	if err := a.nothingUnfinished(kizo.Server(), me.Handle); err != nil {
		return err
	}
	if err := opts.confirm(ctx, me.Handle); err != nil {
		return err
	}
	err = a.withPassword(ctx, &opts.password, &opts.otp, func(password, otp string) error { return kizo.CloseAccount(ctx, password, otp) })
	switch {
	case hasCode(err, client.AccountNotEmpty):
		return withHint(err, "kizo balance", "kizo transfers list --state pending")
	case err != nil:
		return err
	}
	return a.printDone(opts.output, closedAccount{me.Handle}, []string{"@" + me.Handle}, func() {
		a.io.note("The account of @%s is closed.", me.Handle)
	})
}

// nothingUnfinished refuses while this computer does not know the outcome of a payment of the user.
func (a *app) nothingUnfinished(server, handle string) error {
	open, err := a.openIntents()
	if err != nil {
		return err
	}
	for _, i := range open {
		if i.Server == server && i.Handle == handle {
			return withHint(&exitError{exit: exitRefused, code: string(client.AccountNotEmpty),
				err: fmt.Errorf("nothing was closed: the outcome of a command is not known here (%s)", i.What)}, "kizo pending", "kizo retry")
		}
	}
	return nil
}

func (o *accountCloseOptions) confirm(ctx context.Context, handle string) error {
	if o.yes {
		return nil
	}
	if o.app.io.ReadLine != nil {
		answer, err := o.app.io.ReadLine(ctx, "Close the account of @"+handle+" forever? Type yes: ")
		if err != nil {
			return err
		}
		if saysYes(answer) {
			return nil
		}
	}
	return withHint(usagef("nothing was closed"), o.app.commandLine()+" --yes")
}
