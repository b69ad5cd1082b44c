package main

import (
	"context"
	"slices"

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
		Example: `  kizo whoami
  kizo whoami --json=handle`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return whoamiRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, whoami{}, whoamiColumns...)
	return cmd
}

// whoami is a user and where it is known.
type whoami struct {
	client.User
	Context string `json:"context"`
	Server  string `json:"server"`
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
	config, err := opts.app.config()
	if err != nil {
		return err
	}
	me := whoami{user, config.Context.Value, kizo.Server()}
	return opts.app.printOne(opts.output, me, whoamiColumns, append(opts.app.userRow(user), me.Context, me.Server))
}

var userColumns = []column{{title: "HANDLE"}, {title: "NAME", free: true}, {title: "EMAIL", free: true}, {title: "ID", id: true}, {title: "ROLE"}, {title: "SINCE"}}

var whoamiColumns = slices.Concat(userColumns, []column{{title: "CONTEXT"}, {title: "SERVER"}})

func (a *app) userRow(u client.User) []string {
	return []string{"@" + u.Handle, u.Name, u.Email, u.Id.String(), string(u.Role), a.when(u.CreatedAt)}
}

func (a *app) printUser(flags outputFlags, u client.User) error {
	return a.printOne(flags, u, userColumns, a.userRow(u))
}
