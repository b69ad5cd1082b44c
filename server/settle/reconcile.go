package settle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/ledger"
)

// Limits of one reconciliation.
const (
	maxPages         = 500 // pages of the statement
	comparePage      = 500 // lines compared after one query
	reconcileTimeout = time.Minute
	maxUnmatched     = 5000 // payments without a line
)

// Discrepancy is one difference between the bank's books and ours. It is recorded once and never
// deleted; it is closed if a later statement resolves it.
type Discrepancy struct {
	Kind     string
	Ref      string
	Transfer uuid.UUID // the nil UUID if no payment has the reference
	Detail   string
	Suspense uuid.UUID // the transfer that booked it to suspense; the nil UUID if none did
	FoundAt  time.Time
	ClosedAt time.Time // zero while it is open
}

// Kinds of discrepancy.
const (
	AnswersDiffer     = "answers_differ"      // two answers about one payment contradict each other
	AmountDiffers     = "amount_differs"      // the amount, currency or direction is another
	ExecutedNotPosted = "executed_not_posted" // the bank executed what it had rejected
	PostedNotExecuted = "posted_not_executed" // the bank did not execute what it had confirmed
	UnknownRef        = "unknown_ref"         // the bank executed a reference that no payment has
	MissingAtBank     = "missing_at_bank"     // the statement lacks what the bank had confirmed
	CallbackDiffers   = "callback_differs"    // a callback contradicts the outcome of a settled payment
)

// Reconciliation is the result of one comparison.
type Reconciliation struct {
	Read    int           // new statement lines
	Matched int           // lines that agree with their payment
	Open    int           // lines whose payment has not ended yet
	Found   []Discrepancy // new discrepancies
	Closed  int           // discrepancies that the statement has resolved
}

// Reconcile reads the new lines of the bank's statement and compares all lines that are still
// open with the payments of the same reference. It records each discrepancy and, once both sides
// are final, books it to suspense. It never corrects a payment. Any number of processes may
// reconcile at once.
func (s *Settler) Reconcile(ctx context.Context) (Reconciliation, error) {
	var r Reconciliation
	confirmed, began, err := s.confirmedWithoutLine(ctx)
	if err != nil {
		return r, err
	}
	read, all, err := s.readStatement(ctx)
	if err != nil {
		return r, err
	}
	r.Read = read
	if err := failpoint.Point("settle.statement_kept"); err != nil {
		return r, err
	}
	for after := int64(0); ; {
		pairs, err := s.openLines(ctx, after)
		if err != nil {
			return r, err
		}
		for _, p := range pairs {
			after = p.line.Seq
			if err := s.compare(ctx, p, &r); err != nil {
				return r, err
			}
		}
		if len(pairs) < comparePage {
			break
		}
	}
	if err := s.closeResolved(ctx, &r); err != nil {
		return r, err
	}
	if !all {
		return r, nil // a line that seems to be missing may be on a later page
	}
	return r, s.recordMissing(ctx, confirmed, began, &r)
}

// readStatement stores the lines after the newest that is stored, at most maxPages pages. all
// reports whether it read the statement to its end.
func (s *Settler) readStatement(ctx context.Context) (read int, all bool, err error) {
	const newest = `SELECT COALESCE(max(seq), 0) FROM statement_lines`
	const insert = `INSERT INTO statement_lines (seq, external_ref, direction, amount, currency, outcome, bank_ref, at)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
		ON CONFLICT (seq) DO NOTHING`
	var after int64
	if err := s.pool.QueryRow(ctx, newest).Scan(&after); err != nil {
		return 0, false, fmt.Errorf("find the newest statement line: %w", err)
	}
	for range maxPages {
		page, err := s.bank.Statement(ctx, after, bank.MaxPageSize)
		s.breaker.report(ctx, err)
		if err == nil {
			err = failpoint.Point("settle.statement_read")
		}
		if err != nil {
			return read, false, fmt.Errorf("read the bank's statement: %w", err)
		}
		var (
			seqs, amounts                                    []int64
			refs, directions, currencies, outcomes, bankRefs []string
			at                                               []time.Time
		)
		for _, e := range page.Lines {
			seqs, amounts, at = append(seqs, e.Seq), append(amounts, e.Amount), append(at, e.At)
			refs, directions = append(refs, e.Ref), append(directions, string(e.Direction))
			currencies, outcomes = append(currencies, e.Currency), append(outcomes, e.Outcome.String())
			bankRefs = append(bankRefs, e.BankRef)
		}
		if len(seqs) > 0 {
			if _, err := s.pool.Exec(ctx, insert, seqs, refs, directions, amounts, currencies, outcomes, bankRefs, at); err != nil {
				return read, false, fmt.Errorf("store the bank's statement: %w", err)
			}
		}
		read += len(page.Lines)
		if len(page.Lines) < bank.MaxPageSize {
			return read, true, nil
		}
		after = page.Next
	}
	return read, false, nil
}

