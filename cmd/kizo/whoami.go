package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type whoamiOptions struct {
	app  *app
	json jsonFlag
}

func newWhoamiCommand(a *app) *cobra.Command {
	opts := &whoamiOptions{app: a}
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show who you are logged in as",
		Args:  takes(""),
		RunE:  func(cmd *cobra.Command, _ []string) error { return whoamiRun(cmd.Context(), opts) },
	}
	opts.json.addTo(cmd, a, client.User{})
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
	return opts.app.printUser(opts.json, user)
}

func (a *app) printUser(flag jsonFlag, u client.User) error {
	columns := []column{{title: "HANDLE"}, {title: "NAME", free: true}, {title: "EMAIL", free: true}, {title: "ID"}, {title: "ROLE"}, {title: "SINCE"}}
	return a.printOne(flag, u, columns, []string{"@" + u.Handle, u.Name, u.Email, u.Id.String(), string(u.Role), a.when(u.CreatedAt)})
}
