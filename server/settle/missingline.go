package settle

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// missingLines remembers which confirmed payments the bank's statement lacks, and since when:
//
//	payment confirmed --> reconciliation 1 begins, reads the whole statement, finds no line
//	                      reconciliation n begins StatementLag later, finds no line: discrepancy
//
// A payment counts only if the database has it as confirmed before the statement is read. This is
// an order of events and not a comparison of times, so a clock that jumps cannot cause a
// discrepancy. The lag is measured by the monotonic clock of this process; after a restart it
// starts again.
type missingLines struct {
	mu    sync.Mutex
	since map[string]time.Time // by reference: when the first reconciliation began that did not find the line
}

// confirmedPayment is a payment that the bank executed.
type confirmedPayment struct {
	ref      string
	transfer uuid.UUID
}

// confirmedWithoutLine returns the confirmed payments that have no statement line yet, the oldest
// first and at most maxUnmatched, and the time at which it read them.
func (s *Settler) confirmedWithoutLine(ctx context.Context) ([]confirmedPayment, time.Time, error) {
	const find = `SELECT p.external_ref, p.transfer_id FROM payments p
		WHERE p.state = 'executed'
			AND NOT EXISTS (SELECT FROM statement_lines l WHERE l.external_ref = p.external_ref)
			AND NOT EXISTS (SELECT FROM discrepancies d WHERE d.external_ref = p.external_ref AND d.kind = 'missing_at_bank')
		ORDER BY p.transfer_id LIMIT $1`
	began := time.Now()
	rows, err := s.pool.Query(ctx, find, maxUnmatched)
	if err != nil {
		return nil, began, fmt.Errorf("find payments without a statement line: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p confirmedPayment, err error) {
		err = row.Scan(&p.ref, &p.transfer)
		return p, err
	})
	if err != nil {
		return nil, began, fmt.Errorf("find payments without a statement line: %w", err)
	}
	return found, began, nil
}

// recordMissing records a discrepancy for each payment that was confirmed before began and that the
// statement, read to its end, has lacked for longer than Config.StatementLag.
func (s *Settler) recordMissing(ctx context.Context, confirmed []confirmedPayment, began time.Time, r *Reconciliation) error {
	const lacking = `SELECT ref FROM unnest($1::text[]) AS c (ref)
		WHERE NOT EXISTS (SELECT FROM statement_lines l WHERE l.external_ref = c.ref)`
	refs := make([]string, len(confirmed))
	for i, p := range confirmed {
		refs[i] = p.ref
	}
	rows, err := s.pool.Query(ctx, lacking, refs)
	if err != nil {
		return fmt.Errorf("find payments that the statement lacks: %w", err)
	}
	absent, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("find payments that the statement lacks: %w", err)
	}
	late := s.missingLines.overdue(absent, began, s.config.StatementLag)
	for _, p := range confirmed {
		if !late[p.ref] {
			continue
		}
		d := Discrepancy{
			Kind: MissingAtBank, Ref: p.ref, Transfer: p.transfer,
			Detail: "the bank confirmed it, its statement does not have it",
		}
		if err := s.recordDiscrepancy(ctx, d, r); err != nil {
			return err
		}
	}
	return nil
}

// overdue stores which references a reconciliation did not find that started at the time began. It
// returns those that an earlier reconciliation, started at least lag before, did not find either.
func (m *missingLines) overdue(absent []string, began time.Time, lag time.Duration) map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	since, late := make(map[string]time.Time, len(absent)), make(map[string]bool)
	for _, ref := range absent {
		first, known := m.since[ref]
		if !known || began.Before(first) { // a concurrent reconciliation that began earlier ends later
			first = began
		}
		since[ref] = first
		late[ref] = began.Sub(first) >= lag
	}
	m.since = since
	return late
}

// closeResolved closes the discrepancies about missing lines whose line has arrived. Other
// discrepancies stay open, because no later line makes a wrong answer of the bank right.
func (s *Settler) closeResolved(ctx context.Context, r *Reconciliation) error {
	const closing = `INSERT INTO closed_discrepancies (discrepancy_id, cause)
		SELECT d.id, 'statement line ' || min(l.seq)
		FROM discrepancies d JOIN statement_lines l ON l.external_ref = d.external_ref
		WHERE d.kind = 'missing_at_bank' AND NOT EXISTS (SELECT FROM closed_discrepancies c WHERE c.discrepancy_id = d.id)
		GROUP BY d.id
		ON CONFLICT (discrepancy_id) DO NOTHING`
	closed, err := s.pool.Exec(ctx, closing)
	if err != nil {
		return fmt.Errorf("close resolved discrepancies: %w", err)
	}
	r.Closed = int(closed.RowsAffected())
	if r.Closed > 0 {
		s.log.Info("discrepancies closed: the bank's statement now has the missing lines", "count", r.Closed)
	}
	return nil
}
