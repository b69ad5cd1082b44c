package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/loadtest/plain"
	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/ledger"
)

const database = "kizo"

// bench is one PostgreSQL with the two ways of moving money on it.
type bench struct {
	options
	out    io.Writer
	dir    string
	pg     *embedded.Postgres
	fsync  time.Duration // what one write and fdatasync takes here
	pool   *pgxpool.Pool // the ledger's, as the application's role
	ledger *ledger.Ledger
	plain  *plain.Ledger
	owners []uuid.UUID

	accepted          atomic.Int64 // transfers that the ledger said it had posted
	batches, commands atomic.Int64
	committing        atomic.Int64 // nanoseconds, over all batches
}

func openBench(ctx context.Context, o options, out io.Writer) (_ *bench, err error) {
	b := &bench{options: o, out: out}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.dir, err = os.MkdirTemp("", "kizo-bench-"); err != nil {
		return b, err
	}
	if err := os.Chmod(b.dir, 0o711); err != nil { //nolint:gosec // under root PostgreSQL runs as somebody else, who has to pass
		return b, err
	}
	if b.fsync, err = rig.SyncTime(b.dir); err != nil {
		return b, err
	}
	if b.pg, err = embedded.StartPostgres(ctx, embedded.PostgresConfig{Dir: b.dir, Settings: o.settings}); err != nil {
		return b, err
	}
	if err := b.pg.EnsureDatabase(ctx, database); err != nil {
		return b, err
	}
	if err := migrations.Apply(ctx, b.pg.URL(database, embedded.OwnerRole)); err != nil {
		return b, err
	}
	if err := b.alter(ctx); err != nil {
		return b, err
	}
	if b.pool, err = pgxpool.New(ctx, b.pg.URL(database, embedded.AppRole)); err != nil {
		return b, err
	}
	b.ledger = ledger.Open(ledger.Config{Pool: b.pool, Committers: o.committers, OnBatch: func(s ledger.BatchStats) {
		b.batches.Add(1)
		b.commands.Add(int64(s.Commands))
		b.committing.Add(int64(s.Duration))
	}})
	b.plain, err = plain.Open(ctx, b.pg.URL(database, embedded.OwnerRole), o.rivalConns, o.accounts, funds)
	return b, err
}

// alter changes the schema for this run, as asked.
func (b *bench) alter(ctx context.Context) error {
	if len(b.statements) == 0 {
		return nil
	}
	conn, err := pgx.Connect(ctx, b.pg.URL(database, embedded.OwnerRole))
	if err != nil {
		return err
	}
	for _, statement := range b.statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", statement, err), conn.Close(ctx))
		}
		fmt.Fprintln(b.out, "for this run:", statement)
	}
	return conn.Close(ctx)
}

func (b *bench) close() error {
	var err error
	if b.ledger != nil {
		err = b.ledger.Close(context.Background())
	}
	if b.pool != nil {
		b.pool.Close()
	}
	if b.plain != nil {
		b.plain.Close()
	}
	if b.pg != nil {
		err = errors.Join(err, b.pg.Kill()) // nobody reads the data again
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

const funds = 1_000_000 // minor units of each account

func usd(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "USD"} }

// fund opens the wallets and pays into them by the ledger's own door.
func (b *bench) fund(ctx context.Context) error {
	began := time.Now()
	b.owners = make([]uuid.UUID, b.accounts)
	var next atomic.Int64
	err := together(min(b.callers, b.accounts), func(int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= b.accounts {
				return nil
			}
			owner, err := uuid.NewV7()
			if err != nil {
				return err
			}
			if err := b.fundOne(ctx, owner); err != nil {
				return err
			}
			b.owners[i] = owner
		}
	})
	if err == nil {
		fmt.Fprintf(b.out, "%d accounts funded in %.1f s\n", b.accounts, time.Since(began).Seconds())
	}
	return err
}

func (b *bench) fundOne(ctx context.Context, owner uuid.UUID) error {
	if _, err := b.ledger.OpenWallet(ctx, owner, "USD"); err != nil {
		return err
	}
	deposit, err := b.ledger.OpenDeposit(ctx, ledger.Order{Owner: owner, Key: "fund", Amount: usd(funds)})
	if err != nil {
		return err
	}
	_, err = b.ledger.Settle(ctx, ledger.Settlement{Transfer: deposit.Transfer.ID, Executed: true})
	return err
}

