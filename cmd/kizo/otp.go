package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

// otpOptions say where a code of the second factor comes from: from a prompt if the server asks for
// one, or from stdin.
type otpOptions struct {
	stdin bool
}

func (o *otpOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.stdin, "otp-stdin", false, "read a code of the second factor from the next line of stdin, after a password")
}

const otpPrompt = "Code of your authenticator app, or a recovery code: "

// with calls do with the code from stdin; or without one, and once more with a code from a prompt
// if the server asks for it.
func (o *otpOptions) with(ctx context.Context, a *app, do func(otp string) error) error {
	if o.stdin {
		otp, err := o.read(ctx, a)
		if err != nil {
			return err
		}
		return do(otp)
	}
	err := do("")
	if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Code != client.OTPRequired {
		return err
	}
	if a.io.ReadSecrets == nil {
		return withHint(err, a.commandLine()+" --otp-stdin < FILE")
	}
	otp, err := o.read(ctx, a)
	if err != nil {
		return err
	}
	return do(otp)
}

// withPassword asks for the password, and calls do with it, and with a code as with does.
func (a *app) withPassword(ctx context.Context, password *passwordOptions, otp *otpOptions, do func(password, otp string) error) error {
	typed, err := password.read(ctx, a, false)
	if err != nil {
		return err
	}
	return otp.with(ctx, a, func(code string) error { return do(typed, code) })
}

// hasCode reports whether the server refused with a code.
func hasCode(err error, code client.ProblemCode) bool {
	refused, ok := errors.AsType[*client.Error](err)
	return ok && refused.Code == code
}

func (o *otpOptions) read(ctx context.Context, a *app) (string, error) {
	if o.stdin {
		return firstLine(a.io.In)
	}
	if a.io.ReadSecrets == nil {
		return "", withHint(usagef("there is no terminal to ask for the code"), a.commandLine()+" --otp-stdin < FILE")
	}
	typed, err := a.io.ReadSecrets(ctx, otpPrompt)
	if err != nil {
		return "", err
	}
	return typed[0], nil
}
