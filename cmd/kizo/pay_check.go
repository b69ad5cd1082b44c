package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

// maxRowErrors is how many wrong rows are shown. Reading goes on, to count them.
const maxRowErrors = 20

// payPlan is what the check of a file has found.
type payPlan struct {
	rows   int
	toPay  int // rows without a final result
	payees int // different ones, of the rows to pay
	sum    map[string]int64
	count  map[string]int
	free   map[string]int64 // available, by currency
	left   map[string]int64 // of the limits today, by currency; without an entry, nothing limits it

	// maybePaid is what the rows cost that an earlier process may have sent without writing their
	// results: the first ones without a result. Their totals may have been spent already.
	maybePaid map[string]int64

	repeats  [][2]int // lines that pay the same as an earlier line, which comes first; at most maxRowErrors
	repeated int
	gone     int // rows that have a result and are no longer in the file
}

// sums writes the amounts to pay.
func (p *payPlan) sums() string { return amounts(p.sum) }

// payCheck checks the rows of a file:
//
//	rows ─► syntax ─► ids are different ─► as in the results ─► payees, 500 at a time ─► totals
//	                                         limits ──┴───────────────┴──────────────────────┘
//
// It remembers hashes and lines, not rows.
type payCheck struct {
	*payer
	ids      map[uint64]uint32 // hash of an id: its line
	contents map[uint64]uint32 // hash of what a row pays: its line
	asked    map[uint64]bool   // hash of a payee and a currency
	doubles  []doubleID
	finished int // rows with a final result
	bytes    int // of all rows in a batch
	lookUps  payeeLookUps
	limits   payLimits

	mu     sync.Mutex
	errors []*rowError // the first ones by line, at most maxRowErrors
	wrong  int
	exit   int
}

// doubleID is a row whose id has the hash of an earlier row's.
type doubleID struct {
	first, second int
	id            string
}

// checkRows checks all rows of the copy. The plan is complete if it returns nil.
func (p *payer) checkRows(ctx context.Context) error {
	c := &payCheck{
		payer: p, exit: exitRefused,
		ids: make(map[uint64]uint32), contents: make(map[uint64]uint32), asked: make(map[uint64]bool),
	}
	c.lookUps.check = c
	p.plan = payPlan{sum: make(map[string]int64), count: make(map[string]int), maybePaid: make(map[string]int64)}
	if err := c.readLimits(ctx); err != nil {
		return err
	}
	if err := c.readRows(ctx); err != nil {
		return err
	}
	if err := c.confirmDoubles(); err != nil {
		return err
	}
	if err := c.lookUps.finish(ctx); err != nil {
		return err
	}
	p.plan.gone = len(p.results.final) - c.finished
	if c.wrong == 0 && p.plan.rows == 0 {
		return usagef("the file has no rows")
	}
	if c.wrong > 0 {
		return c.failure()
	}
	if err := c.checkFunds(ctx); err != nil {
		return err
	}
	return c.checkLimits()
}

// eachRow calls each for every row of the copy, and fail for what is wrong with one.
func (p *payer) eachRow(each func(*payRow) error, fail func(*rowError)) error {
	file, err := os.Open(p.rows)
	if err != nil {
		return err
	}
	defer file.Close()
	reader, err := newPayReader(file)
	for rows := 0; ; rows++ {
		var row payRow
		if err == nil {
			row, err = reader.next()
		}
		wrong, isWrong := errors.AsType[*rowError](err)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case isWrong:
			fail(wrong)
			if wrong.fatal {
				return nil
			}
		case err != nil:
			return err
		case rows >= maxPayRows:
			fail(fatalRow(row.line, "a file has at most %s rows: split it", grouped(maxPayRows)))
			return nil
		default:
			if err := each(&row); err != nil {
				return err
			}
		}
		err = nil
	}
}

func (c *payCheck) readRows(ctx context.Context) error {
	return c.eachRow(func(row *payRow) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.plan.rows++
		c.bytes += c.sizeOf(row)
		if c.opts.allOrNothing && (c.plan.rows > maxBatchRows || c.bytes > maxBatchBytes) {
			return usagef("--all-or-nothing takes at most %d rows and %d KiB, which the server pays in one transaction: the file has more", maxBatchRows, maxBatchBytes>>10)
		}
		return c.checkRow(ctx, row)
	}, c.malformed)
}

