package main

import (
	"cmp"
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
			if err := a.checkTheme(opts.theme); err != nil {
				return err
			}
			if opts.once || opts.output.wantsJSON() {
				return dashboardOnce(cmd.Context(), a, opts.output)
			}
			if !a.hasScreen() {
				return withHint(usagef("%s needs a terminal", cmd.CommandPath()), cmd.CommandPath()+" --once")
			}
			if a.accessible() {
				return statusRun(cmd.Context(), &statusOptions{app: a, watch: true})
			}
			return dashboardRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, tui.Snapshot{})
	cmd.Flags().BoolVar(&opts.once, "once", false, "print once, as plain text")
	cmd.Flags().BoolVar(&opts.readonly, "readonly", false, "refuse every change")
	cmd.Flags().StringVar(&opts.theme, "theme", "", strings.Join(theme.Names(), ", ")+", or a skin of kizo help dashboard-file (default auto); NO_COLOR is respected")
	_ = cmd.RegisterFlagCompletionFunc("theme", a.completeTheme)
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
	own, err := a.dashboardConfig()
	if err != nil {
		return err
	}
	painted, err := theme.FromEnvironment(cmp.Or(opts.theme, own.theme, "auto"), a.env, own.skins...)
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
	environment, err := a.pluginEnvironment(os.Environ())
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
		Custom: own.custom, Environment: func() []string { return slices.Clone(environment) },
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

// checkTheme returns an error if the name on the command line, if there is one, is that of no theme
// and no skin.
func (a *app) checkTheme(name string) error {
	if name == "" {
		return nil
	}
	own, err := a.dashboardConfig()
	if err != nil {
		return err
	}
	names := theme.Names()
	for _, skin := range own.skins {
		names = append(names, skin.Name)
	}
	if slices.Contains(names, name) {
		return nil
	}
	err = usagef("--theme: %q is not %s", name, joinOr(names))
	if near := nearestWord(name, names); near != "" {
		return &misspelled{err, name, near}
	}
	return err
}

// completeTheme completes the names of themes and of the user's skins.
func (a *app) completeTheme(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	names := theme.Names()
	if own, err := a.dashboardConfig(); err == nil {
		for _, skin := range own.skins {
			names = append(names, skin.Name)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) }), cobra.ShellCompDirectiveNoFileComp
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