// lineAndPayment is a statement line and the payment of the same reference, if there is one.
type lineAndPayment struct {
	line        bank.StatementLine
	outcome     string
	transfer    *uuid.UUID
	state       ledger.PaymentState // of the payment
	instruction bank.Instruction
}

// openLines returns the lines after a sequence number that are neither matched nor known to differ.
func (s *Settler) openLines(ctx context.Context, after int64) ([]lineAndPayment, error) {
	const open = `SELECT l.seq, l.external_ref, l.direction, l.amount, l.currency, l.outcome,
			p.transfer_id, COALESCE(p.state, ''), COALESCE(p.direction, ''), COALESCE(p.amount, 0), COALESCE(p.currency, '')
		FROM statement_lines l LEFT JOIN payments p ON p.external_ref = l.external_ref
		WHERE l.state = 'open' AND l.seq > $1 ORDER BY l.seq LIMIT $2`
	rows, err := s.pool.Query(ctx, open, after, comparePage)
	if err != nil {
		return nil, fmt.Errorf("find open statement lines: %w", err)
	}
	pairs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p lineAndPayment, err error) {
		err = row.Scan(&p.line.Seq, &p.line.Ref, &p.line.Direction, &p.line.Amount, &p.line.Currency, &p.outcome,
			&p.transfer, &p.state, &p.instruction.Direction, &p.instruction.Amount, &p.instruction.Currency)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("find open statement lines: %w", err)
	}
	return pairs, nil
}

// compare compares one line with its payment. The line stays open while the payment has not ended.
func (s *Settler) compare(ctx context.Context, p lineAndPayment, r *Reconciliation) error {
	detail := fmt.Sprintf("statement line %d: %s %s of %d %s", p.line.Seq, p.line.Direction, p.outcome, p.line.Amount, p.line.Currency)
	d := Discrepancy{Ref: p.line.Ref, Detail: detail}
	if p.transfer == nil {
		d.Kind = UnknownRef
		return s.bookDiscrepancy(ctx, p, d, r)
	}
	d.Transfer = *p.transfer
	ended := p.state == ledger.PaymentExecuted || p.state == ledger.PaymentRejected
	switch {
	case p.line.Direction != p.instruction.Direction || p.line.Amount != p.instruction.Amount || p.line.Currency != p.instruction.Currency:
		d.Kind = AmountDiffers
		d.Detail += fmt.Sprintf("; asked for: %s of %d %s", p.instruction.Direction, p.instruction.Amount, p.instruction.Currency)
		if !ended { // recorded now, booked to suspense when the payment has ended
			r.Open++
			return s.recordDiscrepancy(ctx, d, r)
		}
	case !ended:
		r.Open++
		return nil
	case string(p.state) == p.outcome:
		r.Matched++
		return s.closeLine(ctx, p.line.Seq, "matched")
	case p.state == ledger.PaymentRejected:
		d.Kind = ExecutedNotPosted
	default:
		d.Kind = PostedNotExecuted
	}
	return s.bookDiscrepancy(ctx, p, d, r)
}

// bookDiscrepancy books a discrepancy to suspense, so that the clearing account agrees with the
// statement: it adds what the bank executed, and removes what it was believed to have executed.
func (s *Settler) bookDiscrepancy(ctx context.Context, p lineAndPayment, d Discrepancy, r *Reconciliation) error {
	cause := d.Kind
	if p.outcome == "executed" {
		booked, err := s.ledger.BookToSuspense(ctx, ledger.SuspenseBooking{
			Ref: p.line.Ref, Cause: cause, Currency: p.line.Currency, Amount: p.line.Amount,
			IntoClearing: p.line.Direction == bank.Withdrawal,
		})
		if err != nil {
			return fmt.Errorf("book %s of %s to suspense: %w", d.Kind, p.line.Ref, err)
		}
		d.Suspense, cause = booked.ID, cause+"_undone"
	}
	if p.state == ledger.PaymentExecuted {
		booked, err := s.ledger.BookToSuspense(ctx, ledger.SuspenseBooking{
			Ref: p.line.Ref, Cause: cause, Currency: p.instruction.Currency, Amount: p.instruction.Amount,
			IntoClearing: p.instruction.Direction == bank.Deposit,
		})
		if err != nil {
			return fmt.Errorf("book %s of %s to suspense: %w", d.Kind, p.line.Ref, err)
		}
		d.Suspense = booked.ID
	}
	if err := s.recordDiscrepancy(ctx, d, r); err != nil {
		return err
	}
	return s.closeLine(ctx, p.line.Seq, "differs")
}

