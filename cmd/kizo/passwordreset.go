package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

type passwordResetOptions struct {
	app      *app
	output   outputFlags
	password passwordOptions
	otp      otpOptions
	name     string
	mail     bool
	codeUsed bool // the reset has used up a code of the second factor
}

func newPasswordResetCommand(a *app) *cobra.Command {
	opts := &passwordResetOptions{app: a}
	cmd := &cobra.Command{
		Use:   "reset NAME",
		Short: "Choose another password with a mailed code, or one from an operator",
		Long: `Choose another password with a reset code, and log in. All your sessions end.

With --mail, the server first mails a code to you, if you have verified your e-mail address. It is valid for 10
minutes. Without that, ask an operator of the server for a code. A code works once. NAME is your handle, or your
verified e-mail address. If you have a second factor, a mailed code needs it as well.

With --password-stdin, the first line of stdin is the code and the second line the new password. With --otp-stdin, the
third line is a code of the second factor; a fourth one, if there is one, is the code of the log-in that follows.`,
		Example: `  kizo password reset ada --mail
  kizo password reset ada
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
	cmd.Flags().BoolVar(&opts.mail, "mail", false, "mail a code first; without a terminal, do nothing else")
	cmd.MarkFlagsMutuallyExclusive("mail", "password-stdin")
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
	if opts.mail {
		if err := kizo.MailResetCode(ctx, opts.name); err != nil {
			return err
		}
		a.io.note("If %s is a user with a verified e-mail address, a code is on its way there. It is valid for 10 minutes. A user gets at most five codes in an hour.", printable.Text(opts.name))
		if a.io.ReadSecrets == nil {
			a.io.note("Then: kizo password reset %s", shellQuote(opts.name))
			return nil
		}
	}
	code, password, err := opts.password.readPair(ctx, a, "reset code")
	if err != nil {
		return err
	}
	if err := opts.reset(ctx, kizo, client.PasswordReset{Login: opts.name, Code: code, NewPassword: password}); err != nil {
		return err
	}
	a.io.note("The password was changed.")
	var user client.User
	err = opts.otp.with(ctx, a, func(otp string) (err error) {
		user, err = kizo.LogIn(ctx, opts.name, password, otp)
		return err
	})
	if opts.codeUsed && a.io.ReadSecrets == nil && exitCode(err) == exitUsage { // a script with one code: the reset is done
		a.io.note("Log in with the next code: kizo login %s", shellQuote(opts.name))
		return nil
	}
	if err != nil {
		return withHint(err, "kizo login "+opts.name)
	}
	return a.printUser(opts.output, user)
}

// reset sends the code and the password. On a terminal, it asks for the code again if that is
// wrong: the server checks the code only together with an acceptable password.
func (o *passwordResetOptions) reset(ctx context.Context, kizo *client.Client, in client.PasswordReset) error {
	for left := maxCodes - 1; ; left-- {
		err := o.resetOnce(ctx, kizo, in)
		if !hasCode(err, client.ResetCodeInvalid) || o.password.stdin || left == 0 {
			return err
		}
		o.app.io.note("%s. %s left; the new password need not be typed again.", printable.Text(detailOf(err)), plural(left, "try", "tries"))
		typed, err := o.app.io.ReadSecrets(ctx, "Reset code: ")
		if err != nil {
			return err
		}
		in.Code = typed[0]
	}
}

// resetOnce asks for a code of the second factor if the server wants one: only with a mailed code.
func (o *passwordResetOptions) resetOnce(ctx context.Context, kizo *client.Client, in client.PasswordReset) error {
	err := kizo.ResetPassword(ctx, in)
	if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Code != client.OTPRequired {
		return err
	}
	if in.Otp, err = o.otp.read(ctx, o.app); err != nil {
		return err
	}
	if err := kizo.ResetPassword(ctx, in); err != nil {
		return err
	}
	o.codeUsed = true
	o.app.io.note("That code is used up: the log-in needs the next one.")
	return nil
}