// checkRow checks a row that is well-formed.
func (c *payCheck) checkRow(ctx context.Context, row *payRow) error {
	id := c.hashes.text(row.id)
	if first, twice := c.ids[id]; twice {
		if len(c.doubles) < maxRowErrors {
			c.doubles = append(c.doubles, doubleID{int(first), row.line, row.id})
		}
		return nil
	}
	c.ids[id] = uint32(row.line)
	if formatOfResults(c.record.Results).csv && printable.Text(row.id) != row.id {
		c.malformed(rowErrorf(row.line, "the id %s has a character that results in CSV cannot have: use --results jsonl", shortened(row.id)))
		return nil
	}
	code := string(row.amount.Currency)
	content := c.hashes.content(row.to, row.amount.Minor, code, row.memo)
	if before, done := c.results.final[id]; done {
		c.finished++
		if before != content {
			c.refuse(rowErrorf(row.line, "the row with the id %s was changed after it had been sent in this run: restore it, or give it another id", shortened(row.id)))
		}
		return nil
	}
	if first, twice := c.contents[content]; twice {
		c.plan.repeated++
		if len(c.plan.repeats) < maxRowErrors {
			c.plan.repeats = append(c.plan.repeats, [2]int{int(first), row.line})
		}
	} else {
		c.contents[content] = uint32(row.line)
	}
	c.plan.toPay++
	c.plan.count[code]++
	if c.plan.sum[code] > math.MaxInt64-row.amount.Minor {
		c.malformed(rowErrorf(row.line, "the rows add up to more %s than there can be", code))
		return nil
	}
	c.plan.sum[code] += row.amount.Minor
	if c.known && c.plan.toPay <= maxPayConcurrency*maxBatchRows {
		c.plan.maybePaid[code] += row.amount.Minor
	}
	if why := c.limits.whyNot(row.amount); why != "" {
		c.refuse(rowErrorf(row.line, "%s", why))
	}
	payee := c.hashes.content(row.to, 0, code, "")
	if c.asked[payee] {
		return nil
	}
	c.asked[payee] = true
	c.plan.payees++
	return c.lookUps.add(ctx, row)
}

// malformed records a row that is an error of the file, refuse one that the server would refuse.
func (c *payCheck) malformed(wrong *rowError) { c.add(wrong, exitUsage) }
func (c *payCheck) refuse(wrong *rowError)    { c.add(wrong, exitRefused) }

func (c *payCheck) add(wrong *rowError, exit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong++
	if exit == exitUsage {
		c.exit = exitUsage
	}
	at, _ := slices.BinarySearchFunc(c.errors, wrong, func(a, b *rowError) int { return cmp.Compare(a.line, b.line) })
	c.errors = slices.Insert(c.errors, at, wrong)
	c.errors = c.errors[:min(len(c.errors), maxRowErrors)]
}

// confirmDoubles compares the ids whose hashes are equal.
func (c *payCheck) confirmDoubles() error {
	if len(c.doubles) == 0 {
		return nil
	}
	firsts := make(map[int]string)
	for _, d := range c.doubles {
		firsts[d.first] = ""
	}
	err := c.eachRow(func(row *payRow) error {
		if _, wanted := firsts[row.line]; wanted {
			firsts[row.line] = row.id
		}
		return nil
	}, func(*rowError) {})
	for _, d := range c.doubles {
		if firsts[d.first] == d.id {
			c.malformed(rowErrorf(d.second, "the id %s is also that of row %d: each row needs an id of its own", shortened(d.id), d.first))
		} else { // two ids with one hash, once in millions of runs: another run has other hashes
			c.malformed(rowErrorf(d.second, "the id %s could not be compared with that of row %d: run the command again", shortened(d.id), d.first))
		}
	}
	return err
}

