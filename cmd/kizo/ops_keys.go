package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type opsKeysOptions struct {
	app    *app
	output outputFlags
	user   string
}

func newOpsUserKeysCommand(a *app) *cobra.Command {
	opts := &opsKeysOptions{app: a}
	cmd := &cobra.Command{
		Use:     "keys USER",
		Short:   "List the user's API keys, without their secrets",
		Example: `  kizo ops user keys bob`,
		Args:    takes("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.user = args[0]
			return opsKeysRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.APIKey{}, keyColumns...)
	return cmd
}

func opsKeysRun(ctx context.Context, opts *opsKeysOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	keys, err := kizo.APIKeysOf(ctx, opts.user)
	if err != nil {
		return err
	}
	return opts.app.printKeys(opts.output, keys)
}
