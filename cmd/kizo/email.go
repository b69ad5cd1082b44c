package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

func newEmailCommand(a *app) *cobra.Command {
	return newGroup("email", "Your e-mail address", newEmailVerifyCommand(a), newEmailChangeCommand(a), newEmailConfirmCommand(a))
}

type emailOptions struct {
	app       *app
	output    outputFlags
	password  passwordOptions
	otp       otpOptions
	codeStdin bool
}

func newEmailVerifyCommand(a *app) *cobra.Command {
	opts := &emailOptions{app: a}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify your e-mail address with a mailed code",
		Long: `Verify your e-mail address with a code that is mailed to it. Others can pay you by a verified address, and you can
choose another password if you lose yours. On a terminal, kizo asks for the code; a script runs kizo email confirm.`,
		Example: `  kizo email verify`,
		Args:    takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			kizo, err := a.kizo()
			if err != nil {
				return err
			}
			me, err := kizo.Me(cmd.Context())
			if err != nil {
				return err
			}
			if me.EmailVerified {
				a.io.note("%s is verified already.", printable.Text(me.Email))
				return a.printUser(opts.output, me)
			}
			if err := kizo.MailEmailCode(cmd.Context()); err != nil {
				return err
			}
			a.io.note("A code is on its way to %s. It is valid for 10 minutes.", printable.Text(me.Email))
			return opts.confirmOnTerminal(cmd.Context(), kizo)
		},
	}
	opts.output.addTo(cmd, a, client.User{}, userColumns...)
	return cmd
}

func newEmailChangeCommand(a *app) *cobra.Command {
	opts := &emailOptions{app: a}
	cmd := &cobra.Command{
		Use:   "change ADDRESS",
		Short: "Change your e-mail address",
		Long: `Change your e-mail address. It needs your password. A code is mailed to the new address, and a notice to the present one
if that is verified. The address changes when you confirm it with the code: kizo asks for it on a terminal, a script
runs kizo email confirm.`,
		Example: `  kizo email change ada@example.org
  kizo email change ada@example.org --password-stdin < password.txt`,
		Args: takes("ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error { return emailChangeRun(cmd.Context(), opts, args[0]) },
	}
	opts.output.addTo(cmd, a, client.User{}, userColumns...)
	opts.password.addTo(cmd)
	opts.otp.addTo(cmd)
	return cmd
}

func emailChangeRun(ctx context.Context, opts *emailOptions, address string) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	err = a.withPassword(ctx, &opts.password, &opts.otp, func(password, otp string) error {
		return kizo.ChangeEmail(ctx, client.EmailChange{Email: address, Password: password, Otp: otp})
	})
	if err != nil {
		return err
	}
	a.io.note("A code is on its way to %s. It is valid for 10 minutes.", printable.Text(address))
	if opts.password.stdin {
		a.io.note("Then: kizo email confirm")
		return nil
	}
	return opts.confirmOnTerminal(ctx, kizo)
}

func newEmailConfirmCommand(a *app) *cobra.Command {
	opts := &emailOptions{app: a}
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Confirm your e-mail address with the mailed code",
		Long: `Confirm your e-mail address with the code of kizo email verify or kizo email change. The code works once, for 10 minutes,
and is void after five wrong ones.`,
		Example: `  kizo email confirm
  kizo email confirm --code-stdin < code.txt`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			kizo, err := a.kizo()
			if err != nil {
				return err
			}
			return opts.confirm(cmd.Context(), kizo)
		},
	}
	opts.output.addTo(cmd, a, client.User{}, userColumns...)
	cmd.Flags().BoolVar(&opts.codeStdin, "code-stdin", false, "read the code from the first line of stdin")
	return cmd
}

// confirmOnTerminal asks for the code, or says how to go on without a terminal.
func (o *emailOptions) confirmOnTerminal(ctx context.Context, kizo *client.Client) error {
	if o.app.io.ReadSecrets == nil {
		o.app.io.note("Then: kizo email confirm --code-stdin")
		return nil
	}
	return o.confirm(ctx, kizo)
}

func (o *emailOptions) confirm(ctx context.Context, kizo *client.Client) error {
	a := o.app
	var code string
	switch {
	case o.codeStdin:
		line, err := firstLine(a.io.In)
		if err != nil {
			return err
		}
		code = line
	case a.io.ReadSecrets == nil:
		return withHint(usagef("there is no terminal to ask for the code"), a.commandLine()+" --code-stdin < FILE")
	default:
		typed, err := a.io.ReadSecrets(ctx, "Code: ")
		if err != nil {
			return err
		}
		code = typed[0]
	}
	user, err := kizo.ConfirmEmail(ctx, code)
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Code == client.EmailCodeInvalid {
		return withHint(err, "kizo email verify")
	}
	if err != nil {
		return err
	}
	a.io.note("%s is your verified e-mail address.", printable.Text(user.Email))
	return a.printUser(o.output, user)
}