// failure is the error for rows that are wrong. If there are several, it prints them.
func (c *payCheck) failure() error {
	if len(c.errors) > 1 && !c.app.json {
		for _, wrong := range c.errors {
			c.app.io.note("%s", printable.Text(wrong.Error()))
		}
		if more := c.wrong - len(c.errors); more > 0 {
			c.app.io.note("and %s more", countRows(more))
		}
	}
	if c.wrong > 1 {
		return &exitError{exit: c.exit, code: "rows_invalid", err: fmt.Errorf("%s wrong, and nothing was paid; the first is %w", plural(c.wrong, "row is", "rows are"), c.errors[0])}
	}
	return &exitError{exit: c.exit, code: "rows_invalid", err: fmt.Errorf("nothing was paid: %w", c.errors[0])}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// checkFunds compares the totals with what the wallets hold.
func (c *payCheck) checkFunds(ctx context.Context) error {
	var wallets []client.Wallet
	err := c.insist(ctx, func() (err error) {
		wallets, err = c.kizo.Wallets(ctx)
		return err
	})
	if err != nil {
		return err
	}
	c.plan.free = make(map[string]int64)
	frozen := make(map[string]bool)
	for _, w := range wallets {
		c.plan.free[w.Currency] = w.Available
		frozen[w.Currency] = w.Status == client.Frozen
	}
	for _, currency := range money.Currencies() {
		code := string(currency)
		sum, needed := c.plan.sum[code]
		free, have := c.plan.free[code]
		switch {
		case !needed:
		case !have:
			return withHint(&exitError{exit: exitRefused, code: string(client.WalletNotFound), err: fmt.Errorf("nothing was paid: you have no %s wallet", code)}, "kizo wallet open "+code)
		case frozen[code]:
			return &exitError{exit: exitRefused, code: string(client.AccountFrozen), err: fmt.Errorf("nothing was paid: your %s wallet is frozen", code)}
		case sum-c.plan.maybePaid[code] > free:
			return withHint(&exitError{exit: exitRefused, code: string(client.InsufficientFunds),
				err: fmt.Errorf("nothing was paid: the rows need %s, and %s is available", amountOf(sum, code), amountOf(free, code))}, "kizo balance", "kizo deposit "+money.Amount{Minor: sum - max(free, 0), Currency: currency}.String())
		}
	}
	return nil
}

// notePlan prints what the check found and the user should know.
func (p *payer) notePlan() {
	if p.app.json {
		return
	}
	for _, lines := range p.plan.repeats {
		p.app.io.note("row %d pays the same as row %d", lines[1], lines[0])
	}
	if more := p.plan.repeated - len(p.plan.repeats); more > 0 {
		p.app.io.note("and %s more", countRows(more))
	}
	if p.plan.gone > 0 {
		p.app.io.note("%s in the results are no longer in the file", countRows(p.plan.gone))
	}
}

// payeeLookUps checks payees with few requests: maxBatchRows at a time, several at once.
type payeeLookUps struct {
	check   *payCheck
	waiting map[string]*payeeLookUp // by currency
	running chan struct{}
	all     sync.WaitGroup

	mu     sync.Mutex
	failed error
}

// payeeLookUp is the next request of one currency.
type payeeLookUp struct {
	payees []string
	lines  []int
	bytes  int
}

// maxLookUpBytes keeps the body of a look-up below the server's 16 KiB.
const maxLookUpBytes = 15 << 10

func (l *payeeLookUps) add(ctx context.Context, row *payRow) error {
	if l.waiting == nil {
		l.waiting, l.running = make(map[string]*payeeLookUp), make(chan struct{}, maxPayConcurrency)
	}
	code := string(row.amount.Currency)
	next := l.waiting[code]
	size := jsonSize(row.to) + len(",")
	if next != nil && (len(next.payees) == maxBatchRows || next.bytes+size > maxLookUpBytes) {
		if err := l.send(ctx, code); err != nil {
			return err
		}
		next = nil
	}
	if next == nil {
		next = &payeeLookUp{bytes: 64}
		l.waiting[code] = next
	}
	next.payees, next.lines, next.bytes = append(next.payees, row.to), append(next.lines, row.line), next.bytes+size
	return nil
}

// send sends the waiting look-up of a currency in the background. The error is that of an earlier
// one.
func (l *payeeLookUps) send(ctx context.Context, code string) error {
	next := l.waiting[code]
	delete(l.waiting, code)
	l.running <- struct{}{}
	l.all.Go(func() {
		defer func() { <-l.running }()
		if err := l.check.lookUp(ctx, code, next); err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.failed = cmp.Or(l.failed, err)
		}
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// finish sends what waits, and returns when every payee has been checked.
func (l *payeeLookUps) finish(ctx context.Context) error {
	for code := range l.waiting {
		_ = l.send(ctx, code) // the error stays in failed
	}
	l.all.Wait()
	return l.failed
}

// lookUp checks some payees and records those that cannot be paid.
func (c *payCheck) lookUp(ctx context.Context, code string, next *payeeLookUp) error {
	var found client.PayeeLookupResult
	err := c.insist(ctx, func() (err error) {
		found, err = c.kizo.LookUpPayees(ctx, client.PayeeLookup{Currency: code, Payees: next.payees})
		return err
	})
	if err != nil {
		return err
	}
	for i, result := range found.Results {
		if result.Problem != nil {
			c.refuse(rowErrorf(next.lines[i], "%s: %s", next.payees[i], result.Problem.Detail))
		} else if result.Handle != nil {
			if why := c.limits.whyNotPayee(*result.Handle); why != "" {
				c.refuse(rowErrorf(next.lines[i], "%s: %s", next.payees[i], why))
			}
		}
	}
	return nil
}
