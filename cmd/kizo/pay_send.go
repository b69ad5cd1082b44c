package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

// maxBatchBytes keeps the body of a batch below the server's 256 KiB.
const maxBatchBytes = 250 << 10

// maxShownRefusals is how many rows that were not paid are shown. The results have all of them.
const maxShownRefusals = 50

// paySending is the state of sending:
//
//	copy of the rows ─► batches of 500 ─► --concurrency workers ─► results on disk
//	                                        └ no answer: the same rows and keys again
//
// A batch is sent again until the server has answered for each of its rows, or until it has not
// answered anything for --outage.
type paySending struct {
	answered atomic.Int64 // when the server last answered, Unix nanoseconds
	wrong    atomic.Int64 // rows that this process was refused

	stop context.CancelCauseFunc

	mu      sync.Mutex
	refused []payResult // the first maxShownRefusals
}

var errTooManyErrors = errors.New("too many rows were not paid")

// pay sends the rows that have no final result. It returns why it stopped before all were sent.
func (p *payer) pay(ctx context.Context) error {
	if p.plan.toPay == 0 {
		return nil
	}
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p.sending.stop = stop
	sending, abort := p.outlive(ctx)
	defer abort()
	progress := p.startProgress()
	defer progress.stop()

	batches := make(chan []payRow)
	var workers sync.WaitGroup
	for range p.opts.concurrency {
		workers.Go(func() {
			for rows := range batches {
				if reading.Err() == nil {
					p.sendRows(sending, reading, rows)
				}
			}
		})
	}
	err := p.eachBatch(func(rows []payRow) error {
		select {
		case batches <- rows:
			return nil
		case <-reading.Done():
			return context.Cause(reading)
		}
	})
	close(batches)
	workers.Wait()
	if cause := context.Cause(reading); cause != nil {
		return cause
	}
	return err
}

// outlive returns a context that ends a few seconds after ctx, so that after an interruption the
// answers to batches under way still arrive.
func (p *payer) outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	const grace = 5 * time.Second
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	disarm := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() {
		disarm()
		cancel()
	}
}

// eachBatch calls send for batches of the rows that have no final result.
func (p *payer) eachBatch(send func([]payRow) error) error {
	var (
		rows  []payRow
		bytes int
		wrong error
	)
	err := p.eachRow(func(row *payRow) error {
		if _, done := p.results.final[p.hashes.text(row.id)]; done && !p.opts.allOrNothing {
			return nil
		}
		size := p.sizeOf(row)
		if len(rows) == maxBatchRows || bytes+size > maxBatchBytes && len(rows) > 0 {
			if err := send(rows); err != nil {
				return err
			}
			rows, bytes = nil, 0
		}
		rows, bytes = append(rows, *row), bytes+size
		return nil
	}, func(found *rowError) { wrong = found })
	if err = firstError(err, wrong); err != nil || len(rows) == 0 {
		return err
	}
	return send(rows)
}

// sizeOf returns how long a row is in the body of a batch, in bytes.
func (p *payer) sizeOf(row *payRow) int {
	const others = 128 // names, amount and currency
	return others + jsonSize(row.to) + jsonSize(row.memo) + jsonSize(row.key(p.record.Run))
}

// jsonSize returns how long a text is in JSON, in bytes, or a little less than that.
func jsonSize(s string) int {
	n := len(s) + len(`""`)
	for i := range len(s) {
		if b := s[i]; b < ' ' || b == '"' || b == '\\' || b == '<' || b == '>' || b == '&' || b == 0x7f {
			n += len(`\u0000`) - 1
		}
	}
	return n
}

// sendRows sends rows until each has a result. Once reading has ended, it gives up at the next
// failure; rows that may have been paid then are unknown.
func (p *payer) sendRows(ctx, reading context.Context, rows []payRow) {
	waiting := rows
	doubt := make(map[int]bool) // by line
	err := p.insist(reading, func() (err error) {
		waiting, err = p.sendOnce(ctx, waiting, doubt)
		return err
	})
	if err == nil {
		return
	}
	p.sending.stop(err)
	var unknown []payResult
	for i := range waiting {
		if doubt[waiting[i].line] {
			result := p.resultOf(&waiting[i])
			result.State, result.Detail = rowUnknown, err.Error()
			unknown = append(unknown, result)
		}
	}
	_ = p.results.add(unknown) // after a failure, rows without a line count as unknown as well
}

