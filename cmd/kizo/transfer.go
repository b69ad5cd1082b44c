package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

type transferOptions struct {
	app       *app
	output    outputFlags
	amount    amountOptions
	key       keyOptions
	to        string
	memo      string
	tags      tagsFlag
	expires   string
	dryRun    bool
	authorize bool
	yes       bool // pay an e-mail address without confirmation
}

// transferSample has the fields of a transfer and of the output of --dry-run.
type transferSample struct {
	client.Transfer
	Fee            int64 `json:"fee"`
	BalanceAfter   int64 `json:"balance_after"`
	AvailableAfter int64 `json:"available_after"`
}

func newTransferCommand(a *app) *cobra.Command {
	opts := &transferOptions{app: a}
	cmd := &cobra.Command{
		Use:   "transfer TO AMOUNT [CURRENCY]",
		Short: "Send money to another user",
		Long: `Send money to another user: a @handle, an e-mail address, a wallet id, or a name of kizo payees.

The money arrives at once. With --authorize it is only held until the receiver captures or voids it, or
it expires.

The command is recorded before it is sent, so that nothing is lost or sent twice if this computer
stops: see kizo pending and kizo retry. A script that may run twice passes its own --idempotency-key,
and then also a fixed time for --expires, since a key belongs to exactly one transfer.`,
		Example: `  kizo transfer @bob 12.50 -m lunch
  kizo transfer bob@example.com 12.50 EUR
  kizo transfer @bob 12.50 --dry-run
  kizo transfer @hotel 300 --authorize --expires 48h
  kizo transfer @bob 12.50 --idempotency-key invoice-17`,
		Args: takes("TO AMOUNT [CURRENCY]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.to, opts.amount.words = args[0], args[1:]
			key, err := opts.key.use(cmd)
			if err != nil {
				return err
			}
			return transferRun(cmd.Context(), opts, key)
		},
	}
	opts.output.addTo(cmd, a, transferSample{}, transferDetails...)
	opts.amount.addTo(cmd)
	opts.key.addTo(cmd)
	opts.tags.addTo(cmd)
	a.addStepUpFlag(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&opts.memo, "memo", "m", "", "a note that both of you see")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "show what would happen, and send nothing")
	flags.BoolVar(&opts.yes, "yes", false, "do not ask for confirmation of an e-mail address")
	flags.BoolVar(&opts.authorize, "authorize", false, "hold the amount until the receiver captures it")
	flags.StringVar(&opts.expires, "expires", "", "when an authorization expires: RFC 3339, or a time from now such as 48h or 7d")
	return cmd
}

func transferRun(ctx context.Context, opts *transferOptions, key string) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	body := client.TransferCreate{}
	if body.To, err = a.resolvePayee(ctx, kizo, opts.to); err != nil {
		return err
	}
	if body.Tags, err = opts.tags.tags(); err != nil {
		return err
	}
	if opts.expires != "" {
		if dateAlone.MatchString(opts.expires) {
			if err := a.checkZone(); err != nil {
				return err
			}
		}
		at, err := parseExpiry(opts.expires, a.now())
		if err != nil {
			return err
		}
		body.ExpiresAt = &at
	}
	amount, err := opts.amount.parse(ctx, a, kizo)
	if err != nil {
		return err
	}
	body.Amount, body.Currency = amount.Minor, string(amount.Currency)
	if opts.memo != "" {
		body.Memo = &opts.memo
	}
	if opts.authorize {
		body.Authorize = &opts.authorize
	}
	if opts.dryRun {
		preview, err := kizo.Preview(ctx, body)
		if err != nil {
			return a.payeeHint(ctx, kizo, opts.to, body.Currency, err)
		}
		return a.printPreview(opts.output, preview)
	}
	if !opts.yes {
		if err := a.confirmPayee(ctx, kizo, body, amount.String()); err != nil {
			return a.payeeHint(ctx, kizo, opts.to, body.Currency, err)
		}
	}
	command, err := client.NewTransfer(key, body)
	if err != nil {
		return err
	}
	err = a.move(ctx, kizo, command, "transfer "+amount.String()+" to "+a.withAlias(body.To), a.printReceipt(opts.output))
	return a.payeeHint(ctx, kizo, opts.to, body.Currency, err)
}

// confirmPayee shows on a terminal whom an e-mail address belongs to, and asks for confirmation
// before money moves. Scripts know their payees, or check with --dry-run; a handle names the payee
// itself.
func (a *app) confirmPayee(ctx context.Context, kizo *client.Client, body client.TransferCreate, amount string) error {
	if a.io.ReadLine == nil || !a.io.OutTerminal || !strings.Contains(strings.TrimPrefix(body.To, "@"), "@") {
		return nil
	}
	preview, err := kizo.Preview(ctx, body)
	if err != nil {
		return err
	}
	a.io.note("%s is %s.", printable.Text(body.To), printable.Text(partyName(preview.To)))
	answer, err := a.io.ReadLine(ctx, "Send "+amount+"? Type yes: ")
	if err != nil {
		return err
	}
	if saysYes(answer) {
		return nil
	}
	return withHint(usagef("nothing was sent"), "kizo transfer "+partyHandle(preview.To)+" "+amount+" (by handle, without confirmation)")
}

func (a *app) printPreview(flags outputFlags, p client.TransferPreview) error {
	columns := []column{{title: "WOULD SEND"}, {title: "TO"}, {title: "FEE"}, {title: "BALANCE AFTER"}, {title: "AVAILABLE AFTER"}, {title: "NAME", free: true}}
	to := partyHandle(p.To)
	if a.human() {
		to = a.payeeName(p.To)
	}
	return a.printOne(flags, p, columns, []string{
		amountOf(p.Amount, p.Currency), to, amountOf(p.Fee, p.Currency),
		amountOf(p.BalanceAfter, p.Currency), amountOf(p.AvailableAfter, p.Currency), a.nameInPipe(p.To),
	})
}

// parseExpiry parses RFC 3339, a date, or a time from now.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	at, err := parseTime(strings.TrimPrefix(text, "+"), now)
	if err != nil || strings.HasPrefix(text, "-") || strings.HasSuffix(text, " ago") {
		return time.Time{}, usagef("--expires %q is not a time in the future: use for example 48h, 7d or %s",
			text, now.Add(48*time.Hour).UTC().Format(time.RFC3339))
	}
	if strings.Contains(text, "-") { // a date; the rest is a time from now, in the other direction
		return at.UTC(), nil
	}
	return now.Add(now.Sub(at)).UTC().Truncate(time.Second), nil
}

// payeeHint adds suggestions for a mistyped payee. It never replaces the error by another one.
func (a *app) payeeHint(ctx context.Context, kizo *client.Client, to, currency string, err error) error {
	refused, ok := errors.AsType[*client.Error](err)
	if _, unknown := errors.AsType[*client.UnknownOutcomeError](err); !ok || unknown {
		return err
	}
	switch refused.Code {
	case client.WalletNotFound:
		return withHint(err, "kizo wallet open "+currency)
	case client.PayeeWalletMissing:
		return withHint(err, "ask "+to+" to type: kizo wallet open "+currency)
	case client.PayeeNotFound:
		if near := nearestHandle(ctx, kizo, to); near != "" {
			return withHint(err, a.retyped(to, "@"+near))
		}
		if !strings.ContainsAny(to, "@-") {
			return withHint(err, a.retyped(to, "@"+to))
		}
		return withHint(err, "an existing @handle, e-mail address or wallet id in place of "+shellQuote(to))
	}
	return err
}
