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

// Bounds of one reconciliation.
const (
	maxPages        = 500 // of the statement
	compareAtOnce   = 500 // lines
	reconcileWithin = time.Minute
	compareMissing  = 5000 // payments without a line
)

// Discrepancy is one place where the bank's books and ours do not agree. It is
// found once and kept for ever; one that a later statement resolves is closed.
type Discrepancy struct {
	Kind     string
	Ref      string
	Transfer uuid.UUID // nil UUID where no payment has the ref
	Detail   string
	Suspense uuid.UUID // the transfer that booked it, if one could
	FoundAt  time.Time
	ClosedAt time.Time // zero while it is open
}

// Kinds of discrepancy.
const (
	AnswersDiffer     = "answers_differ"      // the bank told two things about one payment
	AmountDiffers     = "amount_differs"      // it did another amount, currency or direction
	ExecutedNotPosted = "executed_not_posted" // it paid what it had rejected
	PostedNotExecuted = "posted_not_executed" // it did not pay what it had confirmed
	UnknownRef        = "unknown_ref"         // it did what nobody asked for
	MissingAtBank     = "missing_at_bank"     // its statement does not have what it confirmed
	CallbackDiffers   = "callback_differs"    // its callback says otherwise than the books
)

// Reconciliation says what one comparison did.
type Reconciliation struct {
	Read    int // statement lines that were new
	Matched int
	Open    int // lines whose payment has not ended yet
	Found   []Discrepancy
	Closed  int // discrepancies that the statement has resolved
}

// Reconcile reads what is new on the bank's statement and compares every line that
// has no counterpart yet with the payment of its ref. What differs is recorded,
// booked to suspense once both sides are final, and never put right silently.
// Any number of processes may do it at once.
func (s *Settler) Reconcile(ctx context.Context) (Reconciliation, error) {
	var r Reconciliation
	confirmed, began, err := s.withoutLine(ctx)
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
		if len(pairs) < compareAtOnce {
			break
		}
	}
	if err := s.closeResolved(ctx, &r); err != nil {
		return r, err
	}
	if !all {
		return r, nil // what is missing may yet come
	}
	return r, s.findMissing(ctx, confirmed, began, &r)
}

// readStatement copies the lines after the newest that we have; all says that there
// are no more.
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
		for _, e := range page.Entries {
			seqs, amounts, at = append(seqs, e.Seq), append(amounts, e.Amount), append(at, e.At)
			refs, directions = append(refs, e.Ref), append(directions, string(e.Direction))
			currencies, outcomes = append(currencies, e.Currency), append(outcomes, e.Outcome.String())
			bankRefs = append(bankRefs, e.BankRef)
		}
		if len(seqs) > 0 {
			if _, err := s.pool.Exec(ctx, insert, seqs, refs, directions, amounts, currencies, outcomes, bankRefs, at); err != nil {
				return read, false, fmt.Errorf("keep the bank's statement: %w", err)
			}
		}
		read += len(page.Entries)
		if len(page.Entries) < bank.MaxPageSize {
			return read, true, nil
		}
		after = page.Next
	}
	return read, false, nil
}

// pair is a statement line and the payment of its ref, if there is one.
type pair struct {
	line     bank.Entry
	outcome  string
	transfer *uuid.UUID
	state    ledger.PaymentState // of the payment
	ours     bank.Instruction
}

func (s *Settler) openLines(ctx context.Context, after int64) ([]pair, error) {
	const open = `SELECT l.seq, l.external_ref, l.direction, l.amount, l.currency, l.outcome,
			p.transfer_id, COALESCE(p.state, ''), COALESCE(p.direction, ''), COALESCE(p.amount, 0), COALESCE(p.currency, '')
		FROM statement_lines l LEFT JOIN payments p ON p.external_ref = l.external_ref
		WHERE l.state = 'open' AND l.seq > $1 ORDER BY l.seq LIMIT $2`
	rows, err := s.pool.Query(ctx, open, after, compareAtOnce)
	if err != nil {
		return nil, fmt.Errorf("find open statement lines: %w", err)
	}
	pairs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p pair, err error) {
		err = row.Scan(&p.line.Seq, &p.line.Ref, &p.line.Direction, &p.line.Amount, &p.line.Currency, &p.outcome,
			&p.transfer, &p.state, &p.ours.Direction, &p.ours.Amount, &p.ours.Currency)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("find open statement lines: %w", err)
	}
	return pairs, nil
}

// compare decides about one line. A line whose payment has not ended waits.
func (s *Settler) compare(ctx context.Context, p pair, r *Reconciliation) error {
	told := fmt.Sprintf("statement line %d: %s %s of %d %s", p.line.Seq, p.line.Direction, p.outcome, p.line.Amount, p.line.Currency)
	d := Discrepancy{Ref: p.line.Ref, Detail: told}
	if p.transfer == nil {
		d.Kind = UnknownRef
		return s.differ(ctx, p, d, r)
	}
	d.Transfer = *p.transfer
	ended := p.state == ledger.PaymentExecuted || p.state == ledger.PaymentRejected
	switch {
	case p.line.Direction != p.ours.Direction || p.line.Amount != p.ours.Amount || p.line.Currency != p.ours.Currency:
		d.Kind = AmountDiffers
		d.Detail += fmt.Sprintf("; asked for: %s of %d %s", p.ours.Direction, p.ours.Amount, p.ours.Currency)
		if !ended { // told now, booked when we know what is on our side
			r.Open++
			return s.record(ctx, d, r)
		}
	case !ended:
		r.Open++
		return nil
	case string(p.state) == p.outcome:
		r.Matched++
		return s.close(ctx, p.line.Seq, "matched")
	case p.state == ledger.PaymentRejected:
		d.Kind = ExecutedNotPosted
	default:
		d.Kind = PostedNotExecuted
	}
	return s.differ(ctx, p, d, r)
}

// differ books a discrepancy to suspense, so that the clearing account says what the
// statement says: what the bank did comes in, what it did not do goes out.
func (s *Settler) differ(ctx context.Context, p pair, d Discrepancy, r *Reconciliation) error {
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
			Ref: p.line.Ref, Cause: cause, Currency: p.ours.Currency, Amount: p.ours.Amount,
			IntoClearing: p.ours.Direction == bank.Deposit,
		})
		if err != nil {
			return fmt.Errorf("book %s of %s to suspense: %w", d.Kind, p.line.Ref, err)
		}
		d.Suspense = booked.ID
	}
	if err := s.record(ctx, d, r); err != nil {
		return err
	}
	return s.close(ctx, p.line.Seq, "differs")
}

func (s *Settler) close(ctx context.Context, seq int64, state string) error {
	if err := failpoint.Point("settle.before_close"); err != nil {
		return err
	}
	const update = `UPDATE statement_lines SET state = $2 WHERE seq = $1 AND state = 'open'`
	if _, err := s.pool.Exec(ctx, update, seq, state); err != nil {
		return fmt.Errorf("close statement line %d: %w", seq, err)
	}
	return nil
}

// record keeps a discrepancy, once, and raises the alert.
func (s *Settler) record(ctx context.Context, d Discrepancy, r *Reconciliation) error {
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
	s.alert(d.Kind, d.Ref, d.Detail)
	if r != nil {
		r.Found = append(r.Found, d)
	}
	return nil
}

// alert says that a discrepancy was recorded.
func (s *Settler) alert(kind, ref, detail string) {
	s.log.Error("the bank's books and ours differ", "kind", kind, "ref", ref, "detail", detail)
	s.config.Metrics.differs(kind)
}

func orNull(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// Discrepancies lists what has been found, newest first.
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
