package settle

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// missing remembers which confirmed payments the bank's statement lacks, and since when:
//
//	payment confirmed ─► look 1 begins, reads the statement to its end: no line
//	                                 └─ Config.StatementLag ─► look n begins, …: still no line ─► discrepancy
//
// A look begins after the confirmation if it finds the payment confirmed before it asks the
// bank. That is an order of events and no comparison of times, so no clock that jumps can
// make a discrepancy. The lag is measured by this process's monotonic clock; a process that
// starts anew measures it anew.
type missing struct {
	mu    sync.Mutex
	since map[string]time.Time // when the first look began that did not find the line, by the bank's ref
}

// confirmedPayment is one that the bank confirmed.
type confirmedPayment struct {
	ref      string
	transfer uuid.UUID
}

// withoutLine are the confirmed payments that have no statement line yet, the oldest first, and
// when they were asked for.
func (s *Settler) withoutLine(ctx context.Context) ([]confirmedPayment, time.Time, error) {
	const find = `SELECT p.external_ref, p.transfer_id FROM payments p
		WHERE p.state = 'executed'
			AND NOT EXISTS (SELECT FROM statement_lines l WHERE l.external_ref = p.external_ref)
			AND NOT EXISTS (SELECT FROM discrepancies d WHERE d.external_ref = p.external_ref AND d.kind = 'missing_at_bank')
		ORDER BY p.transfer_id LIMIT $1`
	began := time.Now()
	rows, err := s.pool.Query(ctx, find, compareMissing)
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

// findMissing records the payments that were confirmed before a look began, and that the
// statement, read to its end, has lacked for as long as it may lag behind.
func (s *Settler) findMissing(ctx context.Context, confirmed []confirmedPayment, began time.Time, r *Reconciliation) error {
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
	late := s.missing.late(absent, began, s.config.StatementLag)
	for _, p := range confirmed {
		if !late[p.ref] {
			continue
		}
		d := Discrepancy{
			Kind: MissingAtBank, Ref: p.ref, Transfer: p.transfer,
			Detail: "the bank confirmed it, its statement does not have it",
		}
		if err := s.record(ctx, d, r); err != nil {
			return err
		}
	}
	return nil
}

// late notes that a look which began at that time did not find these lines, and tells which of
// them an earlier look, begun longer than lag before, did not find either.
func (m *missing) late(absent []string, began time.Time, lag time.Duration) map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	since, late := make(map[string]time.Time, len(absent)), make(map[string]bool)
	for _, ref := range absent {
		first, known := m.since[ref]
		if !known || began.Before(first) { // another look, begun earlier, ended later
			first = began
		}
		since[ref] = first
		late[ref] = began.Sub(first) >= lag
	}
	m.since = since
	return late
}

// closeResolved closes the discrepancies about missing lines whose line has come. Other
// discrepancies stay open: the bank's wrong answer is a fact that no later line changes.
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
		s.log.Info("discrepancies were closed, the bank's statement has what it lacked", "count", r.Closed)
	}
	return nil
}
