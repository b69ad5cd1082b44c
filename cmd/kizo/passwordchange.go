package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

func newPasswordCommand(a *app) *cobra.Command {
	return newGroup("password", "Your password", newPasswordChangeCommand(a), newPasswordResetCommand(a))
}

type passwordChangeOptions struct {
	app      *app
	output   outputFlags
	password passwordOptions
	otp      otpOptions
}

func newPasswordChangeCommand(a *app) *cobra.Command {
	opts := &passwordChangeOptions{app: a}
	cmd := &cobra.Command{
		Use:   "change",
		Short: "Change your password, and end your other sessions",
		Long: `Change your password. All your sessions but this one end at once.

If you have lost it: kizo password reset. API keys stay valid. If another person may know your password, look at them as well: kizo keys list.

A password has 10 to 256 bytes. Four unrelated words make a good one. With --password-stdin, the first
line of stdin is the current password and the second line the new one.`,
		Example: `  kizo password change
  kizo password change --password-stdin < two-lines.txt`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return passwordChangeRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.PasswordChanged{}, passwordChangeColumns...)
	cmd.Flags().BoolVar(&opts.password.stdin, "password-stdin", false, "read the current and the new password from the first two lines of stdin")
	opts.otp.addTo(cmd)
	return cmd
}

var passwordChangeColumns = []column{{title: "SESSIONS ENDED", right: true}, {title: "API KEYS", right: true}}

func passwordChangeRun(ctx context.Context, opts *passwordChangeOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	current, next, err := opts.password.readPair(ctx, a, "current password")
	if err != nil {
		return err
	}
	var changed client.PasswordChanged
	err = opts.otp.with(ctx, a, func(otp string) (err error) {
		changed, err = kizo.ChangePassword(ctx, client.PasswordChange{CurrentPassword: current, NewPassword: next, Otp: otp})
		return err
	})
	if err != nil {
		return err
	}
	row := []string{strconv.Itoa(changed.SessionsEnded), strconv.Itoa(changed.ApiKeys)}
	if err := a.printOne(opts.output, changed, passwordChangeColumns, row); err != nil {
		return err
	}
	a.io.note("The password was changed.")
	if changed.ApiKeys > 0 {
		a.io.note("API keys stay valid: kizo keys list shows them.")
	}
	return nil
}

// readPair asks for a secret, such as the current password, and twice for a new password.
func (o *passwordOptions) readPair(ctx context.Context, a *app, name string) (secret, password string, err error) {
	if o.stdin {
		if secret, err = firstLine(a.io.In); err != nil {
			return "", "", err
		}
		if password, err = firstLine(a.io.In); err != nil {
			return "", "", usagef("stdin needs two lines: the %s and the new password", name)
		}
		return secret, password, nil
	}
	if a.io.ReadSecrets == nil {
		return "", "", withHint(usagef("there is no terminal to ask for the %s", name), a.commandLine()+" --password-stdin < FILE")
	}
	a.io.note("A password has 10 to 256 bytes; four unrelated words make a good one.")
	typed, err := a.io.ReadSecrets(ctx, strings.ToUpper(name[:1])+name[1:]+": ", "New password: ", "Repeat new password: ")
	if err != nil {
		return "", "", err
	}
	if typed[1] != typed[2] {
		return "", "", usagef("the two new passwords are not the same")
	}
	return typed[0], typed[1], nil
}
