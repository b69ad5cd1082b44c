package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

// addStepUpFlag adds --otp-stdin to a command that the server may refuse without a step-up.
func (a *app) addStepUpFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.otpStdin, "otp-stdin", false, "read a code of the second factor from a line of stdin, if the server asks for one")
}

// stepUp answers a refusal by a code from stdin or from a prompt. The client then sends the refused
// request again, under the same idempotency key.
func (a *app) stepUp(ctx context.Context, kizo *client.Client, refused *client.Error) error {
	if !a.otpStdin && a.io.ReadSecrets == nil {
		said := *refused // the server names the request of the API, which is not for users of kizo
		said.Detail = "a recent code of your second factor is required; nothing was done"
		return withHint(&said, "kizo step-up confirm (on a terminal: then this session needs no code for five minutes)",
			a.commandLine()+" --otp-stdin < FILE", "kizo keys create --name NAME --scope SCOPE,… (for scripts: a key with limits needs no code)")
	}
	return a.giveCode(ctx, kizo)
}

// giveCode sends a code from stdin, or codes from a prompt until one is right.
func (a *app) giveCode(ctx context.Context, kizo *client.Client) error {
	read := otpOptions{stdin: a.otpStdin}
	return read.try(ctx, a, func(otp string) error {
		_, err := kizo.StepUp(ctx, otp)
		return err
	})
}

func newStepUpCommand(a *app) *cobra.Command {
	group := newGroup("step-up", "Choose when Kizo asks for a code of your authenticator app",
		newStepUpStatusCommand(a), newStepUpConfirmCommand(a), newStepUpSetCommand(a), newStepUpRemoveCommand(a))
	group.Long = `Choose when Kizo asks for a code of your authenticator app (kizo second-factor), or a recovery code.

With a second factor, Kizo asks for a code before a withdrawal, before changes of API keys, limits, password and
second factor, and before a transfer above an amount that you set. One code lasts five minutes, in this session only.
On a terminal and on the dashboard you are asked, and the command goes on. A script uses an API key with limits, which
is never asked, or --otp-stdin.`
	return group
}

type stepUpOptions struct {
	app    *app
	output outputFlags
}

var stepUpColumns = []column{{title: "SECOND FACTOR"}, {title: "NO CODE UNTIL"}, {title: "ASKED ABOVE"}}

func (o *stepUpOptions) print(status client.StepUpStatus) error {
	enabled, until, above := "no", "", []string{}
	if status.Enabled {
		enabled = "yes"
	}
	if status.ValidUntil != nil {
		until = o.app.when(*status.ValidUntil)
	}
	for _, one := range status.Thresholds {
		above = append(above, amountOf(one.Amount, one.Currency))
	}
	return o.app.printOne(o.output, status, stepUpColumns, []string{enabled, until, strings.Join(above, ", ")})
}

// stepUpRun does one thing with the server, and prints the state after it.
func stepUpRun(opts *stepUpOptions, do func(kizo *client.Client) (client.StepUpStatus, error)) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	status, err := do(kizo)
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Code == client.SecondFactorMissing {
		return withHint(err, "kizo second-factor add")
	}
	if err != nil {
		return err
	}
	return opts.print(status)
}

func newStepUpStatusCommand(a *app) *cobra.Command {
	opts := &stepUpOptions{app: a}
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show above which amounts you are asked, and until when you are not",
		Example: "  kizo step-up status",
		Args:    takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return stepUpRun(opts, func(kizo *client.Client) (client.StepUpStatus, error) { return kizo.StepUpStatus(cmd.Context()) })
		},
	}
	opts.output.addTo(cmd, a, client.StepUpStatus{}, stepUpColumns...)
	return cmd
}

func newStepUpConfirmCommand(a *app) *cobra.Command {
	opts := &stepUpOptions{app: a}
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Give a code now, so that this session needs none for five minutes",
		Example: `  kizo step-up confirm
  kizo step-up confirm --otp-stdin < code.txt`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return stepUpRun(opts, func(kizo *client.Client) (client.StepUpStatus, error) {
				if err := a.giveCode(ctx, kizo); err != nil {
					return client.StepUpStatus{}, err
				}
				return kizo.StepUpStatus(ctx)
			})
		},
	}
	opts.output.addTo(cmd, a, client.StepUpStatus{}, stepUpColumns...)
	a.addStepUpFlag(cmd)
	return cmd
}

func newStepUpSetCommand(a *app) *cobra.Command {
	opts := &stepUpOptions{app: a}
	cmd := &cobra.Command{
		Use:   "set AMOUNT",
		Short: "Be asked before each transfer above an amount",
		Long: `Be asked before each transfer above an amount, in the currency of the amount. It holds at once, in all your
sessions. With 0, you are asked before each transfer. Without an amount for a currency, its transfers are not asked
for, as before. To set a higher amount needs a code itself.

It is the amount of one transfer: what leaves a wallet in a day is limited by kizo limits set.`,
		Example: `  kizo step-up set 500USD
  kizo step-up set 0EUR`,
		Args: takes("AMOUNT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := parseThreshold(args[0])
			if err != nil {
				return err
			}
			return stepUpRun(opts, func(kizo *client.Client) (client.StepUpStatus, error) {
				return kizo.SetStepUpThreshold(cmd.Context(), string(amount.Currency), amount.Minor)
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	opts.output.addTo(cmd, a, client.StepUpStatus{}, stepUpColumns...)
	a.addStepUpFlag(cmd)
	return cmd
}

// parseThreshold is parseLimit, and accepts 0.
func parseThreshold(text string) (money.Amount, error) {
	number, code := splitCurrency(text)
	if strings.Trim(number, "0.") == "" && strings.Contains(number, "0") && code != "" {
		currency, err := parseCurrency(code)
		return money.Amount{Currency: currency}, err
	}
	return parseLimit("the amount", text)
}

func newStepUpRemoveCommand(a *app) *cobra.Command {
	opts := &stepUpOptions{app: a}
	cmd := &cobra.Command{
		Use:     "remove CURRENCY",
		Short:   "Stop asking for a code before transfers in a currency; this needs a code",
		Example: "  kizo step-up remove USD",
		Args:    takes("CURRENCY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			currency, err := parseCurrency(args[0])
			if err != nil {
				return err
			}
			return stepUpRun(opts, func(kizo *client.Client) (client.StepUpStatus, error) {
				return kizo.RemoveStepUpThreshold(cmd.Context(), string(currency))
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	opts.output.addTo(cmd, a, client.StepUpStatus{}, stepUpColumns...)
	a.addStepUpFlag(cmd)
	return cmd
}
