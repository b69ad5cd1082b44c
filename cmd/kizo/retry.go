package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

type retryOptions struct {
	app    *app
	output outputFlags
	wait   waitFlag
	key    string // empty: all
}

func newRetryCommand(a *app) *cobra.Command {
	opts := &retryOptions{app: a}
	cmd := &cobra.Command{
		Use:   "retry [KEY]",
		Short: "Finish what kizo pending lists",
		Example: `  kizo retry
  kizo retry 0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d`,
		Long: `Send what kizo pending lists again, under the same keys: what was done is shown, what was not
is done now. No money moves twice.

Each is sent to the server, and as the user, that it was meant for. With a KEY, the exit code is that of
the command it finishes; without, it is 7 if any outcome is still unknown, else that of the last error.`,
		Args: takes("[KEY]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				opts.key = args[0]
			}
			return retryRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.Transfer{}, transferColumns...)
	opts.wait.addTo(cmd)
	a.addStepUpFlag(cmd)
	return cmd
}

func retryRun(ctx context.Context, opts *retryOptions) error {
	a := opts.app
	open, err := a.openIntents()
	if err != nil {
		return err
	}
	if len(open) > 0 {
		if err := a.confirmMove(ctx, "retry of "+plural(len(open), "command", "commands")); err != nil {
			return err
		}
	}
	if opts.key != "" {
		return retryKey(ctx, opts, open)
	}
	transfers := []client.Transfer{}
	var done []intent // those of transfers
	var worst error
	for _, entry := range distinct(open) {
		transfer, err := retryIntent(ctx, opts, entry)
		if transfer != nil {
			transfers, done = append(transfers, *transfer), append(done, entry)
		}
		if err != nil {
			if worst != nil && !a.json {
				a.io.note("kizo: %s", printable.Text(worst.Error()))
			}
			worst = worse(worst, fmt.Errorf("%s: %w", entry.What, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	var rows [][]string
	for _, t := range transfers {
		rows = append(rows, a.transferRow(t))
	}
	err = a.printList(opts.output, transfers, transferColumns, rows)
	for i, entry := range done {
		err = a.finish(ctx, entry, transfers[i], err)
	}
	if err != nil && worst != nil && !a.json {
		a.io.note("kizo: %s", printable.Text(worst.Error()))
	}
	return cmp.Or(err, worst)
}

// retryKey finishes the intents of one key. The key may have been sent to two servers, or twice.
func retryKey(ctx context.Context, opts *retryOptions, open []intent) error {
	var entries []intent
	for _, entry := range distinct(open) {
		if entry.Command.Key == opts.key {
			entries = append(entries, entry)
		}
	}
	if len(entries) == 0 {
		return noSuchIntent(opts.key)
	}
	var worst error
	for _, entry := range entries {
		transfer, err := retryIntent(ctx, opts, entry)
		if transfer != nil {
			shown := opts.app.printTransfer(opts.output, *transfer)
			if shown = opts.app.finish(ctx, entry, *transfer, shown); shown != nil {
				return shown
			}
		}
		if err != nil {
			worst = worse(worst, err)
		}
	}
	return worst
}

// retryIntent sends an intent again, as its user. The caller must still show its transfer, if there
// is one.
func retryIntent(ctx context.Context, opts *retryOptions, entry intent) (*client.Transfer, error) {
	a := opts.app
	kizo, err := a.kizoOf(ctx, entry)
	if err != nil {
		if own, ok := errors.AsType[*hinted](err); ok { // the error has its own hint
			return nil, withHint(&client.UnknownOutcomeError{Key: entry.Command.Key, Err: err}, own.next...)
		}
		err = &client.UnknownOutcomeError{Key: entry.Command.Key, Err: err}
		return nil, withHint(err, "kizo login "+shellQuote(entry.Handle)+" --server "+shellQuote(entry.Server),
			"kizo retry "+shellQuote(entry.Command.Key))
	}
	entry.Command.Resumed, entry.Command.Wait = true, opts.wait.Duration
	deadline := a.now().Add(opts.wait.Duration)
	receipt, err := a.sendIntent(ctx, kizo, entry)
	if err != nil {
		return nil, err
	}
	transfer := receipt.Transfer
	if transfer.Kind != client.TransferKindDeposit && transfer.Kind != client.TransferKindWithdrawal {
		return &transfer, nil
	}
	if transfer, err = settled(ctx, kizo, transfer, deadline); err != nil {
		return &transfer, err
	}
	if opts.wait.Duration == 0 && transfer.State == client.Pending {
		return &transfer, nil
	}
	return &transfer, ending(transfer)
}

// kizoOf returns the server of an intent, as its user: for another user, the same command would
// move another user's money.
func (a *app) kizoOf(ctx context.Context, entry intent) (*client.Client, error) {
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	found, err := a.credential()
	if err != nil {
		return nil, err
	}
	var kizo *client.Client
	switch {
	case found.origin == "":
		kizo, err = a.kizoInSession(entry.Server)
	case config.Server.Value == entry.Server:
		kizo, err = a.kizo()
	default:
		err = usagef("it was meant for %s, and %s is for %s", entry.Server, found.origin, config.Server.Value)
	}
	if err != nil {
		return nil, err
	}
	who, err := a.who(ctx, kizo)
	if err != nil {
		return nil, err
	}
	if who.Id.String() != entry.UserID {
		return nil, fmt.Errorf("it was sent as @%s, and you are @%s", entry.Handle, who.Handle)
	}
	return kizo, nil
}

// distinct removes repetitions: the same command sent twice has one outcome.
func distinct(open []intent) []intent {
	seen := map[string]bool{}
	var kept []intent
	for _, entry := range open {
		if print := entry.fingerprint(); !seen[print] {
			seen[print] = true
			kept = append(kept, entry)
		}
	}
	return kept
}

// worse chooses the error for the exit code: an interruption, then an unknown outcome, then the
// latest.
func worse(a, b error) error {
	for _, code := range []int{exitInterrupted, exitUnknown} {
		for _, err := range []error{a, b} {
			if err != nil && exitCode(err) == code {
				return err
			}
		}
	}
	return b
}

func noSuchIntent(key string) error {
	return withHint(&exitError{exit: exitNotFound, code: "intent_not_found",
		err: fmt.Errorf("no pending command has the key %s", shellQuote(key))}, "kizo pending", "kizo transfers list")
}
