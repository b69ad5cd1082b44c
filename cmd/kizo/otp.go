package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

// otpOptions say where a code of the second factor comes from: from a prompt if the server asks for
// one, or from stdin.
type otpOptions struct {
	stdin   bool
	appOnly bool // a recovery code is of no use
}

func (o *otpOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.stdin, "otp-stdin", false, "read a code of the second factor from the next line of stdin, after a password")
}

// maxCodes is how often a prompt asks for a code before the command fails.
const maxCodes = 3

// with calls do with the code from stdin; or without one, and then with codes from a prompt if the
// server asks for it, until one is right.
func (o *otpOptions) with(ctx context.Context, a *app, do func(otp string) error) error {
	if o.stdin {
		return o.try(ctx, a, do)
	}
	err := do("")
	if !hasCode(err, client.OTPRequired) {
		return err
	}
	if a.io.ReadSecrets == nil {
		return withHint(err, a.commandLine()+" --otp-stdin < FILE")
	}
	return o.try(ctx, a, do)
}

// try calls do with a code from stdin; or with codes from a prompt until one is right, at most
// maxCodes times.
func (o *otpOptions) try(ctx context.Context, a *app, do func(otp string) error) error {
	for left := maxCodes - 1; ; left-- {
		otp, err := o.read(ctx, a)
		if err != nil {
			return err
		}
		err = do(otp)
		if err == nil {
			a.countRecoveryCodes(ctx, otp)
		}
		if !hasCode(err, client.OTPInvalid) || o.stdin || left == 0 {
			return err
		}
		a.io.note("%s. %s left.", printable.Text(detailOf(err)), plural(left, "try", "tries"))
	}
}

// appCodeLength is the length of a code of the app; recovery codes are longer.
const appCodeLength = 6

// countRecoveryCodes says how many recovery codes are left after one was used. Its failure is not
// an error.
func (a *app) countRecoveryCodes(ctx context.Context, used string) {
	if a.json || len(strings.ReplaceAll(used, " ", "")) <= appCodeLength {
		return
	}
	kizo, err := a.kizo()
	if err != nil {
		return
	}
	if state, err := kizo.SecondFactor(ctx); err == nil && state.Enabled {
		a.io.note("That was a recovery code: %d are left. For new ones: kizo second-factor recovery-codes", state.RecoveryCodes)
	}
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

// detailOf returns what the server says about a refusal.
func detailOf(err error) string {
	if refused, ok := errors.AsType[*client.Error](err); ok {
		return refused.Detail
	}
	return err.Error()
}

func (o *otpOptions) read(ctx context.Context, a *app) (string, error) {
	if o.stdin {
		return firstLine(a.io.In)
	}
	if a.io.ReadSecrets == nil {
		return "", withHint(usagef("there is no terminal to ask for the code"), a.commandLine()+" --otp-stdin < FILE")
	}
	what := "Code of your authenticator app, or a recovery code"
	if o.appOnly {
		what = "Code of your authenticator app"
	}
	typed, err := a.io.ReadSecrets(ctx, what+" (for "+a.commandName()+"): ")
	if err != nil {
		return "", err
	}
	return typed[0], nil
}
