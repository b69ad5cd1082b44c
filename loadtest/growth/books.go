package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/ledger"
)

const (
	funds = 1_000_000_000 // minor units of each wallet
	busy  = 0             // has a tenth of all postings
	quiet = 1             // has a handful
	few   = 5             // transfers of the quiet one
)

// books are one database and the people whose wallets it has.
type books struct {
	name      string
	pg        *embedded.Postgres
	owners    []uuid.UUID
	transfers atomic.Int64 // that the ledger said it had posted
}

// openBooks makes a database and funds its wallets by the ledger's own door.
func openBooks(ctx context.Context, pg *embedded.Postgres, name string, accounts int) (*books, error) {
	k := &books{name: name, pg: pg, owners: make([]uuid.UUID, accounts)}
	if err := pg.EnsureDatabase(ctx, name); err != nil {
		return nil, err
	}
	if err := migrations.Apply(ctx, pg.URL(name, embedded.OwnerRole)); err != nil {
		return nil, err
	}
	for i := range k.owners {
		owner, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		k.owners[i] = owner
	}
	err := k.with(ctx, func(l *ledger.Ledger) error {
		var next atomic.Int64
		err := together(min(256, accounts), func(int) error {
			for i := next.Add(1) - 1; i < int64(accounts); i = next.Add(1) - 1 {
				if err := fund(ctx, l, k.owners[i]); err != nil {
					return err
				}
			}
			return nil
		})
		for range few {
			err = errors.Join(err, k.transfer(ctx, l, busy, quiet))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fund %s: %w", name, err)
	}
	return k, nil
}

func fund(ctx context.Context, l *ledger.Ledger, owner uuid.UUID) error {
	if _, err := l.OpenWallet(ctx, owner, "USD"); err != nil {
		return err
	}
	deposit, err := l.OpenDeposit(ctx, ledger.Order{Owner: owner, Key: "fund", Amount: money.Amount{Minor: funds, Currency: "USD"}})
	if err != nil {
		return err
	}
	_, err = l.Settle(ctx, ledger.Settlement{Transfer: deposit.Transfer.ID, Executed: true})
	return err
}

// postings are two for each transfer and for each deposit that funded a wallet.
func (k *books) postings() int64 { return 2 * (k.transfers.Load() + int64(len(k.owners))) }

// with opens a ledger with connections of its own, as a kizod that has just been
// started. When they are gone, PostgreSQL has counted all that they did.
func (k *books) with(ctx context.Context, use func(*ledger.Ledger) error) error {
	return k.connected(ctx, func(pool *pgxpool.Pool) error {
		l := ledger.Open(ledger.Config{Pool: pool, Patience: time.Minute})
		err := use(l)
		return errors.Join(err, l.Close(context.WithoutCancel(ctx)))
	})
}

func (k *books) connected(ctx context.Context, use func(*pgxpool.Pool) error) error {
	pool, err := pgxpool.New(ctx, k.pg.URL(k.name, embedded.AppRole))
	if err != nil {
		return err
	}
	err = use(pool)
	pool.Close()
	return err
}

func (k *books) transfer(ctx context.Context, l *ledger.Ledger, from, to int) error {
	_, err := l.Transfer(ctx, ledger.Order{
		Owner: k.owners[from], Key: uuid.NewString(), Payee: k.owners[to], Amount: money.Amount{Minor: 1, Currency: "USD"},
	})
	if err == nil {
		k.transfers.Add(1)
	}
	return err
}

// pair draws who pays whom: in a fifth of all cases the busy one is one of the two.
func (k *books) pair() (from, to int) {
	others := len(k.owners) - 2
	from, to = 2+rand.IntN(others), 2+rand.IntN(others) //nolint:gosec // a load, not a secret
	if to == from {
		to = 2 + (to-1)%others
	}
	switch rand.IntN(10) { //nolint:gosec // a load, not a secret
	case 0:
		from = busy
	case 1:
		to = busy
	}
	return from, to
}

// growTo lets many callers move money until there are so many postings.
func (k *books) growTo(ctx context.Context, size int64, callers int) error {
	left := atomic.Int64{}
	left.Store((size - k.postings() + 1) / 2)
	return k.with(ctx, func(l *ledger.Ledger) error {
		return together(callers, func(int) error {
			for left.Add(-1) >= 0 {
				from, to := k.pair()
				if err := k.transfer(ctx, l, from, to); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// load is what callers had of the ledger for a while.
type load struct {
	elapsed   time.Duration
	latencies []time.Duration // sorted
}

func (s load) rate() float64 { return float64(len(s.latencies)) / s.elapsed.Seconds() }

// drive lets callers move money for a while, one transfer after the other.
func (k *books) drive(ctx context.Context, callers int, length time.Duration) (load, error) {
	latencies := make([][]time.Duration, callers)
	var elapsed time.Duration
	err := k.with(ctx, func(l *ledger.Ledger) error {
		start := time.Now()
		deadline := start.Add(length)
		err := together(callers, func(caller int) error {
			for began := time.Now(); began.Before(deadline); {
				from, to := k.pair()
				if err := k.transfer(ctx, l, from, to); err != nil {
					return err
				}
				ended := time.Now()
				latencies[caller] = append(latencies[caller], ended.Sub(began))
				began = ended
			}
			return nil
		})
		elapsed = time.Since(start)
		return err
	})
	all := slices.Concat(latencies...)
	slices.Sort(all)
	return load{elapsed, all}, err
}

// trickle begins transfers at a fixed pace until told to stop, whether or not those
// before have ended; an answer's time counts from when its transfer was due.
func (k *books) trickle(ctx context.Context, l *ledger.Ledger, perSecond int, stop <-chan struct{}) (load, error) {
	var (
		mu        sync.Mutex
		latencies []time.Duration
		first     error
		running   sync.WaitGroup
	)
	start := time.Now()
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for {
		select {
		case <-stop:
			running.Wait()
			slices.Sort(latencies)
			return load{time.Since(start), latencies}, first
		case due := <-tick.C:
			running.Go(func() {
				from, to := k.pair()
				err := k.transfer(ctx, l, from, to)
				mu.Lock()
				defer mu.Unlock()
				latencies = append(latencies, time.Since(due))
				if first == nil {
					first = err
				}
			})
		}
	}
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// together runs n workers and returns the first of their errors: the others say the
// same.
func together(n int, work func(worker int) error) error {
	var group sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		group.Go(func() { errs[i] = work(i) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
