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
	otp      otpOptions
	replace  bool
	device   bool
	name     string // empty: that of the context's user
}

func newLoginCommand(a *app) *cobra.Command {
	opts := &loginOptions{app: a}
	cmd := &cobra.Command{
		Use:   "login [NAME]",
		Short: "Log in with your handle or e-mail address",
		Long: `Log in with your handle or e-mail address. NAME may be left out if the context names its user.

The session is kept in a file that only you can read, under $XDG_STATE_HOME/kizo, one for each context
and server, or in the system keyring or a password manager: kizo help credentials. If another user is logged in there, kizo asks before it replaces that session; without a
terminal, it takes --replace. To keep both, make a context for each user: kizo help contexts.

With --device, kizo asks for no password, for machines without a keyboard: it shows a code, which you approve
on a computer where you are logged in (kizo approve CODE). With --json, the code is a JSON object on stderr.

With --api-key-stdin, an API key is kept in its place, after the server has accepted it; kizo logout removes it here
and does not revoke it. Scripts may also use an API key without storing it: kizo help api-keys. KIZO_TOKEN can hold an access token, which is used as it
is and never stored.`,
		Example: `  kizo login ada
  kizo login ada@example.com --password-stdin < password.txt
  kizo login --device
  kizo login --api-key-stdin < payroll.key`,
		Args: takes("[NAME]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				opts.name = args[0]
			}
			return loginRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.User{}, userColumns...)
	opts.password.addTo(cmd)
	opts.otp.addTo(cmd)
	addReplace(cmd, &opts.replace)
	cmd.Flags().BoolVar(&opts.device, "device", false, "show a code to approve on a computer where you are logged in")
	return cmd
}

func addReplace(cmd *cobra.Command, replace *bool) {
	cmd.Flags().BoolVar(replace, "replace", false, "replace the session of another user without asking")
}

func loginRun(ctx context.Context, opts *loginOptions) error {
	a := opts.app
	if a.keyStdinFlag {
		return loginWithKey(ctx, opts)
	}
	if opts.device {
		return loginWithDevice(ctx, opts)
	}
	if err := a.beforePassword(ctx); err != nil {
		return err
	}
	config, err := a.config()
	if err != nil {
		return err
	}
	if opts.name == "" {
		opts.name = config.User.Value
	}
	if opts.name == "" {
		return withHint(usagef("kizo login needs NAME: your handle or e-mail address"), "kizo login NAME")
	}
	replaced, err := a.confirmReplace(ctx, opts.name, opts.replace)
	if err != nil {
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
	var user client.User
	err = opts.otp.with(ctx, a, func(otp string) (err error) {
		user, err = kizo.LogIn(ctx, strings.TrimPrefix(opts.name, "@"), password, otp)
		return err
	})
	if err != nil {
		return err
	}
	return a.printLoggedIn(ctx, opts.output, user, replaced)
}
