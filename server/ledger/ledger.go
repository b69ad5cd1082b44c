package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/cache"
)

// Config of a Ledger; only Pool is required.
type Config struct {
	Pool        *pgxpool.Pool // connects as the application's role
	Committers  int           // batches under way at once; 2 when 0
	MaxBatch    int           // commands in a batch; 512 when 0
	MaxLine     int           // commands that may wait; 8192 when 0, beyond it Unavailable
	Patience    time.Duration // how long a batch is tried while the database is away; 8 s when 0
	LockTimeout time.Duration // how long a batch waits for rows that another session keeps locked; 1 s when 0
	Logger      *slog.Logger
	OnBatch     func(BatchStats) // called after each batch, from its committer

	MaxSearched        int // transfers on either side of a wallet that a page of a search looks at; 20,000 when 0
	MaxListeners       int // to events, in all; 4096 when 0, beyond it Unavailable
	MaxListenersOfUser int // 16 when 0, beyond it TooManyStreams
}

// BatchStats describes one batch that was carried out.
type BatchStats struct {
	Commands int
	Duration time.Duration // from the first statement to the COMMIT's answer
}

// Ledger takes commands from any number of goroutines.
type Ledger struct {
	pool   *pgxpool.Pool
	config Config
	log    *slog.Logger
	intake *intake
	rules  rules
	// Accounts are never deleted or handed on, so both are right for ever.
	ids          *cache.Map[walletKey, int64]
	owners       *cache.Map[int64, uuid.UUID] // uuid.Nil for the house's own
	lockTimeouts atomic.Uint64
	done         sync.WaitGroup
	feed         *feed
	months       *monthMemory
}

// Open starts a ledger on a migrated database. Close it to let it finish.
func Open(config Config) *Ledger {
	config.Committers = orDefault(config.Committers, 2)
	config.MaxBatch = orDefault(config.MaxBatch, 512)
	config.MaxLine = orDefault(config.MaxLine, 8192)
	config.MaxSearched = orDefault(config.MaxSearched, 20_000)
	config.MaxListeners = orDefault(config.MaxListeners, 4096)
	config.MaxListenersOfUser = orDefault(config.MaxListenersOfUser, 16)
	if config.Patience == 0 {
		config.Patience = 8 * time.Second
	}
	if config.LockTimeout == 0 {
		config.LockTimeout = time.Second
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.OnBatch == nil {
		config.OnBatch = func(BatchStats) {}
	}
	l := &Ledger{
		pool:   config.Pool,
		config: config,
		log:    config.Logger,
		intake: newIntake(config.MaxLine, worthWhile),
		rules:  rules{decide: (*book).decide, tune: fmt.Sprintf(tune, config.LockTimeout.Milliseconds())},
		ids:    cache.New[walletKey, int64](1 << 20),
		owners: cache.New[int64, uuid.UUID](1 << 20),
	}
	l.feed, l.months = newFeed(l), newMonthMemory()
	for range config.Committers {
		l.done.Go(l.commitLoop)
	}
	l.done.Go(l.watchLocks)
	return l
}

// Close refuses new commands, carries out those in line, and returns when the
// last has its outcome or ctx ends.
func (l *Ledger) Close(ctx context.Context) error {
	l.intake.close()
	finished := make(chan struct{})
	go func() {
		l.feed.close()
		l.done.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Waiting is how many commands are in line.
func (l *Ledger) Waiting() int { return l.intake.len() }

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}