// closeLine stores that an open line matches its payment or differs from it.
func (s *Settler) closeLine(ctx context.Context, seq int64, state string) error {
	if err := failpoint.Point("settle.before_close"); err != nil {
		return err
	}
	const update = `UPDATE statement_lines SET state = $2 WHERE seq = $1 AND state = 'open'`
	if _, err := s.pool.Exec(ctx, update, seq, state); err != nil {
		return fmt.Errorf("close statement line %d: %w", seq, err)
	}
	return nil
}

// recordDiscrepancy stores a discrepancy and reports it, unless it is known. A new one is added
// to r if r is not nil.
func (s *Settler) recordDiscrepancy(ctx context.Context, d Discrepancy, r *Reconciliation) error {
	const insert = `INSERT INTO discrepancies (kind, external_ref, transfer_id, detail, suspense_id)
		VALUES ($1, $2, $3, left($4, 500), $5)
		ON CONFLICT (external_ref, kind) DO NOTHING RETURNING found_at`
	err := s.pool.QueryRow(ctx, insert, d.Kind, d.Ref, orNull(d.Transfer), d.Detail, orNull(d.Suspense)).Scan(&d.FoundAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // known
	}
	if err != nil {
		return fmt.Errorf("record %s of %s: %w", d.Kind, d.Ref, err)
	}
	s.reportDiscrepancy(d.Kind, d.Ref, d.Detail)
	if r != nil {
		r.Found = append(r.Found, d)
	}
	return nil
}

// reportDiscrepancy logs and counts a discrepancy that was recorded.
func (s *Settler) reportDiscrepancy(kind, ref, detail string) {
	s.log.Error("the bank's books and ours differ", "kind", kind, "ref", ref, "detail", detail)
	s.config.Metrics.discrepancyFound(kind)
}

// orNull converts the nil UUID to NULL.
func orNull(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// Discrepancies lists the newest discrepancies, at most limit, newest first.
func (s *Settler) Discrepancies(ctx context.Context, limit int) ([]Discrepancy, error) {
	const list = `SELECT kind, external_ref, transfer_id, detail, suspense_id, found_at, closed_at
		FROM discrepancies LEFT JOIN closed_discrepancies ON discrepancy_id = id ORDER BY id DESC LIMIT $1`
	rows, err := s.pool.Query(ctx, list, limit)
	if err != nil {
		return nil, fmt.Errorf("list discrepancies: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Discrepancy, error) {
		var (
			d                  Discrepancy
			transfer, suspense *uuid.UUID
			closed             *time.Time
		)
		err := row.Scan(&d.Kind, &d.Ref, &transfer, &d.Detail, &suspense, &d.FoundAt, &closed)
		if closed != nil {
			d.ClosedAt = *closed
		}
		if transfer != nil {
			d.Transfer = *transfer
		}
		if suspense != nil {
			d.Suspense = *suspense
		}
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("list discrepancies: %w", err)
	}
	return found, nil
}

// discrepanciesOf lists the discrepancies of one reference, oldest first.
func (s *Settler) discrepanciesOf(ctx context.Context, ref string) ([]Discrepancy, error) {
	const list = `SELECT kind, detail, found_at, closed_at
		FROM discrepancies LEFT JOIN closed_discrepancies ON discrepancy_id = id WHERE external_ref = $1 ORDER BY id`
	rows, err := s.pool.Query(ctx, list, ref)
	if err != nil {
		return nil, fmt.Errorf("list the discrepancies of %s: %w", ref, err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Discrepancy, error) {
		d := Discrepancy{Ref: ref}
		var closed *time.Time
		err := row.Scan(&d.Kind, &d.Detail, &d.FoundAt, &closed)
		if closed != nil {
			d.ClosedAt = *closed
		}
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the discrepancies of %s: %w", ref, err)
	}
	return found, nil
}
