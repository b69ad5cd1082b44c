package main

import (
	"cmp"
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

// statement is a whole statement: the API's pages as one, and the totals.
type statement struct {
	client.Statement
	Totals []partyTotal `json:"totals"`
}

// partyTotal is what one other party sent to a wallet and received from it in a month. In and Out
// are minor units, and absent if JSON cannot represent them exactly.
type partyTotal struct {
	With  client.Party `json:"with"`
	Count int64        `json:"count"`
	In    *int64       `json:"in,omitempty"`
	Out   *int64       `json:"out,omitempty"`
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
balance after it, the closing balance, and the totals by payee. The months are those of UTC.

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
	opts.output.addTo(cmd, a, statement{}, statementColumns...)
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

// eachPage reads the pages of a statement, and checks that the changes lead from the opening to the
// closing balance.
func eachPage(ctx context.Context, kizo *client.Client, currency money.Currency, month string, each func(client.Statement) error) error {
	wrong := func(what string) error {
		return fmt.Errorf("the server's statement of %s does not add up (%s): report this as a bug of kizo", month, what)
	}
	var balance, lines int64
	for cursor, first := "", true; first || cursor != ""; first = false {
		page, err := kizo.Statement(ctx, string(currency), month, cursor, client.MaxStatementPage)
		if err != nil {
			return err
		}
		if first {
			balance = page.Opening
		}
		for _, line := range page.Items {
			if balance += line.Change; line.Balance != balance {
				return wrong("change " + strconv.FormatInt(line.Seq, 10))
			}
		}
		lines += int64(len(page.Items))
		if cursor = text(page.NextCursor); cursor != "" && len(page.Items) == 0 {
			return errors.New("the server returns empty pages again and again")
		}
		if cursor == "" && (lines != page.Count || balance != page.Closing) {
			return wrong("closing balance")
		}
		if err := each(page); err != nil {
			return err
		}
	}
	return nil
}

// readStatement reads a whole statement.
func readStatement(ctx context.Context, kizo *client.Client, currency money.Currency, month string) (s statement, err error) {
	totals := map[string]*partyTotal{}
	err = eachPage(ctx, kizo, currency, month, func(page client.Statement) error {
		if s.Items == nil {
			s.Statement = page
		} else {
			s.Items = append(s.Items, page.Items...)
		}
		s.NextCursor = nil
		for _, line := range page.Items {
			addToTotal(totals, line)
		}
		return nil
	})
	s.Totals = sortedTotals(totals)
	return s, err
}

// maxExact is the largest integer up to which JSON numbers are exact.
const maxExact = 1<<53 - 1

func addToTotal(totals map[string]*partyTotal, line client.StatementLine) {
	key := partyHandle(line.With)
	t := totals[key]
	if t == nil {
		t = &partyTotal{With: line.With, In: new(int64), Out: new(int64)}
		totals[key] = t
	}
	t.Count++
	sum, amount := &t.In, line.Change
	if amount < 0 {
		sum, amount = &t.Out, -amount
	}
	if *sum == nil {
		return
	}
	if **sum += amount; **sum > maxExact {
		*sum = nil
	}
}

// sortedTotals returns the totals, those with the largest sums first.
func sortedTotals(totals map[string]*partyTotal) []partyTotal {
	sorted := make([]partyTotal, 0, len(totals))
	for _, t := range totals {
		sorted = append(sorted, *t)
	}
	sum := func(t partyTotal) int64 {
		if t.In == nil || t.Out == nil {
			return maxExact * 2
		}
		return *t.In + *t.Out
	}
	slices.SortFunc(sorted, func(a, b partyTotal) int {
		return cmp.Or(cmp.Compare(sum(b), sum(a)), cmp.Compare(partyHandle(a.With), partyHandle(b.With)))
	})
	return sorted
}

// stream prints the lines as they are read.
func (o *statementOptions) stream(ctx context.Context, kizo *client.Client, currency money.Currency, month string) error {
	flags, first := o.output, true
	return eachPage(ctx, kizo, currency, month, func(page client.Statement) error {
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
func (o *statementOptions) table(s statement) string {
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
	if len(s.Totals) == 0 {
		return out
	}
	part := func(minor *int64) string {
		if minor == nil {
			return "not known exactly"
		}
		return amountOf(*minor, s.Currency)
	}
	rows = nil
	for _, t := range s.Totals {
		rows = append(rows, []string{partyName(t.With), strconv.FormatInt(t.Count, 10), part(t.In), part(t.Out)})
	}
	if len(s.Totals) > 1 {
		rows = append(rows, []string{"all", strconv.FormatInt(s.Count, 10), part(s.In), part(s.Out)})
	}
	return out + "\n" + table(totalColumns, rows, style)
}
