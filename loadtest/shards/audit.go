package shards

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/ledger"
)

// half is one side of a transfer between shards.
type half struct {
	held   uuid.UUID // id of the withdrawal
	state  ledger.State
	amount int64
	shard  int
}

// Audit audits each shard, and then compares the two sides of every transfer between shards:
//
//   - money that a payee has got was held at the payer, in the same amount, and is still held or
//     has left the payer;
//   - money that has left a payer has reached a payee;
//   - a transfer that has ended at the payer has ended at the payee.
//
// It may run beside transfers: the sides that can be ahead are read first. In flight is what is
// held for deposits that have not ended.
func (r *Router) Audit(ctx context.Context) (inFlight int64, err error) {
	for i, s := range r.Shards {
		report, err := ledger.Audit(ctx, s.Pool)
		if err != nil {
			return 0, fmt.Errorf("audit shard %d: %w", i, err)
		}
		if !report.OK() {
			return 0, fmt.Errorf("the audit of shard %d failed: %+v", i, report)
		}
	}
	const (
		withdrawals = `SELECT t.id, t.state, p.amount FROM payments p JOIN transfers t ON t.id = p.transfer_id
			WHERE p.direction = 'withdrawal' AND t.memo LIKE 'to user %'`
		deposits = `SELECT substr(t.idem_key, 7)::uuid, t.state, t.amount FROM transfers t
			WHERE t.kind = 'deposit' AND t.idem_key LIKE 'shard-%'`
	)
	left, err := r.halves(ctx, withdrawals)
	if err != nil {
		return 0, err
	}
	arrived, err := r.halves(ctx, deposits)
	if err != nil {
		return 0, err
	}
	for id, w := range left {
		if d := arrived[id]; w.state == ledger.Posted && (d.state != ledger.Posted || d.amount != w.amount || d.shard == w.shard) {
			return 0, fmt.Errorf("transfer %s has left its payer (%+v) and not arrived (%+v)", id, w, d)
		}
		if d := arrived[id]; w.state != ledger.Pending && d.state == ledger.Pending {
			return 0, fmt.Errorf("transfer %s has ended at its payer (%+v) and is open at its payee (%+v)", id, w, d)
		}
	}
	if left, err = r.halves(ctx, withdrawals); err != nil {
		return 0, err
	}
	for id, d := range arrived {
		w := left[id]
		if d.state == ledger.Posted && (w.state != ledger.Posted && w.state != ledger.Pending || d.amount != w.amount) {
			return 0, fmt.Errorf("transfer %s has arrived (%+v), and its payer has (%+v)", id, d, w)
		}
	}
	for id, w := range left {
		if w.state == ledger.Pending && arrived[id].state != ledger.Posted {
			inFlight += w.amount
		}
	}
	return inFlight, nil
}

// halves reads one side of the transfers between shards, from all shards.
func (r *Router) halves(ctx context.Context, query string) (map[uuid.UUID]half, error) {
	found := make(map[uuid.UUID]half)
	for i, s := range r.Shards {
		rows, err := s.Pool.Query(ctx, query)
		if err != nil {
			return nil, fmt.Errorf("read the transfers between shards: %w", err)
		}
		h := half{shard: i}
		_, err = pgx.ForEachRow(rows, []any{&h.held, &h.state, &h.amount}, func() error {
			if earlier, ok := found[h.held]; ok {
				return fmt.Errorf("transfer %s is on two shards: %+v and %+v", h.held, earlier, h)
			}
			found[h.held] = h
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the transfers between shards: %w", err)
		}
	}
	return found, nil
}
