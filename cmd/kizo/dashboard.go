package main

import (
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/tui"
)

type dashboardOptions struct {
	app  *app
	json jsonFlag
	once bool
}

func newDashboardCommand(a *app) *cobra.Command {
	opts := &dashboardOptions{app: a}
	cmd := &cobra.Command{
		Use:   "dashboard",
		Short: "Balances, transfers and queues, live",
		Long: `Balances, transfers and queues, live.

--once prints them a single time as plain lines, for logs and screen readers; with
--json as one object, for scripts. Neither needs a terminal.`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.once || opts.json.set {
				return dashboardOnce(cmd.Context(), a, opts.json)
			}
			return withHint(usagef("%s needs a terminal", cmd.CommandPath()), cmd.CommandPath()+" --once")
		},
	}
	opts.json.addTo(cmd, a, tui.Snapshot{})
	cmd.Flags().BoolVar(&opts.once, "once", false, "print them once, as plain lines")
	return cmd
}
