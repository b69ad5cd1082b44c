package main

import (
	"time"

	"github.com/spf13/cobra"
)

type pendingOptions struct {
	app    *app
	output outputFlags
}

// pendingEntry is an unfinished command as it is printed.
type pendingEntry struct {
	Key    string    `json:"key"`
	At     time.Time `json:"at"`
	What   string    `json:"what"`
	Memo   string    `json:"memo"`
	Handle string    `json:"handle"`
	Server string    `json:"server"`
}

// entryOf returns an intent as it is printed.
func entryOf(i intent) pendingEntry {
	return pendingEntry{i.Command.Key, i.At, i.What, i.memo(), i.Handle, i.Server}
}

func newPendingCommand(a *app) *cobra.Command {
	opts := &pendingOptions{app: a}
	cmd := &cobra.Command{
		Use:     "pending",
		Short:   "List commands whose outcome is unknown or was not shown",
		Example: `  kizo pending`,
		Long: `List the transfers, deposits and withdrawals that were recorded before they were sent and whose
outcome is unknown here or could not be shown. kizo retry finishes them;
kizo pending drop forgets one.

A deposit that waits for its bank is not among them: kizo transfers list --state pending.`,
		Args: noSuchCommand,
		RunE: func(*cobra.Command, []string) error { return pendingRun(opts) },
	}
	opts.output.addTo(cmd, a, pendingEntry{}, pendingColumns...)
	cmd.AddCommand(newPendingDropCommand(a))
	return cmd
}

var pendingColumns = []column{{title: "KEY", id: true}, {title: "WHEN"}, {title: "WHAT"}, {title: "AS", drop: 2}, {title: "SERVER", drop: 3}, {title: "MEMO", cut: true, drop: 1, free: true}}

func pendingRun(opts *pendingOptions) error {
	a := opts.app
	open, err := a.openIntents()
	if err != nil {
		return err
	}
	entries := []pendingEntry{}
	var rows [][]string
	for _, i := range open {
		entries = append(entries, entryOf(i))
		rows = append(rows, a.pendingRow(i))
	}
	if len(open) == 0 && a.human() {
		a.io.note("Nothing is unfinished.")
		return nil
	}
	return a.printList(opts.output, entries, pendingColumns, rows)
}

func (a *app) pendingRow(i intent) []string {
	return []string{i.Command.Key, a.when(i.At), i.What, "@" + i.Handle, i.Server, i.memo()}
}
