package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

type contextRemoveOptions struct {
	app        *app
	output     outputFlags
	name       string
	yes, force bool
}

func newContextRemoveCommand(a *app) *cobra.Command {
	opts := &contextRemoveOptions{app: a}
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a context, its session and its records",
		Long: `Remove a context: end its session, and remove its settings and the records of its payouts. It asks first;
without a terminal, it takes --yes. A context whose commands or payouts are unfinished is kept.

--force removes it even so, and if its server cannot end the session. kizo then forgets commands
that may have moved money.`,
		Example: "  kizo context remove work",
		Args:    takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.name = args[0]
			return contextRemoveRun(cmd.Context(), opts)
		},
		ValidArgsFunction: a.completeContext,
	}
	opts.output.addTo(cmd, a, contextEntry{}, contextColumns...)
	cmd.Flags().BoolVar(&opts.yes, "yes", false, "do not ask for confirmation")
	cmd.Flags().BoolVar(&opts.force, "force", false, "remove it although something is unfinished")
	return cmd
}

func contextRemoveRun(ctx context.Context, opts *contextRemoveOptions) error {
	a := opts.app
	if opts.name == defaultContext {
		return withHint(usagef("the context default always exists"), "kizo logout --context default")
	}
	if _, err := a.readContext(opts.name); err != nil {
		return err
	}
	active, err := a.chosenContext()
	if err != nil {
		return err
	}
	entry, err := a.contextEntry(opts.name, active.Value)
	if err != nil {
		return err
	}
	gone := a.inContext(opts.name)
	if !opts.force {
		if err := gone.checkNothingUnfinished(opts.name); err != nil {
			return err
		}
	}
	if err := a.confirmRemove(ctx, opts); err != nil {
		return err
	}
	if err := gone.endSession(ctx, opts.force); err != nil {
		return withHint(fmt.Errorf("the context was kept, because its session could not be ended: %w", err), a.commandLine()+" --force")
	}
	state, err := gone.stateDir()
	if err != nil {
		return err
	}
	if err := a.replaceActive(opts.name, ""); err != nil {
		return err
	}
	if err := removeFile(a.contextPath(opts.name)); err != nil {
		return err
	}
	if err := os.RemoveAll(state); err != nil {
		return err
	}
	return a.printDone(opts.output, entry, entry.row(), func() {
		a.io.note("Removed the context %s.", opts.name)
		if entry.Active {
			a.io.note("The context default is used from now on.")
		}
	})
}

// checkNothingUnfinished refuses to forget commands that may have moved money.
func (a *app) checkNothingUnfinished(name string) error {
	open, err := a.openIntents()
	if err != nil {
		return err
	}
	if len(open) > 0 {
		return withHint(usagef("the context %s has %s whose outcome is unknown", name, plural(len(open), "command", "commands")),
			"kizo retry --context "+name, "kizo pending --context "+name)
	}
	runs, err := a.payRuns()
	if err != nil {
		return err
	}
	for i := range runs {
		if runs[i].FinishedAt == nil {
			return withHint(usagef("the context %s has the unfinished payout %s", name, runs[i].Run), "kizo pay resume "+runs[i].Run+" --context "+name)
		}
	}
	return nil
}

func (a *app) confirmRemove(ctx context.Context, opts *contextRemoveOptions) error {
	if opts.yes {
		return nil
	}
	if a.io.ReadLine != nil {
		answer, err := a.io.ReadLine(ctx, "Remove the context "+opts.name+", its session and its records? Type yes: ")
		if err != nil {
			return err
		}
		if saysYes(answer) {
			return nil
		}
	}
	return withHint(usagef("nothing was removed"), a.commandLine()+" --yes")
}

// endSession ends the session of the active context, if it has one. With force, it forgets a
// session that the server does not end.
func (a *app) endSession(ctx context.Context, force bool) error {
	config, err := a.config()
	if err != nil {
		return err
	}
	stored, err := a.sessions(config.Server.Value)
	if err != nil {
		return err
	}
	held, err := stored.Load(ctx)
	if err != nil && !force {
		return err
	}
	if err == nil && held.AccessToken != "" {
		kizo, err := a.kizoInSession(config.Server.Value)
		if err == nil {
			err = kizo.LogOut(ctx)
		}
		if err == nil || !force {
			return err
		}
	}
	if err := stored.Clear(ctx); err != nil && !force {
		return err
	}
	return nil
}