// sendOnce sends rows in one request, writes their results, and returns the rows to send again. It
// adds those that may have been paid to doubt.
func (p *payer) sendOnce(ctx context.Context, rows []payRow, doubt map[int]bool) ([]payRow, error) {
	batch := client.TransferBatch{Transfers: make([]client.BatchTransfer, len(rows))}
	for i := range rows {
		r := &rows[i]
		t := client.BatchTransfer{IdempotencyKey: r.key(p.record.Run), To: r.to, Amount: r.amount.Minor, Currency: string(r.amount.Currency)}
		if r.memo != "" {
			t.Memo = &r.memo
		}
		batch.Transfers[i] = t
	}
	if p.opts.allOrNothing {
		batch.Atomic = &p.opts.allOrNothing
	}
	answer, err := p.kizo.SendBatch(ctx, batch)
	if _, inDoubt := errors.AsType[*client.UnknownOutcomeError](err); inDoubt {
		for i := range rows {
			doubt[rows[i].line] = true
		}
	}
	if err != nil {
		return rows, err
	}
	var (
		again []payRow
		last  error
		done  []payResult
	)
	for i := range answer.Results {
		problem := answer.Results[i].Problem
		if problem != nil && temporaryProblem(problem.Status, problem.Code) {
			again, last = append(again, rows[i]), &client.Error{Status: problem.Status, Code: problem.Code, Detail: problem.Detail}
			doubt[rows[i].line] = doubt[rows[i].line] || problem.Code != client.Unavailable
			continue
		}
		done = append(done, p.resultFrom(&rows[i], &answer.Results[i]))
	}
	if p.opts.allOrNothing {
		if len(again) > 0 {
			return rows, last
		}
		done = p.withoutFinal(done)
	}
	return again, firstError(p.keep(done), last)
}

// withoutFinal removes the rows of an atomic batch whose results are on disk already.
func (p *payer) withoutFinal(done []payResult) []payResult {
	return slices.DeleteFunc(done, func(r payResult) bool {
		_, kept := p.results.final[p.hashes.text(r.ID)]
		return kept
	})
}

// resultOf returns the result of a row, without what became of it.
func (p *payer) resultOf(r *payRow) payResult {
	return payResult{
		Row: r.line, ID: r.id, To: r.to, Amount: r.amount.Minor, Currency: string(r.amount.Currency), Memo: r.memo,
		Key: r.key(p.record.Run),
	}
}

func (p *payer) resultFrom(row *payRow, answer *client.BatchResult) payResult {
	r := p.resultOf(row)
	r.Replayed = answer.Replayed
	switch {
	case answer.Transfer != nil:
		r.State, r.TransferID = rowPosted, answer.Transfer.Id.String()
	case answer.Problem != nil:
		r.State, r.Code, r.Detail = rowFailed, string(answer.Problem.Code), answer.Problem.Detail
		if answer.Problem.TransferId != nil {
			r.State, r.TransferID = rowRefused, answer.Problem.TransferId.String()
		}
		if answer.Problem.Code == client.IdempotencyKeyReused {
			r.Detail = "the row was changed after it had been sent in this run, and what was sent then is in effect"
		}
	default:
		r.State, r.Detail = rowUnknown, "the answer has neither a transfer nor a problem"
	}
	return r
}

// keep writes results, and stops sending if too many rows were not paid.
func (p *payer) keep(done []payResult) error {
	if len(done) == 0 {
		return nil
	}
	p.sending.answered.Store(time.Now().UnixNano())
	if err := p.results.add(done); err != nil {
		return &exitError{exit: exitUnknown, code: "results_unwritten", err: fmt.Errorf("the results could not be written: %w", err)}
	}
	wrong := 0
	p.sending.mu.Lock()
	for i := range done {
		if done[i].State == rowPosted {
			continue
		}
		wrong++
		if len(p.sending.refused) < maxShownRefusals {
			p.sending.refused = append(p.sending.refused, done[i])
		}
	}
	p.sending.mu.Unlock()
	if n := p.sending.wrong.Add(int64(wrong)); p.opts.maxErrors > 0 && n > int64(p.opts.maxErrors) {
		p.sending.stop(errTooManyErrors)
	}
	return nil
}