// phase is one way of moving money, and what was measured of it.
type phase struct {
	name, title string
	hot         bool // one account receives everything
	grouped     bool // by the ledger
	move        func(ctx context.Context, from, to int) error
	samples     []sample
}

func (b *bench) phases() []*phase {
	all := []*phase{
		{name: "a", title: "one transaction per transfer", move: b.plain.Transfer},
		{name: "b", title: "the ledger, group commit", grouped: true, move: b.transfer},
		{name: "a'", title: "one transaction per transfer, one hot receiver", hot: true, move: b.plain.Transfer},
		{name: "b'", title: "the ledger, one hot receiver", hot: true, grouped: true, move: b.transfer},
	}
	if b.only == "" {
		return all
	}
	names := strings.Split(b.only, ",")
	return slices.DeleteFunc(all, func(p *phase) bool { return !slices.Contains(names, p.name) })
}

func (b *bench) transfer(ctx context.Context, from, to int) error {
	_, err := b.ledger.Transfer(ctx, ledger.Order{
		Owner: b.owners[from], Key: uuid.NewString(), Payee: b.owners[to], Amount: usd(1),
	})
	if err == nil {
		b.accepted.Add(1)
	}
	return err
}

// rounds runs the phases in turn, every other round backwards.
func (b *bench) rounds(ctx context.Context, phases []*phase) error {
	if b.warmUp > 0 {
		for _, p := range phases {
			if _, err := b.drive(ctx, p, b.warmUp); err != nil {
				return fmt.Errorf("warm up %s: %w", p.name, err)
			}
		}
	}
	stop, err := b.startProfile()
	if err != nil {
		return err
	}
	defer stop()
	for round := range b.options.rounds {
		turn := slices.Clone(phases)
		if round%2 == 1 {
			slices.Reverse(turn)
		}
		for _, p := range turn {
			s, err := b.drive(ctx, p, b.duration)
			if err != nil {
				return fmt.Errorf("phase %s: %w", p.name, err)
			}
			p.samples = append(p.samples, s)
			fmt.Fprintf(b.out, "round %d  %-2s  %7.0f transfers/s   (load %s)\n", round+1, p.name, s.rate(), rig.Load())
		}
	}
	return nil
}

func (b *bench) startProfile() (stop func(), err error) {
	if b.profile == "" {
		return func() {}, nil
	}
	file, err := os.Create(b.profile)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { pprof.StopCPUProfile(); _ = file.Close() }, nil
}

// drive lets the callers move money for a while.
func (b *bench) drive(ctx context.Context, p *phase, length time.Duration) (sample, error) {
	latencies := make([][]time.Duration, b.callers)
	before, err := b.gauge(ctx)
	if err != nil {
		return sample{}, err
	}
	deadline := before.at.Add(length)
	err = together(b.callers, func(caller int) error {
		for began := time.Now(); began.Before(deadline); {
			from, to := pair(b.accounts, p.hot)
			if err := p.move(ctx, from, to); err != nil {
				return err
			}
			ended := time.Now()
			latencies[caller] = append(latencies[caller], ended.Sub(began))
			began = ended
		}
		return nil
	})
	if err != nil {
		return sample{}, err
	}
	after, err := b.gauge(ctx)
	if err != nil {
		return sample{}, err
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	return sample{spent: after.minus(before), latencies: all}, nil
}

// pair draws two different accounts; when hot, the receiver is always the first.
func pair(accounts int, hot bool) (from, to int) {
	if hot {
		return 1 + rand.IntN(accounts-1), 0 //nolint:gosec // a load, not a secret
	}
	from, to = rand.IntN(accounts), rand.IntN(accounts-1) //nolint:gosec // a load, not a secret
	if to >= from {
		to++
	}
	return from, to
}

// together runs n workers and returns the first error of each, joined.
func together(n int, work func(worker int) error) error {
	var group sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		group.Go(func() { errs[i] = work(i) })
	}
	group.Wait()
	return errors.Join(errs...)
}
