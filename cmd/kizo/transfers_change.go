package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

// changeOptions are those of capture, void and reverse.
type changeOptions struct {
	app      *app
	output   outputFlags
	key      keyOptions
	transfer string // as the user named it
	id       uuid.UUID
	amount   amountOptions // empty: the whole amount

	verb  string
	build func(key string, id uuid.UUID, part *int64) (client.Command, error)
}

func newTransfersCaptureCommand(a *app) *cobra.Command {
	return newChangeCommand(a, "ID [AMOUNT]", &changeOptions{verb: "capture", build: client.NewCapture}, &cobra.Command{
		Short: "Capture an authorization, wholly or in part",
		Long:  "Capture an amount that another user authorized for you, wholly or in part. The rest is released.",
		Example: `  kizo transfers capture 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d
  kizo transfers capture 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d 120.50`,
	})
}

func newTransfersVoidCommand(a *app) *cobra.Command {
	return newChangeCommand(a, "ID", &changeOptions{verb: "void", build: buildVoid}, &cobra.Command{
		Short: "Void an authorization",
		Example: `  kizo transfers void 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d
  kizo transfers void 6e76b0`,
		Long: `Void an amount that another user authorized for you: it is released.

You cannot void your own authorization: its receiver may rely on it. The receiver can void it, and if
it is not captured, the hold ends when it expires: kizo transfers show ID.`,
	})
}

func buildVoid(key string, id uuid.UUID, _ *int64) (client.Command, error) {
	return client.NewVoid(key, id)
}

func newTransfersReverseCommand(a *app) *cobra.Command {
	return newChangeCommand(a, "ID [AMOUNT]", &changeOptions{verb: "reverse", build: client.NewReverse}, &cobra.Command{
		Short: "Send a received transfer back, wholly or in part",
		Example: `  kizo transfers reverse 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d
  kizo transfers reverse 6e76b0 4.50`,
		Long: "Send a received transfer back, wholly or in part, as a new transfer. The output is the new transfer.",
	})
}

func newChangeCommand(a *app, args string, opts *changeOptions, cmd *cobra.Command) *cobra.Command {
	opts.app = a
	cmd.Use = opts.verb + " " + args
	cmd.Args = takes(args)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		opts.transfer = args[0]
		opts.amount.words = args[1:]
		key, err := opts.key.use(cmd)
		if err != nil {
			return err
		}
		return changeRun(cmd.Context(), opts, key)
	}
	opts.output.addTo(cmd, a, client.Transfer{}, transferDetails...)
	opts.key.addTo(cmd)
	return cmd
}

func changeRun(ctx context.Context, opts *changeOptions, key string) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	if opts.id, err = a.findTransfer(ctx, kizo, opts.transfer); err != nil {
		return err
	}
	var part *int64
	what := opts.verb + " transfer " + opts.id.String()
	if len(opts.amount.words) > 0 {
		// The amount is in the currency of the transfer, whatever the user's wallets are.
		transfer, err := kizo.Transfer(ctx, opts.id)
		if err != nil {
			return err
		}
		opts.amount.currency = transfer.Currency
		amount, err := opts.amount.parse(ctx, a, kizo)
		if err != nil {
			return err
		}
		part, what = &amount.Minor, opts.verb+" "+amount.String()+" of transfer "+opts.id.String()
	}
	command, err := opts.build(key, opts.id, part)
	if err != nil {
		return err
	}
	return a.move(ctx, kizo, command, what, a.printReceipt(opts.output))
}
