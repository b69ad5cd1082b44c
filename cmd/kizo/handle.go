package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

func newHandleCommand(a *app) *cobra.Command {
	return newGroup("handle", "The name by which others pay you", newHandleChangeCommand(a))
}

type handleChangeOptions struct {
	app      *app
	output   outputFlags
	handle   string
	password passwordOptions
	otp      otpOptions
}

func newHandleChangeCommand(a *app) *cobra.Command {
	opts := &handleChangeOptions{app: a}
	cmd := &cobra.Command{
		Use:   "change HANDLE",
		Short: "Change your handle, at most twice within a year",
		Long: `Change your handle, at most twice within a year. You log in with the new one, and others pay you by it.

Your earlier handle stays reserved for you: no other user ever gets it, and you may take it back. A payment to it
is refused and says so, rather than reach you under a name that the payer no longer sees. Tell your payers.
It needs your password, and a code if you have a second factor.`,
		Example: `  kizo handle change ada_king
  kizo handle change ada_king --password-stdin < password.txt`,
		Args: takes("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.handle = args[0]
			return handleChangeRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.User{}, userColumns...)
	opts.password.addTo(cmd)
	opts.otp.addTo(cmd)
	return cmd
}

func handleChangeRun(ctx context.Context, opts *handleChangeOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	config, err := a.config()
	if err != nil {
		return err
	}
	var user client.User
	err = a.withPassword(ctx, &opts.password, &opts.otp, func(password, otp string) (err error) {
		user, err = kizo.ChangeHandle(ctx, client.HandleChange{Handle: opts.handle, Password: password, Otp: otp})
		return err
	})
	if err != nil {
		return err
	}
	if err := a.printUser(opts.output, user); err != nil {
		return err
	}
	a.io.note("You are @%s now.", user.Handle)
	if owner := config.User.Value; owner != "" && owner != user.Handle {
		a.io.note("This context is for @%s. Change that: %s", owner,
			strings.Join([]string{"kizo config set user", user.Handle, "--context", shellQuote(config.Context.Value)}, " "))
	}
	return nil
}
