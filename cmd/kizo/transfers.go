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
	id     uuid.UUID
}

func newTransfersShowCommand(a *app) *cobra.Command {
	opts := &transfersShowOptions{app: a}
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one transfer",
		Args:  takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if opts.id, err = parseID(args[0], "kizo transfers list"); err != nil {
				return err
			}
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
	transfer, err := kizo.Transfer(ctx, opts.id)
	if err != nil {
		return err
	}
	return opts.app.printTransfer(opts.output, transfer)
}

func parseID(text, list string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return id, withHint(usagef("%q is not an id", text), list)
	}
	return id, nil
}
