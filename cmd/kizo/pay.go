package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

// The server works on at most so many batches of one user at once, and on so many rows of a batch.
const (
	maxPayConcurrency = 4
	maxBatchRows      = 500
)

type payOptions struct {
	app          *app
	output       outputFlags
	file         string
	piped        bool // the file is stdin or a pipe
	run          string
	results      string
	dryRun       bool
	yes          bool
	allOrNothing bool
	concurrency  int
	maxErrors    int
	outage       time.Duration
}

func newPayCommand(a *app) *cobra.Command {
	opts := &payOptions{app: a}
	cmd := &cobra.Command{
		Use:   "pay --file FILE",
		Short: "Pay the rows of a file",
		Long: `Pay the rows of a CSV or JSON lines file, or of stdin (-). The columns are to,amount,currency,memo,id.

Nothing is paid before every row has been checked. Each row is paid at most once in its run, however
often the command is stopped and typed again. kizo help batch has the details.`,
		Example: `  kizo pay --file payouts.csv --run 2026-11 --dry-run
  kizo pay --file payouts.csv --run 2026-11
  kizo pay status 2026-11
  kizo pay resume 2026-11`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.file == "" {
				return withHint(usagef("kizo pay needs --file"), "kizo pay --file payouts.csv --dry-run", "kizo help batch")
			}
			return payFile(cmd.Context(), opts)
		},
	}
	opts.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&opts.file, "file", "", "the payout file; - reads stdin, and needs --run")
	flags.StringVar(&opts.run, "run", "", "the name of the payout, such as 2026-11 (default: made from the path of the file)")
	flags.StringVar(&opts.results, "results", "", "csv, jsonl or a file: how, or where, the result of each row is written (default: jsonl, beside the file)")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "check every row, show what would be paid, and send nothing")
	flags.BoolVar(&opts.yes, "yes", false, "do not ask for confirmation")
	flags.BoolVar(&opts.allOrNothing, "all-or-nothing", false, "pay all rows or none; at most "+strconv.Itoa(maxBatchRows)+" rows")
	cmd.AddCommand(newPayStatusCommand(a), newPayResumeCommand(a), newPayListCommand(a), newPayRefusedCommand(a))
	return cmd
}

// addFlags adds the flags that kizo pay and kizo pay resume have.
func (o *payOptions) addFlags(cmd *cobra.Command) {
	o.output.addTo(cmd, o.app, payReport{}, payReportColumns...)
	o.app.addStepUpFlag(cmd)
	flags := cmd.Flags()
	flags.IntVar(&o.concurrency, "concurrency", maxPayConcurrency, "batches that are sent at once, 1 to "+strconv.Itoa(maxPayConcurrency))
	flags.IntVar(&o.maxErrors, "max-errors", 100, "stop when more rows than this were not paid; 0 never stops")
	flags.DurationVar(&o.outage, "outage", 2*time.Minute, "how long to try again while the server does not answer")
}

func newPayResumeCommand(a *app) *cobra.Command {
	opts := &payOptions{app: a, yes: true}
	cmd := &cobra.Command{
		Use:     "resume RUN",
		Short:   "Continue a run with the rows that were checked",
		Example: `  kizo pay resume 2026-11`,
		Args:    takes("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return payResume(cmd.Context(), opts, args[0])
		},
	}
	opts.addFlags(cmd)
	return cmd
}

