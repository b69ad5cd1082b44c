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
	if err := opts.app.printOne(opts.output, me, whoamiColumns, append(opts.app.userRow(user), me.Context, me.Server, yesNo(user.EmailVerified), yesNo(user.Frozen != nil && *user.Frozen))); err != nil || !opts.app.human() {
		return err
	}
	if !user.EmailVerified {
		opts.app.io.note("Your e-mail address is not verified: kizo email verify")
	}
	if user.Frozen != nil && *user.Frozen {
		opts.app.io.note("Your account is frozen: no money moves. Ask an operator of the server to lift that.")
	}
	return nil
}

var userColumns = []column{{title: "HANDLE"}, {title: "NAME", free: true}, {title: "EMAIL", free: true}, {title: "ID", id: true}, {title: "ROLE"}, {title: "SINCE"}}

var whoamiColumns = slices.Concat(userColumns, []column{{title: "CONTEXT"}, {title: "SERVER"}, {title: "EMAIL VERIFIED"}, {title: "FROZEN"}})

func (a *app) userRow(u client.User) []string {
	return []string{"@" + u.Handle, u.Name, u.Email, u.Id.String(), string(u.Role), a.when(u.CreatedAt)}
}

func (a *app) printUser(flags outputFlags, u client.User) error {
	return a.printOne(flags, u, userColumns, a.userRow(u))
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
