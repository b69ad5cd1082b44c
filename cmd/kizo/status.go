package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/tui"
)

type statusOptions struct {
	app    *app
	output outputFlags
	watch  bool
	limit  int
}

func newStatusCommand(a *app) *cobra.Command {
	opts := &statusOptions{app: a}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Balances, transfers and queues as plain lines, once or live",
		Long: `Balances, transfers and queues as plain lines: what the dashboard shows, for screen readers and logs.

With --watch, kizo then writes one line for each change of a transfer and one for the money that is then available,
until Ctrl-C. It never draws a line again. stderr says when the connection is lost, and when it is back; no
change is missed.

With KIZO_ACCESSIBLE=1, kizo and kizo dashboard do this in place of the dashboard.`,
		Example: `  kizo status
  kizo status --watch`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return statusRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, tui.Snapshot{})
	cmd.Flags().BoolVarP(&opts.watch, "watch", "w", false, "go on with one line for each change")
	cmd.Flags().IntVarP(&opts.limit, "limit", "n", 0, "with --watch, exit after this many changes; 0 means no limit")
	return cmd
}

// statusOverlap is the time before the snapshot from which changes are written again.
const statusOverlap = 2 * time.Second

// accessible reports whether the user wants plain lines in place of a screen.
func (a *app) accessible() bool {
	value := a.env("KIZO_ACCESSIBLE")
	return value != "" && value != "0"
}

func statusRun(ctx context.Context, opts *statusOptions) error {
	a := opts.app
	switch {
	case opts.limit < 0 || opts.limit > 0 && !opts.watch:
		return usagef("--limit %d: use 1 or more with --watch", opts.limit)
	case opts.watch && opts.output.format() != "":
		return withHint(usagef("--watch writes plain lines"), "kizo events --json")
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	if !opts.watch {
		return dashboardOnce(ctx, a, opts.output)
	}
	if err := a.checkZone(); err != nil { // its months are local
		return err
	}
	snapshot, err := tui.TakeSnapshot(ctx, kizo, a.now())
	if err != nil {
		return err
	}
	if err := a.write(snapshot.Text()); err != nil {
		return err
	}
	// By the server's clock, and a little before: a change at that time may be in both, and none is
	// missed.
	since := snapshot.Summary.At.Add(-statusOverlap).UTC().Format(time.RFC3339Nano)
	if err := a.write("\nChanges\n"); err != nil {
		return err
	}
	w := &statusWatch{app: a, kizo: kizo, shown: map[client.ID]client.TransferState{}, left: opts.limit}
	for _, t := range snapshot.Recent {
		w.shown[t.Id] = t.State
	}
	f := &follower{opts: &eventsOptions{app: a}, kizo: kizo, since: since, pause: time.Second, sleep: sleep}
	f.each = func(event client.Event) error { return w.write(ctx, event.Transfer) }
	return f.follow(ctx)
}

// statusWatch writes the changes that follow a snapshot.
type statusWatch struct {
	app   *app
	kizo  *client.Client
	shown map[client.ID]client.TransferState // what the snapshot has
	left  int                                // changes to write; 0: no limit
}

func (w *statusWatch) write(ctx context.Context, t *client.Transfer) error {
	if t == nil {
		return nil
	}
	if state, known := w.shown[t.Id]; known && (state == t.State || state != client.Pending) {
		return nil
	}
	if err := w.app.write("  " + tui.TransferLine(*t) + "\n"); err != nil {
		return err
	}
	wallets, err := w.kizo.Wallets(ctx)
	if err != nil {
		wallets = nil // the change is written; the next one asks again
	}
	for _, wallet := range wallets {
		if wallet.Currency != t.Currency {
			continue
		}
		if err := w.app.write("  available " + money.Format(wallet.Available, money.Currency(wallet.Currency)) + "\n"); err != nil {
			return err
		}
	}
	if w.left--; w.left == 0 {
		return errFollowed
	}
	return nil
}
