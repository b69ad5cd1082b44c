package ledger

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
)

const (
	// maxAdded is how many postings one summary adds up, at most, for one wallet.
	maxAdded = 100_000
	// worthKeeping is how many postings a sum is of, at least, to be remembered: fewer
	// are added up again as quickly as not.
	worthKeeping = 500
	// maxMonths is how many wallets' sums are remembered.
	maxMonths = 1 << 16
)

// monthSum is what came and went with the postings after one and up to another.
// Postings never change, so it is right for ever, and goes on from where it ended.
type monthSum struct {
	after, upTo int64  // seq
	in, out     *int64 // minor units; nil where JSON could not hold it exactly
}

// add is the sum of two that lie side by side.
func (s monthSum) add(next monthSum) monthSum {
	return monthSum{s.after, next.upTo, exact(s.in, next.in), exact(s.out, next.out)}
}

func exact(a, b *int64) *int64 {
	if a == nil || b == nil || *a+*b >= balanceLimit {
		return nil
	}
	sum := *a + *b
	return &sum
}

// monthMemory remembers the sums of wallets with many postings, up to a bound.
type monthMemory struct {
	most int64 // postings added up at once
	mu   sync.Mutex
	sums map[int64]monthSum // by account
}

func newMonthMemory() *monthMemory {
	return &monthMemory{most: maxAdded, sums: make(map[int64]monthSum)}
}

// start is the sum to go on from: of some postings after one, none of them beyond
// another.
func (m *monthMemory) start(account, after, upTo int64) monthSum {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.sums[account]; ok && known.after == after && known.upTo <= upTo {
		return known
	}
	return monthSum{after, after, new(int64), new(int64)}
}

func (m *monthMemory) keep(account int64, sum monthSum) {
	if sum.upTo-sum.after < worthKeeping {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.sums[account]; !known && len(m.sums) >= maxMonths {
		for old := range m.sums { // any one will do: it costs one adding up to have it back
			delete(m.sums, old)
			break
		}
	}
	m.sums[account] = sum
}

// readMonth says what came and went this month. Where more than maxAdded postings are
// left to be added up it does not say, and the next summary goes on from there.
func (w *WalletSummary) readMonth(ctx context.Context, tx pgx.Tx, memory *monthMemory) error {
	const add = `SELECT CASE WHEN came < 9007199254740992 THEN came::bigint END, CASE WHEN went < 9007199254740992 THEN went::bigint END
		FROM (SELECT COALESCE(sum(amount) FILTER (WHERE amount > 0), 0) AS came, COALESCE(-sum(amount) FILTER (WHERE amount < 0), 0) AS went
			FROM postings WHERE account_id = $1 AND seq > $2 AND seq <= $3) m`
	w.Count = w.seq - w.before
	sum := memory.start(w.account, w.before, w.seq)
	next := monthSum{after: sum.upTo, upTo: min(w.seq, sum.upTo+memory.most)}
	if next.upTo > next.after {
		if err := tx.QueryRow(ctx, add, planned, w.account, next.after, next.upTo).Scan(&next.in, &next.out); err != nil {
			return err
		}
		sum = sum.add(next)
		memory.keep(w.account, sum)
	}
	if sum.upTo == w.seq {
		w.In, w.Out = sum.in, sum.out
	}
	return nil
}
