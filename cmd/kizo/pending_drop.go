package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/internal/printable"
)

type pendingDropOptions struct {
	app    *app
	output outputFlags
	key    string
	yes    bool
}

func newPendingDropCommand(a *app) *cobra.Command {
	opts := &pendingDropOptions{app: a}
	cmd := &cobra.Command{
		Use:   "drop KEY",
		Short: "Forget a command without resolving its outcome",
		Long: `Forget the command of a key without resolving its outcome. This does not cancel the request: the money may
have moved, or may still move. Check kizo transfers list before you send the same again, since that would use
another key and could pay twice. kizo retry KEY is the safe way to end it.

It asks first; without a terminal, it takes --yes.`,
		Example: `  kizo pending drop 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d`,
		Args:    takes("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.key = args[0]
			return pendingDropRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, pendingEntry{}, pendingColumns...)
	cmd.Flags().BoolVar(&opts.yes, "yes", false, "do not ask for confirmation")
	return cmd
}

func pendingDropRun(ctx context.Context, opts *pendingDropOptions) error {
	a := opts.app
	open, err := a.openIntents()
	if err != nil {
		return err
	}
	var dropped []intent
	for _, i := range open {
		if i.Command.Key == opts.key {
			dropped = append(dropped, i)
		}
	}
	if len(dropped) == 0 {
		return noSuchIntent(opts.key)
	}
	if err := a.confirmDrop(ctx, dropped, opts.yes); err != nil {
		return err
	}
	log, err := a.intents()
	if err != nil {
		return err
	}
	for _, i := range dropped {
		if err := log.End(ctx, intentEnd{ID: i.ID, Outcome: "dropped"}); err != nil {
			return err
		}
	}
	if opts.output.format() == "" {
		return nil // the warning has named them
	}
	entries := []pendingEntry{}
	var rows [][]string
	for _, i := range dropped {
		entries, rows = append(entries, entryOf(i)), append(rows, a.pendingRow(i))
	}
	return a.printList(opts.output, entries, pendingColumns, rows)
}

// confirmDrop warns the user and asks for confirmation.
func (a *app) confirmDrop(ctx context.Context, dropped []intent, yes bool) error {
	if !a.json {
		for _, i := range dropped {
			a.io.note("Warning: %s (%s, as @%s) may have moved money, or may still move it. kizo will not resolve it.",
				printable.Text(i.What), a.when(i.At), printable.Text(i.Handle))
		}
		a.io.note("Before you send it again, check: kizo transfers list")
	}
	if yes {
		return nil
	}
	if a.io.ReadLine != nil {
		answer, err := a.io.ReadLine(ctx, "Drop it? Type yes: ")
		if err != nil {
			return err
		}
		if saysYes(answer) {
			return nil
		}
	}
	return withHint(usagef("nothing was dropped"), "kizo retry "+shellQuote(dropped[0].Command.Key)+" (resolves its outcome)", a.commandLine()+" --yes")
}
