package main

import (
	"time"

	"github.com/spf13/cobra"
)

type pendingOptions struct {
	app  *app
	json jsonFlag
}

// pendingEntry is an unfinished command as it is printed.
type pendingEntry struct {
	Key    string    `json:"key"`
	At     time.Time `json:"at"`
	What   string    `json:"what"`
	Handle string    `json:"handle"`
	Server string    `json:"server"`
}

func newPendingCommand(a *app) *cobra.Command {
	opts := &pendingOptions{app: a}
	cmd := &cobra.Command{
		Use:   "pending",
		Short: "List what was sent without learning or showing the outcome",
		Long: `List the transfers, deposits and withdrawals that were about to be sent when something came in
between, so that their outcome is not known here, or could not be shown. kizo retry finishes them.

A deposit that waits for its bank is not among them: kizo transfers list --state pending.`,
		Args: takes(""),
		RunE: func(*cobra.Command, []string) error { return pendingRun(opts) },
	}
	opts.json.addTo(cmd, a, pendingEntry{})
	return cmd
}

func pendingRun(opts *pendingOptions) error {
	a := opts.app
	open, err := a.openIntents()
	if err != nil {
		return err
	}
	entries := []pendingEntry{}
	var rows [][]string
	for _, i := range open {
		entries = append(entries, pendingEntry{i.Command.Key, i.At, i.What, i.Handle, i.Server})
		rows = append(rows, []string{i.Command.Key, a.when(i.At), i.What, "@" + i.Handle, i.Server})
	}
	if len(open) == 0 && a.io.OutTerminal && !opts.json.set {
		a.io.note("Nothing is unfinished.")
		return nil
	}
	columns := []column{{title: "KEY"}, {title: "WHEN", drop: 1}, {title: "WHAT"}, {title: "AS", drop: 2}, {title: "SERVER", drop: 3}}
	return a.printList(opts.json, entries, columns, rows)
}