// insist calls a request until it succeeds, has an error that a repetition would not change, or the
// server has not answered for --outage.
func (p *payer) insist(ctx context.Context, request func() error) error {
	const (
		base    = 100 * time.Millisecond
		longest = 5 * time.Second
	)
	p.sending.answered.CompareAndSwap(0, time.Now().UnixNano())
	for attempt := 0; ; attempt++ {
		err := request()
		if err == nil {
			p.sending.answered.Store(time.Now().UnixNano())
			return nil
		}
		if ctx.Err() != nil || !temporary(err) {
			return err
		}
		wait := time.Duration((0.5 + rand.Float64()/2) * float64(min(base<<min(attempt, 10), longest))) //nolint:gosec // jitter is no secret
		if refused, ok := errors.AsType[*client.Error](err); ok {
			wait = max(wait, refused.RetryAfter)
		}
		if silent := time.Since(time.Unix(0, p.sending.answered.Load())); silent+wait > p.opts.outage {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// temporary reports whether the same request may succeed later.
func temporary(err error) bool {
	if unknown, ok := errors.AsType[*client.UnknownOutcomeError](err); ok {
		err = unknown.Err
	}
	if refused, ok := errors.AsType[*client.Error](err); ok {
		return temporaryProblem(refused.Status, refused.Code)
	}
	_, unreached := errors.AsType[*client.UnreachableError](err)
	_, notKizo := errors.AsType[*client.ProtocolError](err) // the maintenance page of a proxy
	return unreached || notKizo
}

func temporaryProblem(status int, code client.ProblemCode) bool {
	switch {
	case code == client.TooManyLookups: // for a minute at least
		return false
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return true
	}
	return status >= http.StatusInternalServerError
}

// failure returns the error that ends the command after paying: nil if every row was paid.
func (p *payer) failure(ctx context.Context, stopped error) error {
	p.noteRefused()
	var (
		c      = &p.results.counts
		report = p.report()
		resume = "kizo pay resume " + shellQuote(p.record.Run)
		failed = c.refused + c.failed
		unpaid = notPaid(&p.record, failed)
	)
	switch {
	case ctx.Err() != nil:
		return withHint(context.Canceled, resume)
	case errors.Is(stopped, errTooManyErrors):
		err := fmt.Errorf("stopped by --max-errors, and %s not sent: %w", plural(report.Unsent, "row was", "rows were"), unpaid)
		return withHint(err, append(p.app.next(unpaid), resume)...)
	case stopped != nil && !temporary(stopped) && c.unknown == 0:
		return withHint(stopped, append(p.app.next(stopped), resume)...)
	case stopped != nil || c.unknown > 0:
		err := fmt.Errorf("%s unknown, and %s not sent", plural(c.unknown, "row is", "rows are"), plural(report.Unsent, "row was", "rows were"))
		if stopped != nil {
			err = fmt.Errorf("%w: %s", err, stopped.Error()) // not wrapped: its key is that of one row
		}
		return withHint(&exitError{exit: exitUnknown, code: "rows_unknown", err: err}, resume)
	case failed > 0:
		return unpaid
	}
	return nil
}

// notPaid is the error for rows that the server did not pay.
func notPaid(record *payRecord, rows int) error {
	return withHint(&exitError{exit: exitRefused, code: "rows_refused", err: fmt.Errorf("%s of %s not paid", grouped(rows), plural(record.Rows, "row was", "rows were"))},
		"kizo pay refused "+shellQuote(record.Run))
}

// noteRefused lists the rows that the server did not pay now.
func (p *payer) noteRefused() {
	if p.app.json {
		return
	}
	slices.SortFunc(p.sending.refused, func(a, b payResult) int { return a.Row - b.Row })
	for i := range p.sending.refused {
		r := &p.sending.refused[i]
		p.app.io.note("row %d (id %s, %s to %s): %s", r.Row, printable.Text(r.ID), amountOf(r.Amount, r.Currency), printable.Text(r.To), printable.Text(r.Detail))
	}
	if more := int(p.sending.wrong.Load()) - len(p.sending.refused); more > 0 {
		p.app.io.note("and %s more", countRows(more))
	}
}
