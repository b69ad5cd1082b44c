package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

type statementOptions struct {
	app           *app
	output        outputFlags
	month, wallet string
}

var (
	statementColumns = []column{
		{title: "AT"}, {title: "KIND", drop: 2}, {title: "CHANGE", right: true}, {title: "BALANCE", right: true},
		{title: "WITH", cut: true, sparse: true}, {title: "MEMO", cut: true, drop: 4, free: true, sparse: true},
		{title: "NAME", sparse: true, drop: 5, free: true}, {title: "ID", id: true, drop: 6, sparse: true},
	}
	totalColumns = []column{{title: "WITH", cut: true}, {title: "COUNT", right: true}, {title: "IN", right: true}, {title: "OUT", right: true}}
)

func newStatementCommand(a *app) *cobra.Command {
	opts := &statementOptions{app: a}
	cmd := &cobra.Command{
		Use:   "statement [MONTH]",
		Short: "Show the statement of a wallet for a month",
		Long: `Show the statement of a wallet for a month, this one by default: the opening balance, each change with the
balance after it, the closing balance, and the totals by payee: the 500 with the largest sums, and the sum of all
others. The months are those of UTC.

The statement of a month that has ended never changes, except that it shows the current names of other users.
The closing balance of a month is the opening balance of the next. The statement of this month says up to when
it has all changes.

tsv and csv have a line for the opening and one for the closing balance; the totals are in the table and in JSON.
csv and tsv are written as they are read, so that a month may have any number of changes.`,
		Example: `  kizo statement
  kizo statement 2026-10 --wallet EUR
  kizo statement 2026-10 -o csv > october.csv
  kizo statement 2026-10 --jq '.totals[] | [.with.handle, .out]'`,
		Args: takes("[MONTH]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				opts.month = args[0]
			}
			return statementRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, client.Statement{}, statementColumns...)
	cmd.Flags().StringVar(&opts.wallet, "wallet", "", "the wallet in this currency; yours if you have one (KIZO_CURRENCY)")
	return cmd
}

