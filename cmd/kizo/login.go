package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type loginOptions struct {
	app      *app
	output   outputFlags
	password passwordOptions
	name     string
}

func newLoginCommand(a *app) *cobra.Command {
	opts := &loginOptions{app: a}
	cmd := &cobra.Command{
		Use:   "login NAME",
		Short: "Log in with your handle or e-mail address",
		Long: `Log in with your handle or e-mail address.

The session is kept in a file that only you can read, under $XDG_STATE_HOME/kizo, one for each server.
Scripts use an API key instead: kizo help api-keys. KIZO_TOKEN can hold an access token, which is used as it
is and never stored.`,
		Example: `  kizo login ada
  kizo login ada@example.com --password-stdin < password.txt`,
		Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.name = args[0]
			return loginRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.User{}, userColumns...)
	opts.password.addTo(cmd)
	return cmd
}

func loginRun(ctx context.Context, opts *loginOptions) error {
	a := opts.app
	if err := a.beforePassword(ctx); err != nil {
		return err
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	password, err := opts.password.read(ctx, a, false)
	if err != nil {
		return err
	}
	user, err := kizo.LogIn(ctx, strings.TrimPrefix(opts.name, "@"), password)
	if err != nil {
		return err
	}
	return a.printUser(opts.output, user)
}
