package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type signupOptions struct {
	app                           *app
	output                        outputFlags
	password                      passwordOptions
	email, handle, name, currency string
	replace                       bool
}

func newSignupCommand(a *app) *cobra.Command {
	opts := &signupOptions{app: a}
	cmd := &cobra.Command{
		Use:   "signup",
		Short: "Create an account and log in",
		Long: `Create an account, open its first wallet, and log in.

The password is asked for twice, or read with --password-stdin.`,
		Example: `  kizo signup --email ada@example.com --handle ada --name "Ada Lovelace"
  kizo signup --email ada@example.com --handle ada --name Ada --currency EUR --password-stdin < password.txt`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return signupRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.User{}, userColumns...)
	opts.password.addTo(cmd)
	addReplace(cmd, &opts.replace)
	flags := cmd.Flags()
	flags.StringVar(&opts.email, "email", "", "your e-mail address")
	flags.StringVar(&opts.handle, "handle", "", "the public name that others send money to, as in @ada")
	flags.StringVar(&opts.name, "name", "", "your name, as others see it")
	flags.StringVar(&opts.currency, "currency", "", "currency of your first wallet (default: the server's)")
	return cmd
}

func signupRun(ctx context.Context, opts *signupOptions) error {
	a := opts.app
	var missing []string
	for _, flag := range []struct{ name, value string }{{"--email", opts.email}, {"--handle", opts.handle}, {"--name", opts.name}} {
		if flag.value == "" {
			missing = append(missing, flag.name)
		}
	}
	if len(missing) > 0 {
		return withHint(usagef("an account needs %s", strings.Join(missing, " and ")),
			"kizo signup --email EMAIL --handle HANDLE --name NAME")
	}
	who := client.SignUp{Email: opts.email, Handle: strings.TrimPrefix(opts.handle, "@"), Name: opts.name}
	if opts.currency != "" {
		currency, err := parseCurrency(opts.currency)
		if err != nil {
			return err
		}
		code := string(currency)
		who.Currency = &code
	}
	if err := a.beforePassword(ctx); err != nil {
		return err
	}
	replaced, err := a.confirmReplace(ctx, who.Handle, opts.replace)
	if err != nil {
		return err
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	if who.Password, err = opts.password.read(ctx, a, true); err != nil {
		return err
	}
	user, err := kizo.SignUp(ctx, who)
	if err != nil {
		return err
	}
	return a.printLoggedIn(ctx, opts.output, user, replaced)
}
