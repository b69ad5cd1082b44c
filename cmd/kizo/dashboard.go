package main

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/tui"
	"github.com/JDevAman/kizo/tui/draw"
	"github.com/JDevAman/kizo/tui/theme"
)

type dashboardOptions struct {
	app      *app
	output   outputFlags
	once     bool
	readonly bool
	theme    string
}

func newDashboardCommand(a *app) *cobra.Command {
	opts := &dashboardOptions{app: a}
	cmd := &cobra.Command{
		Use:   "dashboard",
		Short: "Balances, transfers and queues, live",
		Example: `  kizo dashboard
  kizo dashboard --once`,
		Long: `Balances, transfers and queues, live. ? shows the keys, q quits. In a protected context the dashboard
is read-only, unless it is started with --confirm-context NAME.

--once prints them once as plain text, for logs and screen readers; with
--json as one object, for scripts. Neither needs a terminal.`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.once || opts.output.wantsJSON() {
				return dashboardOnce(cmd.Context(), a, opts.output)
			}
			if !a.hasScreen() {
				return withHint(usagef("%s needs a terminal", cmd.CommandPath()), cmd.CommandPath()+" --once")
			}
			return dashboardRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, tui.Snapshot{})
	cmd.Flags().BoolVar(&opts.once, "once", false, "print once, as plain text")
	cmd.Flags().BoolVar(&opts.readonly, "readonly", false, "refuse every change")
	addChoice(cmd, &opts.theme, "theme", "auto", strings.Join(theme.Names(), ", ")+"; NO_COLOR is respected", theme.Names())
	return cmd
}

func dashboardRun(ctx context.Context, opts *dashboardOptions) error {
	a := opts.app
	if err := a.checkZone(); err != nil { // its days and months are local
		return err
	}
	if glyphs := strings.ToLower(a.env("KIZO_GLYPHS")); glyphs != "" && !slices.Contains(draw.Details(), glyphs) {
		return usagef("KIZO_GLYPHS: %q is not %s", glyphs, joinOr(draw.Details()))
	}
	painted, err := theme.FromEnvironment(opts.theme, a.env)
	if err != nil {
		return usage(err)
	}
	found, err := a.credential()
	if err != nil {
		return err
	}
	if found.origin == "" { // without a session, the dashboard asks for a password
		if err := a.confirmServer(ctx); err != nil {
			return err
		}
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	// Money moves as it does in every command, but nothing may be printed over the screen, and its
	// dialogs ask for what a command asks for by prompts.
	quiet := *a
	quiet.io = &streams{In: a.io.In, Out: io.Discard, Err: io.Discard}
	kizo, err := quiet.kizo()
	if err != nil {
		return err
	}
	config, err := a.config()
	if err != nil {
		return err
	}
	own, err := a.dashboardConfig()
	if err != nil {
		return err
	}
	readonly, err := opts.readonlyReason()
	if err != nil {
		return err
	}
	name := ""
	if active, named := a.namedContext(); named {
		name = active.Value
	}
	ctx = trace.Into(ctx, trace.Context{}) // a long session is not one trace
	return tui.Run(ctx, tui.Config{
		Server: kizo, Context: name, Theme: painted, Detail: draw.DetailOf(a.env), Readonly: readonly, Currency: config.Currency.Value, Filters: own.filters,
		Move: func(ctx context.Context, command client.Command, what string) (client.Receipt, error) {
			var shown client.Receipt
			err := quiet.move(ctx, kizo, command, what, func(r client.Receipt) (client.Transfer, error) {
				shown = r // shown on the screen with the next frame
				return r.Transfer, nil
			})
			return shown, err
		},
		Unfinished: func(_ context.Context, me client.User) ([]tui.Unfinished, error) { return quiet.unfinishedOf(kizo, me) },
		Payees:     dashboardPayees{&quiet, kizo},
		ExportDir:  here, Tmux: a.env("TMUX") != "",
		In: os.Stdin, Out: os.Stdout, Now: a.now,
	})
}

// readonlyReason returns why the dashboard must refuse every change; empty if it need not.
func (o *dashboardOptions) readonlyReason() (string, error) {
	if o.readonly {
		return "it was started with --readonly", nil
	}
	protected, err := o.app.isProtected()
	if err != nil || !protected {
		return "", err
	}
	return "the context is protected, start it with --confirm-context " + o.app.loaded.Context.Value, nil
}

// hasScreen reports whether stdin and stdout are a terminal that can position the cursor.
func (a *app) hasScreen() bool {
	return a.io.OutTerminal && a.io.ReadSecrets != nil && a.env("TERM") != "dumb"
}
