package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

type opsReconcileOptions struct {
	app    *app
	output outputFlags
}

func newOpsReconcileCommand(a *app) *cobra.Command {
	opts := &opsReconcileOptions{app: a}
	cmd := &cobra.Command{
		Use:     "reconcile",
		Short:   "Compare the bank's statement with the books now, and list all known discrepancies",
		Example: `  kizo ops reconcile`,
		Args:    takes(""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return opsReconcileRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.Reconciliation{}, discrepancyColumns...)
	return cmd
}

var discrepancyColumns = []column{{title: "FOUND"}, {title: "KIND"}, {title: "STATE", state: true}, {title: "REFERENCE", free: true}, {title: "DETAIL", free: true}} // the detail has amounts: never cut

func opsReconcileRun(ctx context.Context, opts *opsReconcileOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	r, err := kizo.Reconcile(ctx)
	if err != nil {
		return err
	}
	if opts.output.wantsJSON() {
		return a.printJSON(opts.output, r)
	}
	var rows [][]string
	for _, d := range r.Discrepancies {
		state := "open"
		if d.ClosedAt != nil {
			state = "closed"
		}
		rows = append(rows, []string{a.when(d.FoundAt), d.Kind, state, d.ExternalRef, d.Detail})
	}
	a.io.note("%d statement lines read, %d matched, %d open, %d new discrepancies, %d closed.", r.Read, r.Matched, r.Open, r.Found, r.Closed)
	return a.printList(opts.output, r.Discrepancies, discrepancyColumns, rows)
}

type opsAuditOptions struct {
	app         *app
	output      outputFlags
	incremental bool
}

func newOpsAuditCommand(a *app) *cobra.Command {
	opts := &opsAuditOptions{app: a}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Recompute every invariant of the books; exits with 1 if one is violated",
		Long: `Recompute every invariant of the books, and list the rows that violate one.

The server signs an audit in which every invariant holds. With --incremental, it verifies the signature of the last one
and checks what is new since then, which takes seconds where a full audit takes minutes. Only a full audit sees that a
superuser of the database has changed an old row. Without a signed audit, the error is no_signed_audit.`,
		Example: `  kizo ops audit
  kizo ops audit --incremental`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return opsAuditRun(cmd.Context(), opts) },
	}
	cmd.Flags().BoolVar(&opts.incremental, "incremental", false, "check only what is new since the last signed audit")
	opts.output.addTo(cmd, a, client.AuditReport{}, checkColumns...)
	return cmd
}

var checkColumns = []column{{title: "CHECK"}, {title: "ROWS", right: true}, {title: "RESULT", state: true}, {title: "INVARIANT", cut: true}}

func opsAuditRun(ctx context.Context, opts *opsAuditOptions) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	report, err := kizo.Audit(ctx, opts.incremental)
	if err != nil {
		return err
	}
	if opts.output.wantsJSON() {
		err = a.printJSON(opts.output, report)
	} else {
		var rows [][]string
		for _, c := range report.Checks {
			result := "ok"
			if len(c.Broken) > 0 {
				result = "BROKEN: " + strings.Join(c.Broken, ", ")
			}
			rows = append(rows, []string{c.Name, strconv.FormatInt(c.Rows, 10), result, c.Sentence})
		}
		if report.Since != nil {
			a.io.note("What is new since the audit of %s.", report.Since.UTC().Format(time.DateTime+" UTC"))
		}
		err = a.printList(opts.output, report.Checks, checkColumns, rows)
	}
	if err == nil && !report.Ok {
		err = errors.New("an invariant is violated; the rows are named above")
	}
	return err
}

type explainOptions struct {
	app    *app
	output outputFlags
}

func newExplainCommand(a *app) *cobra.Command {
	opts := &explainOptions{app: a}
	cmd := &cobra.Command{
		Use:   "explain TRANSFER",
		Short: "Show the timeline of a transfer, what it waits for, and who acts next",
		Example: `  kizo explain last
  kizo explain 6e76b0`,
		Long: "Show the timeline of a transfer, what it waits for, and who acts next.\n\n" + shortIDsHelp + ".\nlast is the newest one, last~1 the one before it.",
		Args: takes("TRANSFER"),
		RunE: func(cmd *cobra.Command, args []string) error { return explainRun(cmd.Context(), opts, args[0]) },
	}
	opts.output.addTo(cmd, a, client.Timeline{}, timelineColumns...)
	opts.output.addWatch(cmd)
	return cmd
}

func explainRun(ctx context.Context, opts *explainOptions, transfer string) error {
	a := opts.app
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	id, err := a.showTransfer(ctx, kizo, transfer)
	if err != nil {
		return err
	}
	timeline, err := kizo.Explain(ctx, id)
	if err != nil {
		return err
	}
	if opts.output.wantsJSON() {
		return a.printJSON(opts.output, timeline)
	}
	t := timeline.Transfer
	rows := [][]string{{"", fmt.Sprintf("%s of %s, %s", t.Kind, amountOf(t.Amount, t.Currency), t.State)}}
	for _, e := range timeline.Entries {
		rows = append(rows, []string{a.when(e.At), e.Text})
	}
	rows = append(rows, []string{"waits for", timeline.WaitsFor}, []string{"next", timeline.Next})
	if traceID := text(timeline.TraceId); traceID != "" {
		rows = append(rows, []string{"trace", traceID})
	}
	if a.human() {
		opts.app.format = formatWide // the sentences are never cut
	}
	return a.printList(opts.output, nil, timelineColumns, rows)
}

var timelineColumns = []column{{title: "WHEN"}, {title: "WHAT", free: true}}
