package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

func newSecondFactorCommand(a *app) *cobra.Command {
	group := newGroup("second-factor", "Codes of an authenticator app, beside your password",
		newSecondFactorStatusCommand(a), newSecondFactorAddCommand(a), newSecondFactorConfirmCommand(a), newSecondFactorCodesCommand(a), newSecondFactorRemoveCommand(a))
	group.Long = `Codes of an authenticator app (TOTP, RFC 6238), beside your password.

With a second factor, a log-in needs a code as well, and so does what a stolen session must not do: kizo step-up.
Ten recovery codes take its place if you lose the app; each works once. Keep them: if you lose both, only an operator of
the server can remove the second factor, after they have identified you. Passkeys need a browser, which a terminal does not have, so Kizo does not offer them.`
	return group
}

type secondFactorOptions struct {
	app      *app
	output   outputFlags
	password passwordOptions
	otp      otpOptions
}

func newSecondFactorStatusCommand(a *app) *cobra.Command {
	opts := &secondFactorOptions{app: a}
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show whether you have a second factor",
		Example: "  kizo second-factor status",
		Args:    takes(""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return secondFactorStatusRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.SecondFactor{}, secondFactorColumns...)
	return cmd
}

var secondFactorColumns = []column{{title: "SECOND FACTOR"}, {title: "RECOVERY CODES", right: true}}

func secondFactorStatusRun(ctx context.Context, opts *secondFactorOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	state, err := kizo.SecondFactor(ctx)
	if err != nil {
		return err
	}
	enabled := "no"
	if state.Enabled {
		enabled = "yes"
	}
	return opts.app.printOne(opts.output, state, secondFactorColumns, []string{enabled, strconv.Itoa(state.RecoveryCodes)})
}

func newSecondFactorAddCommand(a *app) *cobra.Command {
	opts := &secondFactorOptions{app: a}
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Add a second factor: scan a QR code with your app, and type the code that it shows",
		Long: `Add a second factor. On a terminal, kizo shows a QR code for your authenticator app, asks for the code that the
app shows, and prints ten recovery codes. Keep them where the app is not.

In a script, it prints the secret and its otpauth:// address; kizo second-factor confirm then needs a code. Until
it is confirmed, no code is asked for.`,
		Example: `  kizo second-factor add
  kizo second-factor add --password-stdin --json < password.txt`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return secondFactorAddRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.SecondFactorSecret{}, column{title: "SECRET"}, column{title: "URI"})
	opts.password.addTo(cmd)
	return cmd
}

func secondFactorAddRun(ctx context.Context, opts *secondFactorOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	password, err := opts.password.read(ctx, a, false)
	if err != nil {
		return err
	}
	made, err := kizo.AddSecondFactor(ctx, password)
	if err != nil {
		return err
	}
	if !a.io.OutTerminal || a.io.ReadSecrets == nil || opts.output.format() != "" {
		if err := a.printOne(opts.output, made, opts.output.columns, []string{made.Secret, made.Uri}); err != nil {
			return err
		}
		a.io.note("Add it to your authenticator app, and confirm it: kizo second-factor confirm")
		return nil
	}
	drawing, err := qrCode(made.Uri)
	if err != nil {
		return err
	}
	if err := a.write(drawing + "\nScan this with your authenticator app, or type this secret into it: " + made.Secret + "\n"); err != nil {
		return err
	}
	return secondFactorConfirm(ctx, opts, kizo)
}

func newSecondFactorConfirmCommand(a *app) *cobra.Command {
	opts := &secondFactorOptions{app: a}
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Confirm a second factor with a code of your app, and get the recovery codes",
		Long:  "Confirm a second factor with a code of your app. It prints the recovery codes, and ends your other sessions.",
		Example: `  kizo second-factor confirm
  kizo second-factor confirm --otp-stdin < code.txt`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			kizo, err := a.kizo()
			if err != nil {
				return err
			}
			return secondFactorConfirm(cmd.Context(), opts, kizo)
		},
	}
	opts.output.addTo(cmd, a, recoveryCode{}, recoveryCodeColumns...)
	opts.otp.addTo(cmd)
	return cmd
}

