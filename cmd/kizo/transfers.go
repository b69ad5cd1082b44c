package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

func newTransfersCommand(a *app) *cobra.Command {
	return newGroup("transfers", "List transfers, and capture, void or reverse them",
		newTransfersListCommand(a), newTransfersShowCommand(a),
		newTransfersCaptureCommand(a), newTransfersVoidCommand(a), newTransfersReverseCommand(a))
}

type transfersShowOptions struct {
	app    *app
	output outputFlags
	id     string
}

func newTransfersShowCommand(a *app) *cobra.Command {
	opts := &transfersShowOptions{app: a}
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one transfer",
		Long:  "Show one transfer.\n\n" + shortIDsHelp + ".\nlast is the newest one, last~1 the one before it.",
		Example: `  kizo transfers show last
  kizo transfers show 6e76b0`,
		Args: takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			opts.id = args[0]
			return transfersShowRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.Transfer{}, transferDetails...)
	opts.output.addWatch(cmd)
	return cmd
}

func transfersShowRun(ctx context.Context, opts *transfersShowOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	id, err := opts.app.showTransfer(ctx, kizo, opts.id)
	if err != nil {
		return err
	}
	transfer, err := kizo.Transfer(ctx, id)
	if err != nil {
		return err
	}
	opts.app.learn(func(k *knowledge) { k.addTransfers([]client.Transfer{transfer}) })
	return opts.app.printTransfer(opts.output, transfer)
}

func parseID(text, list string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return id, withHint(usagef("%q is not an id", text), list)
	}
	return id, nil
}
