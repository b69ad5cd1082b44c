package ledger

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// maxSummedPostings is how many postings one summary adds up for one wallet.
	maxSummedPostings = 100_000
	// minCachedPostings is the smallest number of postings whose sum is cached: fewer are quickly
	// added up again.
	minCachedPostings = 500
	// maxCachedMonths is the number of wallets whose sums are cached.
	maxCachedMonths = 1 << 16
)

// monthSum is the money that a range of postings added to and took from a wallet. Postings never
// change, so that a sum stays valid, and later postings can be added to it.
type monthSum struct {
	after, upTo int64     // seq; the range excludes after and includes upTo
	next        uuid.UUID // transfers with their own postings that come after the range have ids from here on
	in, out     *int64    // minor units; nil if JSON cannot represent the sum exactly
}

// add returns the sum of two adjacent ranges.
func (s monthSum) add(next monthSum) monthSum {
	return monthSum{s.after, next.upTo, next.next, exact(s.in, next.in), exact(s.out, next.out)}
}

func exact(a, b *int64) *int64 {
	if a == nil || b == nil || *a+*b >= balanceLimit {
		return nil
	}
	sum := *a + *b
	return &sum
}

// monthCache holds the sums of wallets with many postings, up to maxCachedMonths.
type monthCache struct {
	maxSummed int64 // postings added up at once
	mu        sync.Mutex
	sums      map[AccountID]monthSum
}

func newMonthCache() *monthCache {
	return &monthCache{maxSummed: maxSummedPostings, sums: make(map[AccountID]monthSum)}
}

// start returns the cached sum of postings after after and at most up to upTo, or the empty sum.
// The first posting after after has a time from since on.
func (m *monthCache) start(account AccountID, after, upTo int64, since time.Time) monthSum {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.sums[account]; ok && known.after == after && known.upTo <= upTo {
		return known
	}
	return monthSum{after, after, firstTransferID(since), new(int64), new(int64)}
}

func (m *monthCache) keep(account AccountID, sum monthSum) {
	if sum.upTo-sum.after < minCachedPostings {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.sums[account]; !known && len(m.sums) >= maxCachedMonths {
		for old := range m.sums { // evict an arbitrary entry: it can be added up again
			delete(m.sums, old)
			break
		}
	}
	m.sums[account] = sum
}

// readMonth sets In, Out and Count. If more than maxSummedPostings postings remain to be added up,
// In and Out stay nil, and the next summary continues.
func (w *WalletSummary) readMonth(ctx context.Context, tx pgx.Tx, monthStart time.Time, cache *monthCache) error {
	// Own postings have no index by seq. All after $2 have ids from $4 on, and those up to $3 are
	// among the first $3 - $2 of them. ANY (ARRAY[…]): see listSQL.
	const add = `SELECT CASE WHEN came < 9007199254740992 THEN came::bigint END, CASE WHEN went < 9007199254740992 THEN went::bigint END, latest
		FROM (SELECT COALESCE(sum(amount) FILTER (WHERE amount > 0), 0) AS came,
				COALESCE(-sum(amount) FILTER (WHERE amount < 0), 0) AS went, max(posted_at) AS latest
			FROM (
				SELECT amount, posted_at FROM postings WHERE account_id = $1 AND seq > $2 AND seq <= $3
				UNION ALL
				SELECT -posted_amount, resolved_at FROM (SELECT * FROM transfers
					WHERE debit_account = ANY (ARRAY[$1::bigint]) AND id >= $4 AND debit_seq IS NOT NULL
					ORDER BY debit_account, id LIMIT $3 - $2) t WHERE debit_seq <= $3
				UNION ALL
				SELECT posted_amount, resolved_at FROM (SELECT * FROM transfers
					WHERE credit_account = ANY (ARRAY[$1::bigint]) AND id >= $4 AND debit_seq IS NOT NULL
					ORDER BY credit_account, id LIMIT $3 - $2) t WHERE credit_seq <= $3) p) m`
	w.Count = w.seq - w.before
	sum := cache.start(w.account, w.before, w.seq, monthStart)
	next := monthSum{after: sum.upTo, upTo: min(w.seq, sum.upTo+cache.maxSummed)}
	if next.upTo > next.after {
		var latest time.Time
		if err := tx.QueryRow(ctx, add, planEachTime, w.account, next.after, next.upTo, sum.next).
			Scan(&next.in, &next.out, &latest); err != nil {
			return err
		}
		next.next = firstTransferID(latest.Add(time.Microsecond))
		sum = sum.add(next)
		cache.keep(w.account, sum)
	}
	if sum.upTo == w.seq {
		w.In, w.Out = sum.in, sum.out
	}
	return nil
}