// recoveryCode is an item of the output of --json.
type recoveryCode struct {
	RecoveryCode string `json:"recovery_code"`
}

var recoveryCodeColumns = []column{{title: "RECOVERY CODE"}}

func secondFactorConfirm(ctx context.Context, opts *secondFactorOptions, kizo *client.Client) error {
	a := opts.app
	opts.otp.appOnly = true
	var codes []string
	err := opts.otp.try(ctx, a, func(otp string) (err error) {
		codes, err = kizo.ConfirmSecondFactor(ctx, otp)
		return err
	})
	if hasCode(err, client.OTPInvalid) {
		return withHint(err, "kizo second-factor confirm")
	}
	if err != nil {
		return err
	}
	if err := a.printRecoveryCodes(opts.output, codes); err != nil {
		return withHint(err, "kizo second-factor recovery-codes")
	}
	a.io.note("The second factor is on. Store the recovery codes now: they are not shown again.")
	a.io.note("To be asked for a code before large transfers too: kizo step-up set AMOUNT")
	return nil
}

func (a *app) printRecoveryCodes(flags outputFlags, codes []string) error {
	items, rows := make([]recoveryCode, len(codes)), make([][]string, len(codes))
	for i, code := range codes {
		items[i], rows[i] = recoveryCode{code}, []string{code}
	}
	return a.printList(flags, items, recoveryCodeColumns, rows)
}

func newSecondFactorCodesCommand(a *app) *cobra.Command {
	opts := &secondFactorOptions{app: a}
	cmd := &cobra.Command{
		Use:   "recovery-codes",
		Short: "Get ten new recovery codes; the earlier ones end",
		Example: `  kizo second-factor recovery-codes
  kizo second-factor recovery-codes --password-stdin --otp-stdin < two-lines.txt`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return secondFactorCodesRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, recoveryCode{}, recoveryCodeColumns...)
	opts.password.addTo(cmd)
	opts.otp.addTo(cmd)
	return cmd
}

func secondFactorCodesRun(ctx context.Context, opts *secondFactorOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	var codes []string
	err = a.withPassword(ctx, &opts.password, &opts.otp, func(password, otp string) (err error) {
		codes, err = kizo.RenewRecoveryCodes(ctx, password, otp)
		return err
	})
	if err != nil {
		return err
	}
	if err := a.printRecoveryCodes(opts.output, codes); err != nil {
		return withHint(err, "kizo second-factor recovery-codes")
	}
	a.io.note("The earlier recovery codes have ended. Store these now: they are not shown again.")
	return nil
}

func newSecondFactorRemoveCommand(a *app) *cobra.Command {
	opts := &secondFactorOptions{app: a}
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Remove your second factor and the recovery codes",
		Long: `Remove your second factor and the recovery codes. It needs your password, and a code of the app or a recovery
code, unless this session gave one in the last five minutes. The amounts of kizo step-up set end with it. To move to another phone: remove it, add it again, and set
these amounts again.`,
		Example: `  kizo second-factor remove
  kizo second-factor remove --password-stdin --otp-stdin < two-lines.txt`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return secondFactorRemoveRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.SecondFactor{}, secondFactorColumns...)
	opts.password.addTo(cmd)
	opts.otp.addTo(cmd)
	return cmd
}

func secondFactorRemoveRun(ctx context.Context, opts *secondFactorOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	before, err := kizo.StepUpStatus(ctx)
	if err != nil {
		return err
	}
	err = a.withPassword(ctx, &opts.password, &opts.otp, func(password, otp string) error { return kizo.RemoveSecondFactor(ctx, password, otp) })
	if err != nil {
		return err
	}
	return a.printDone(opts.output, client.SecondFactor{}, []string{"no", "0"}, func() {
		a.io.note("You have no second factor now.")
		for _, t := range before.Thresholds {
			a.io.note("Transfers above %s need no code any more. To set it again after kizo second-factor add:", amountOf(t.Amount, t.Currency))
			a.io.note("  kizo step-up set %s", strings.ReplaceAll(amountOf(t.Amount, t.Currency), " ", ""))
		}
	})
}
