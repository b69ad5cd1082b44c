package main

import (
	"context"

	"github.com/spf13/cobra"
)

type logoutOptions struct {
	app    *app
	output outputFlags
}

// loggedOut is the output of --json: the API's answer has no body.
type loggedOut struct {
	Server string `json:"server"`
}

func newLogoutCommand(a *app) *cobra.Command {
	opts := &logoutOptions{app: a}
	cmd := &cobra.Command{
		Use:     "logout",
		Short:   "End this session",
		Example: `  kizo logout`,
		Long:    "End this session, on the server and here. Its access token stops working at once.",
		Args:    takes(""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return logoutRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, loggedOut{}, column{title: "SERVER"})
	return cmd
}

func logoutRun(ctx context.Context, opts *logoutOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	known := opts.app.knowledgePath() // which the session names
	if err := kizo.LogOut(ctx); err != nil {
		return err
	}
	forgetKnowledge(known)
	return opts.app.printDone(opts.output, loggedOut{kizo.Server()}, []string{kizo.Server()}, func() {
		opts.app.io.note("Logged out of %s.", kizo.Server())
	})
}
