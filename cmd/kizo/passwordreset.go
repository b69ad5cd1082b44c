package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type passwordResetOptions struct {
	app      *app
	output   outputFlags
	password passwordOptions
	otp      otpOptions
	name     string
}

func newPasswordResetCommand(a *app) *cobra.Command {
	opts := &passwordResetOptions{app: a}
	cmd := &cobra.Command{
		Use:   "reset NAME",
		Short: "Choose another password with a reset code, and log in",
		Long: `Choose another password with a reset code, and log in.

If you have lost your password, ask an operator of the server for a reset code. It works once. NAME is your
handle. With --password-stdin, the first line of stdin is the code and the second line the new password.`,
		Example: `  kizo password reset ada
  kizo password reset ada --password-stdin < two-lines.txt`,
		Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.name = strings.TrimPrefix(args[0], "@")
			return passwordResetRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.User{}, userColumns...)
	cmd.Flags().BoolVar(&opts.password.stdin, "password-stdin", false, "read the reset code and the new password from the first two lines of stdin")
	opts.otp.addTo(cmd)
	return cmd
}

func passwordResetRun(ctx context.Context, opts *passwordResetOptions) error {
	a := opts.app
	if err := a.beforePassword(ctx); err != nil {
		return err
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	code, password, err := opts.password.readPair(ctx, a, "reset code")
	if err != nil {
		return err
	}
	if err := kizo.ResetPassword(ctx, client.PasswordReset{Login: opts.name, Code: code, NewPassword: password}); err != nil {
		return err
	}
	a.io.note("The password was changed.")
	var user client.User
	err = opts.otp.with(ctx, a, func(otp string) (err error) {
		user, err = kizo.LogIn(ctx, opts.name, password, otp)
		return err
	})
	if err != nil {
		return withHint(err, "kizo login "+opts.name)
	}
	return a.printUser(opts.output, user)
}