// payFile pays the rows of a file, or continues to.
func payFile(ctx context.Context, opts *payOptions) error {
	a := opts.app
	in, closeInput, err := opts.input()
	if err != nil {
		return err
	}
	defer closeInput()
	if err := opts.check(); err != nil {
		return err
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	who, err := a.who(ctx, kizo)
	if err != nil {
		return err
	}
	p := &payer{opts: opts, app: a, kizo: kizo}
	fresh := payRecord{
		Run: opts.run, Server: kizo.Server(), UserID: who.Id.String(), Handle: who.Handle, File: opts.file,
		Results: opts.results, AllOrNothing: opts.allOrNothing, StartedAt: a.now().UTC(),
	}
	unlock, err := p.open(ctx, fresh)
	if err != nil {
		return err
	}
	defer unlock()
	defer p.close()
	if p.rows, err = p.store.copyRows(ctx, in); err != nil {
		return err
	}
	defer os.Remove(p.rows) // unless it becomes the rows of the run
	return p.checkAndPay(ctx)
}

// input opens the payout file. A pipe counts as stdin: its name says nothing about its content.
func (o *payOptions) input() (in io.Reader, closeInput func(), err error) {
	if o.file == "-" {
		o.piped = true
		return o.app.io.In, func() {}, nil
	}
	file, err := os.Open(o.file)
	if err != nil {
		return nil, nil, usage(err)
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory", o.file)
	}
	if err != nil {
		file.Close()
		return nil, nil, usage(err)
	}
	o.piped = !info.Mode().IsRegular()
	return file, func() { file.Close() }, nil
}

// check checks the flags, and completes those that were left out.
func (o *payOptions) check() error {
	if o.concurrency < 1 || o.concurrency > maxPayConcurrency {
		return usagef("--concurrency must be 1 to %d", maxPayConcurrency)
	}
	if o.maxErrors < 0 || o.outage < 0 {
		return usagef("--max-errors and --outage must not be negative")
	}
	path, err := filepath.Abs(o.file)
	if err != nil {
		return err
	}
	suffix := ".results.jsonl"
	if o.results == "csv" {
		suffix = ".results.csv"
	}
	switch {
	case o.run == "" && o.piped:
		return withHint(usagef("--file %s needs --run: without a name, the same command would pay again", o.file), o.app.commandLine()+" --run 2026-11")
	case o.run == "":
		o.run = defaultPayRun(path)
	default:
		if err := checkPayRun(o.run); err != nil {
			return err
		}
		suffix = "." + o.run + suffix
	}
	switch {
	case o.results != "" && o.results != "csv" && o.results != "jsonl":
		o.results, err = filepath.Abs(o.results)
	case o.piped:
		o.results, err = filepath.Abs("pay" + suffix)
	default:
		o.results = path + suffix
	}
	return err
}

// payResume continues a run with the copy of its rows.
func payResume(ctx context.Context, opts *payOptions, run string) error {
	a := opts.app
	record, err := a.findPayRun(run)
	if err != nil {
		return err
	}
	opts.file, opts.run, opts.results, opts.allOrNothing = record.File, record.Run, record.Results, record.AllOrNothing
	if err := opts.check(); err != nil {
		return err
	}
	if record.FinishedAt != nil {
		return a.printFinished(opts.output, record)
	}
	kizo, err := a.kizoOf(ctx, intent{Server: record.Server, UserID: record.UserID, Handle: record.Handle})
	if err != nil {
		return err
	}
	p := &payer{opts: opts, app: a, kizo: kizo}
	unlock, err := p.open(ctx, *record)
	if err != nil {
		return err
	}
	defer unlock()
	defer p.close()
	p.rows, p.resumed = p.store.rowsPath(), true
	return p.checkAndPay(ctx)
}

// payer works on one run.
type payer struct {
	opts   *payOptions
	app    *app
	kizo   *client.Client
	store  *payStore
	record payRecord
	known  bool // the run was begun before
	hashes payHashes

	rows    string // the path of the copy of the rows
	resumed bool   // the copy is that of the run already
	results *payResults
	plan    payPlan
	sending paySending
}

// open locks the run and reads what is known of it. fresh is its record if it is new.
func (p *payer) open(ctx context.Context, fresh payRecord) (unlock func(), err error) {
	p.record, p.hashes = fresh, newPayHashes()
	if p.store, err = p.app.payStoreOf(fresh.Server, fresh.UserID, fresh.Run); err != nil {
		return nil, err
	}
	if unlock, err = p.store.lock(ctx, fresh.Run); err != nil {
		return nil, err
	}
	if err = p.readState(); err != nil {
		p.close()
		unlock()
		return nil, err
	}
	return unlock, nil
}

// readState reads the record and the results of the run.
func (p *payer) readState() error {
	known, err := p.store.record()
	if err != nil {
		return err
	}
	if known != nil {
		switch {
		case known.AllOrNothing != p.record.AllOrNothing:
			return usagef("the run %s was begun with --all-or-nothing=%t: continue it in the same way", known.Run, known.AllOrNothing)
		case known.Results != p.record.Results:
			return withHint(usagef("the results of the run %s are in %s", known.Run, known.Results), "kizo pay resume "+known.Run)
		}
		known.File = p.record.File
		p.record, p.known = *known, true
	} else if info, err := os.Stat(p.record.Results); err == nil && info.Size() > 0 {
		return withHint(usagef("%s has the results of another run, server or user", p.record.Results),
			"move the file away, or choose another one with --results")
	}
	if p.results, err = readResults(p.record.Results, p.hashes); err != nil {
		return fmt.Errorf("%s: %w", p.record.Results, err)
	}
	return nil
}

// close closes the results.
func (p *payer) close() {
	if p.results != nil && p.results.file != nil {
		_ = p.results.file.Close() // each line is on disk already
	}
}

// checkAndPay checks all rows, asks for confirmation, and pays.
func (p *payer) checkAndPay(ctx context.Context) error {
	before := p.results.counts
	if err := p.checkRows(ctx); err != nil {
		return err
	}
	p.notePlan()
	if p.opts.dryRun {
		return p.app.printPayReport(p.opts.output, p.report())
	}
	if err := p.confirm(ctx); err != nil {
		return err
	}
	if err := p.begin(); err != nil {
		return err
	}
	stopped := p.pay(ctx)
	if err := p.end(); stopped == nil {
		stopped = err
	}
	if before.posted > 0 && p.plan.toPay == 0 && !p.app.json {
		p.app.io.note("All rows were paid before: nothing was sent. Another payout needs another --run.")
	}
	shown := p.app.printPayReport(p.opts.output, p.report())
	if _, lost := errors.AsType[*outputError](shown); lost {
		shown = withHint(shown, "kizo pay status "+shellQuote(p.record.Run))
	}
	return firstError(p.failure(ctx, stopped), shown)
}

// firstError returns the first error that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// confirm asks a user at a terminal before the first payment of a run, and in a protected context
// always.
func (p *payer) confirm(ctx context.Context) error {
	if p.plan.toPay > 0 {
		if err := p.app.confirmMove(ctx, fmt.Sprintf("pay %s to %s", p.plan.sums(), countRows(p.plan.toPay))); err != nil {
			return err
		}
	}
	if p.opts.yes || p.known || p.app.io.ReadLine == nil || !p.app.io.OutTerminal || p.plan.toPay == 0 {
		return nil
	}
	answer, err := p.app.io.ReadLine(ctx, fmt.Sprintf("Pay %s to %s? Type yes: ", p.plan.sums(), countRows(p.plan.toPay)))
	if err != nil {
		return err
	}
	if !saysYes(answer) {
		return usagef("nothing was paid")
	}
	return nil
}

// begin puts the record and the rows of the run on disk, and opens the results.
func (p *payer) begin() error {
	p.record.Rows, p.record.FinishedAt = p.plan.rows+p.plan.gone, nil
	if !p.resumed {
		if err := p.store.keepRows(p.rows); err != nil {
			return err
		}
		p.rows = p.store.rowsPath()
	}
	if err := p.store.save(&p.record); err != nil {
		return err
	}
	if err := p.results.open(); err != nil {
		return withHint(fmt.Errorf("nothing was paid, because the results cannot be written: %w", err), p.app.commandLine()+" --results FILE")
	}
	return nil
}

// end records that the run is finished, if every row has its final result.
func (p *payer) end() error {
	c := p.results.counts
	if c.posted+c.refused < p.record.Rows || c.failed+c.unknown > 0 {
		return nil
	}
	now := p.app.now().UTC()
	p.record.FinishedAt = &now
	if err := p.store.save(&p.record); err != nil {
		return err
	}
	return removeFile(p.store.rowsPath())
}

// countRows writes a number of rows: "1 row", "2,000 rows".
func countRows(n int) string { return plural(n, "row", "rows") }

// grouped writes a number with commas between groups of three digits.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// amounts writes sums by currency: "12.50 USD, 3.00 EUR".
func amounts(sums map[string]int64) string {
	var parts []string
	for _, c := range money.Currencies() {
		if sum, ok := sums[string(c)]; ok {
			parts = append(parts, amountOf(sum, string(c)))
		}
	}
	return strings.Join(parts, ", ")
}
