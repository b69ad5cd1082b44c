package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/money"
)

// payReport is what kizo pay prints: the rows of a run by state.
type payReport struct {
	Run      string     `json:"run"`
	File     string     `json:"file"`
	Results  string     `json:"results"`
	DryRun   bool       `json:"dry_run"`
	Rows     int        `json:"rows"`
	Payees   int        `json:"payees"`   // different ones, of rows to pay
	Repeated int        `json:"repeated"` // rows that pay the same as an earlier one
	Posted   int        `json:"posted"`
	Replayed int        `json:"replayed"` // rows that had been paid or refused before they were sent
	Refused  int        `json:"refused"`
	Failed   int        `json:"failed"`
	Unknown  int        `json:"unknown"`
	Unsent   int        `json:"unsent"`
	Totals   []payTotal `json:"totals"`
	Started  time.Time  `json:"started_at"`
}

// payTotal is the part of a run in one currency. Amounts are minor units.
type payTotal struct {
	Currency  string `json:"currency"`
	Posted    int64  `json:"posted"`
	ToPay     int64  `json:"to_pay"` // when the rows were checked
	Available int64  `json:"available"`
	LimitLeft *int64 `json:"limit_left,omitempty"` // of the limits of the user and of the API key today; absent without one
}

// report returns the state of the run.
func (p *payer) report() payReport {
	counts := p.results.snapshot()
	r := newPayReport(&p.record, &counts)
	r.DryRun, r.Rows, r.Payees, r.Repeated = p.opts.dryRun, p.plan.rows, p.plan.payees, p.plan.repeated
	r.Unsent = max(p.plan.rows+p.plan.gone-counts.all(), 0)
	r.Totals = []payTotal{}
	for _, c := range money.Currencies() {
		code := string(c)
		_, planned := p.plan.sum[code]
		_, posted := counts.amounts[code]
		if planned || posted {
			total := payTotal{Currency: code, Posted: counts.amounts[code], ToPay: p.plan.sum[code], Available: p.plan.free[code]}
			if left, limited := p.plan.left[code]; limited {
				total.LimitLeft = &left
			}
			r.Totals = append(r.Totals, total)
		}
	}
	return r
}

func newPayReport(record *payRecord, counts *payCounts) payReport {
	r := payReport{
		Run: record.Run, File: record.File, Results: record.Results, Rows: record.Rows, Started: record.StartedAt,
		Posted: counts.posted, Replayed: counts.replayed, Refused: counts.refused, Failed: counts.failed, Unknown: counts.unknown,
		Unsent: max(record.Rows-counts.all(), 0), Totals: []payTotal{},
	}
	for _, c := range money.Currencies() {
		if sum, ok := counts.amounts[string(c)]; ok {
			r.Totals = append(r.Totals, payTotal{Currency: string(c), Posted: sum})
		}
	}
	return r
}

var payReportColumns = []column{
	{title: "RUN", id: true}, {title: "ROWS"}, {title: "POSTED"}, {title: "REFUSED"}, {title: "FAILED"}, {title: "UNKNOWN"}, {title: "UNSENT"},
	{title: "PAID"}, {title: "TO PAY"}, {title: "AVAILABLE"}, {title: "PAYEES"}, {title: "REPEATED"}, {title: "RESULTS"}, {title: "LIMIT LEFT"},
}

// printPayReport prints a report. A count of 0 is left out for people.
func (a *app) printPayReport(flags outputFlags, r payReport) error {
	posted, toPay, available, left := make(map[string]int64), make(map[string]int64), make(map[string]int64), make(map[string]int64)
	for _, t := range r.Totals {
		if t.Posted > 0 {
			posted[t.Currency] = t.Posted
		}
		if r.DryRun && t.ToPay > 0 {
			toPay[t.Currency], available[t.Currency] = t.ToPay, t.Available
			if t.LimitLeft != nil {
				left[t.Currency] = *t.LimitLeft
			}
		}
	}
	number := func(n int) string {
		switch {
		case n == 0 && a.human():
			return ""
		case a.human():
			return grouped(n)
		}
		return fmt.Sprint(n)
	}
	results := r.Results
	if r.DryRun && r.Posted+r.Refused == 0 {
		results = ""
	}
	return a.printOne(flags, r, payReportColumns, []string{
		r.Run, number(r.Rows), number(r.Posted), number(r.Refused), number(r.Failed), number(r.Unknown), number(r.Unsent),
		amounts(posted), amounts(toPay), amounts(available), number(r.Payees), number(r.Repeated), results, amounts(left),
	})
}

func newPayStatusCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:   "status RUN",
		Short: "Show the state of a run",
		Example: `  kizo pay status 2026-11
  kizo pay status 2026-11 --json=rows,posted,refused`,
		Args: takes("RUN"),
		RunE: func(_ *cobra.Command, args []string) error {
			record, err := a.findPayRun(args[0])
			if err != nil {
				return err
			}
			return a.printPayStatus(output, record)
		},
	}
	output.addTo(cmd, a, payReport{}, payReportColumns...)
	return cmd
}

func newPayListCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the runs",
		Example: `  kizo pay list`,
		Args:    takes(""),
		RunE:    func(*cobra.Command, []string) error { return a.listPayRuns(output) },
	}
	output.addTo(cmd, a, payReport{}, payRunColumns...)
	return cmd
}

func newPayRefusedCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:     "refused RUN",
		Short:   "List the rows of a run that were not paid, and why",
		Example: `  kizo pay refused 2026-11 -o csv`,
		Args:    takes("RUN"),
		RunE: func(_ *cobra.Command, args []string) error {
			record, err := a.findPayRun(args[0])
			if err != nil {
				return err
			}
			return a.listRefusedRows(output, record)
		},
	}
	output.addTo(cmd, a, payResult{}, refusedRowColumns...)
	return cmd
}

// eachResult calls each for every result of a run.
func eachResult(record *payRecord, each func(*payResult)) error {
	file, err := openResultsFile(record.Results, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = readPayResults(file, formatOfResults(record.Results), each)
	return err
}

func (a *app) printPayStatus(flags outputFlags, record *payRecord) error {
	var counts payCounts
	if err := eachResult(record, func(r *payResult) { counts.add(r) }); err != nil {
		return err
	}
	return a.printPayReport(flags, newPayReport(record, &counts))
}

// printFinished shows a run that has nothing left to send. The error is that of its last command.
func (a *app) printFinished(flags outputFlags, record *payRecord) error {
	refused := 0
	err := eachResult(record, func(r *payResult) {
		if r.State != rowPosted {
			refused++
		}
	})
	if err == nil {
		err = a.printPayStatus(flags, record)
	}
	if err == nil && refused > 0 {
		err = notPaid(record, refused)
	}
	return err
}

var payRunColumns = []column{
	{title: "RUN", id: true}, {title: "STARTED"}, {title: "STATE"}, {title: "ROWS", right: true}, {title: "POSTED", right: true},
	{title: "NOT PAID", right: true}, {title: "FILE", cut: true, drop: 1, free: true},
}

func (a *app) listPayRuns(flags outputFlags) error {
	records, err := a.payRuns()
	if err != nil {
		return err
	}
	reports := []payReport{}
	var rows [][]string
	for i := range records {
		var counts payCounts
		if err := eachResult(&records[i], func(r *payResult) { counts.add(r) }); err != nil {
			return err
		}
		r := newPayReport(&records[i], &counts)
		reports = append(reports, r)
		state := "finished"
		if records[i].FinishedAt == nil {
			state = "unfinished"
		}
		rows = append(rows, []string{r.Run, a.when(r.Started), state, fmt.Sprint(r.Rows), fmt.Sprint(r.Posted), fmt.Sprint(r.Refused + r.Failed), r.File})
	}
	return a.printList(flags, reports, payRunColumns, rows)
}

var refusedRowColumns = []column{
	{title: "ROW", right: true}, {title: "ID", id: true, free: true}, {title: "STATE"}, {title: "TO"}, {title: "AMOUNT", right: true},
	{title: "CODE", drop: 1}, {title: "WHY", cut: true},
}

func (a *app) listRefusedRows(flags outputFlags, record *payRecord) error {
	refused := []payResult{}
	var rows [][]string
	err := eachResult(record, func(r *payResult) {
		if r.State == rowPosted {
			return
		}
		refused = append(refused, *r)
		rows = append(rows, []string{fmt.Sprint(r.Row), r.ID, r.State, r.To, amountOf(r.Amount, r.Currency), r.Code, r.Detail})
	})
	if err != nil {
		return err
	}
	return a.printList(flags, refused, refusedRowColumns, rows)
}
