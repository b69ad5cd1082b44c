package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

func newProfileCommand(a *app) *cobra.Command {
	return newGroup("profile", "What others see of you", newProfileSetCommand(a))
}

type profileSetOptions struct {
	app      *app
	output   outputFlags
	name     string
	findable bool
	update   client.UserUpdate
}

func newProfileSetCommand(a *app) *cobra.Command {
	opts := &profileSetOptions{app: a}
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Change your name, or whether others find you by your e-mail address",
		Long: `Change your name, or whether others find you by your e-mail address.

Others can pay you by your e-mail address once it is verified, unless you say
--findable-by-email=false. They can always pay you by your handle.`,
		Example: `  kizo profile set --name "Ada King"
  kizo profile set --findable-by-email=false`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags := cmd.Flags()
			if flags.Changed("name") {
				opts.update.Name = &opts.name
			}
			if flags.Changed("findable-by-email") {
				opts.update.FindableByEmail = &opts.findable
			}
			if opts.update == (client.UserUpdate{}) {
				return withHint(usagef("nothing to change: use --name or --findable-by-email"), "kizo profile set --help")
			}
			return profileSetRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.User{}, userColumns...)
	cmd.Flags().StringVar(&opts.name, "name", "", "the name that others see")
	cmd.Flags().BoolVar(&opts.findable, "findable-by-email", true, "whether others find you by your verified e-mail address")
	return cmd
}

func profileSetRun(ctx context.Context, opts *profileSetOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	user, err := kizo.UpdateProfile(ctx, opts.update)
	if err != nil {
		return err
	}
	return opts.app.printUser(opts.output, user)
}
