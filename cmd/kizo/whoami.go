package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type whoamiOptions struct {
	app    *app
	output outputFlags
}

func newWhoamiCommand(a *app) *cobra.Command {
	opts := &whoamiOptions{app: a}
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show who you are logged in as",
		Args:  takes(""),
		RunE:  func(cmd *cobra.Command, _ []string) error { return whoamiRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.User{}, userColumns...)
	return cmd
}

func whoamiRun(ctx context.Context, opts *whoamiOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	user, err := kizo.Me(ctx)
	if err != nil {
		return err
	}
	return opts.app.printUser(opts.output, user)
}

var userColumns = []column{{title: "HANDLE"}, {title: "NAME", free: true}, {title: "EMAIL", free: true}, {title: "ID", id: true}, {title: "ROLE"}, {title: "SINCE"}}

func (a *app) printUser(flags outputFlags, u client.User) error {
	return a.printOne(flags, u, userColumns, []string{"@" + u.Handle, u.Name, u.Email, u.Id.String(), string(u.Role), a.when(u.CreatedAt)})
}