func statementRun(ctx context.Context, opts *statementOptions) error {
	a := opts.app
	month, err := a.parseMonth(opts.month)
	if err != nil {
		return err
	}
	var currency money.Currency
	if opts.wallet != "" {
		if currency, err = parseCurrency(opts.wallet); err != nil {
			return err
		}
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	if currency == "" {
		if currency, err = a.defaultWallet(ctx, kizo); err != nil {
			return err
		}
	}
	if !opts.output.wantsJSON() && !a.human() {
		return opts.stream(ctx, kizo, currency, month)
	}
	s, err := readStatement(ctx, kizo, currency, month)
	if err != nil {
		return err
	}
	if opts.output.wantsJSON() {
		return a.printJSON(opts.output, s)
	}
	return a.writeLong(opts.table(s))
}

// parseMonth returns a month in the form of the API. The default is the current one, of UTC.
func (a *app) parseMonth(text string) (string, error) {
	if text == "" {
		return a.now().UTC().Format("2006-01"), nil
	}
	if _, err := time.Parse("2006-01", text); err != nil {
		return "", usagef("%q is not a month: write it as %s", text, a.now().UTC().Format("2006-01"))
	}
	return text, nil
}

// defaultWallet is defaultCurrency for commands with the flag --wallet.
func (a *app) defaultWallet(ctx context.Context, kizo *client.Client) (money.Currency, error) {
	config, err := a.config()
	if err != nil || config.Currency.Value != "" {
		return money.Currency(config.Currency.Value), err
	}
	wallets, err := kizo.Wallets(ctx)
	if err != nil {
		return "", err
	}
	switch len(wallets) {
	case 0:
		return "", withHint(&exitError{exit: exitNotFound, code: string(client.WalletNotFound), err: errors.New("you have no wallet yet")}, "kizo wallet open CURRENCY")
	case 1:
		return money.Currency(wallets[0].Currency), nil
	}
	var lines []string
	for _, w := range wallets {
		lines = append(lines, a.commandLine()+" --wallet "+shellQuote(w.Currency))
	}
	return "", withHint(usagef("you have %d wallets and no default one: choose one with --wallet", len(wallets)),
		append(lines, defaultWalletLines(wallets)...)...)
}

// eachPage reads the pages of a statement, the first one with as many totals, and checks that the
// changes lead from the opening to the closing balance, and that the totals add up.
func eachPage(ctx context.Context, kizo *client.Client, currency money.Currency, month string, totals int32, each func(client.Statement) error) error {
	wrong := func(what string) error {
		return fmt.Errorf("the server's statement of %s does not add up (%s): report this as a bug of kizo", month, what)
	}
	var balance, lines int64
	query := client.StatementQuery{Limit: client.MaxStatementPage, Totals: totals}
	for first := true; first || query.Cursor != ""; first = false {
		page, err := kizo.Statement(ctx, string(currency), month, query)
		if err != nil {
			return err
		}
		if first {
			balance = page.Opening
		}
		if !totalsAddUp(page) {
			return wrong("totals")
		}
		for _, line := range page.Items {
			if balance += line.Change; line.Balance != balance {
				return wrong("change " + strconv.FormatInt(line.Seq, 10))
			}
		}
		lines += int64(len(page.Items))
		query.Cursor, query.Totals = text(page.NextCursor), 0
		if query.Cursor != "" && len(page.Items) == 0 {
			return errors.New("the server returns empty pages again and again")
		}
		if query.Cursor == "" && (lines != page.Count || balance != page.Closing) {
			return wrong("closing balance")
		}
		if err := each(page); err != nil {
			return err
		}
	}
	return nil
}

// readStatement reads a whole statement.
func readStatement(ctx context.Context, kizo *client.Client, currency money.Currency, month string) (s client.Statement, err error) {
	err = eachPage(ctx, kizo, currency, month, client.MaxStatementTotals, func(page client.Statement) error {
		if s.Items == nil {
			s = page
		} else {
			s.Items = append(s.Items, page.Items...)
		}
		s.NextCursor = nil
		return nil
	})
	return s, err
}

// totalsAddUp reports whether the totals of a statement are its count, in and out, as far as they
// are known.
func totalsAddUp(s client.Statement) bool {
	if s.Totals == nil {
		return true
	}
	totals := *s.Totals
	if s.Others != nil {
		totals = append(slices.Clone(totals), *s.Others)
	}
	count, in, out := int64(0), int64(0), int64(0)
	known := s.In != nil && s.Out != nil
	for _, t := range totals {
		count += t.Count
		if t.In == nil || t.Out == nil {
			known = false
			continue
		}
		in, out = in+*t.In, out+*t.Out
	}
	return count == s.Count && (!known || in == *s.In && out == *s.Out)
}

// stream prints the lines as they are read.
func (o *statementOptions) stream(ctx context.Context, kizo *client.Client, currency money.Currency, month string) error {
	flags, first := o.output, true
	return eachPage(ctx, kizo, currency, month, 0, func(page client.Statement) error {
		var rows [][]string
		ids := flags.format() == formatID
		if first && !ids {
			rows = append(rows, o.app.edgeRow("opening", page.Since, page.Opening, page.Currency))
		}
		for _, line := range page.Items {
			rows = append(rows, o.app.lineRow(line, page.Currency))
		}
		if page.NextCursor == nil && !ids {
			rows = append(rows, o.app.edgeRow("closing", page.AsOf, page.Closing, page.Currency))
		}
		if !first {
			flags.header = "no"
		}
		first = false
		return o.app.printRows(flags, statementColumns, rows)
	})
}

func (a *app) lineRow(line client.StatementLine, currency string) []string {
	with := partyName(line.With)
	if !a.human() {
		with = partyHandle(line.With)
	}
	return []string{
		a.statementTime(line.At), string(line.Kind), amountOf(line.Change, currency), amountOf(line.Balance, currency),
		with, text(line.Memo), a.nameInPipe(line.With), line.TransferId.String(),
	}
}

// edgeRow is the line of the opening or the closing balance.
func (a *app) edgeRow(kind string, at time.Time, balance int64, currency string) []string {
	return []string{a.statementTime(at), kind, "", amountOf(balance, currency), "", "", "", ""}
}

// statementTime is the time itself, not its age: a statement is for later.
func (a *app) statementTime(at time.Time) string {
	if a.human() {
		return at.UTC().Format(time.DateTime)
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// table formats the statement for a terminal.
func (o *statementOptions) table(s client.Statement) string {
	a := o.app
	rows := [][]string{a.edgeRow("opening", s.Since, s.Opening, s.Currency)}
	for _, line := range s.Items {
		rows = append(rows, a.lineRow(line, s.Currency))
	}
	rows = append(rows, a.edgeRow("closing", s.AsOf, s.Closing, s.Currency))
	style := tableStyle{width: a.width(), header: o.output.wantsHeader(formatTable), colors: a.colors()}
	title := fmt.Sprintf("%s wallet, %s (UTC)", printable.Text(s.Currency), s.Since.UTC().Format("January 2006"))
	if !s.Complete {
		title += ", so far: up to " + s.AsOf.UTC().Format(time.DateTime)
	}
	out := title + "\n\n" + table(statementColumns, rows, style)
	if s.Totals == nil {
		return out + "\nThe month has too many changes for totals by payee.\n"
	}
	if len(*s.Totals) == 0 {
		return out
	}
	return out + "\n" + table(totalColumns, totalRows(s), style)
}

// totalRows formats the totals by payee.
func totalRows(s client.Statement) (rows [][]string) {
	part := func(minor *int64) string {
		if minor == nil {
			return "not known exactly"
		}
		return amountOf(*minor, s.Currency)
	}
	add := func(with string, count int64, in, out *int64) {
		rows = append(rows, []string{with, strconv.FormatInt(count, 10), part(in), part(out)})
	}
	for _, t := range *s.Totals {
		var with client.Party
		if t.With != nil {
			with = *t.With
		}
		add(partyName(with), t.Count, t.In, t.Out)
	}
	if t := s.Others; t != nil {
		add(fmt.Sprintf("%d others", t.Parties), t.Count, t.In, t.Out)
	}
	if len(rows) > 1 {
		add("all", s.Count, s.In, s.Out)
	}
	return rows
}
