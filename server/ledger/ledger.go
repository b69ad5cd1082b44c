package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/cache"
)

// Config of a Ledger; only Pool is required.
type Config struct {
	Pool         *pgxpool.Pool // connects as the application's role
	Committers   int           // batches in flight at once; 2 if 0
	MaxBatch     int           // commands in a batch; 512 if 0
	MaxQueue     int           // commands that may wait; 8192 if 0; further ones get Unavailable
	BatchTimeout time.Duration // how long a batch is retried while the database is unavailable; 8 s if 0
	LockTimeout  time.Duration // how long a batch waits for rows that another session keeps locked; 1 s if 0
	Logger       *slog.Logger
	OnBatch      func(BatchStats) // called after each batch, from its committer

	MaxSearched        int // debits and credits of a wallet, each, that one page of a search reads; 20,000 if 0
	MaxListeners       int // event listeners of all users; 4096 if 0; further ones get Unavailable
	MaxListenersOfUser int // event listeners of one user; 16 if 0; further ones get TooManyStreams
}

// BatchStats describes one committed batch.
type BatchStats struct {
	Commands int
	Duration time.Duration // from the first statement to the answer to the COMMIT
}

// Ledger changes and reads the books. Its methods may be called from any number of goroutines.
type Ledger struct {
	pool   *pgxpool.Pool
	config Config
	log    *slog.Logger
	queue  *commandQueue
	rules  rules
	// Accounts are never deleted and never change their owner, so both stay valid.
	accountIDs   *cache.Map[walletKey, AccountID]
	owners       *cache.Map[AccountID, UserID] // the zero id for a system account
	lockTimeouts atomic.Uint64
	background   sync.WaitGroup
	feed         *feed
}

// Open starts a ledger on a migrated database. The caller must close it.
func Open(config Config) *Ledger {
	config.Committers = orDefault(config.Committers, 2)
	config.MaxBatch = orDefault(config.MaxBatch, 512)
	config.MaxQueue = orDefault(config.MaxQueue, 8192)
	config.MaxSearched = orDefault(config.MaxSearched, 20_000)
	config.MaxListeners = orDefault(config.MaxListeners, 4096)
	config.MaxListenersOfUser = orDefault(config.MaxListenersOfUser, 16)
	if config.BatchTimeout == 0 {
		config.BatchTimeout = 8 * time.Second
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
		queue:  newCommandQueue(config.MaxQueue, minParallelBatch),
		rules: rules{
			decide:       (*batch).decide,
			tune:         fmt.Sprintf(tune, config.LockTimeout.Milliseconds()),
			tuneUnlocked: fmt.Sprintf(tuneUnlocked, min(unlockedTimeout, config.LockTimeout).Milliseconds()),
			remembered:   newRememberedAccounts(1 << 17),
		},
		accountIDs: cache.New[walletKey, AccountID](1 << 20),
		owners:     cache.New[AccountID, UserID](1 << 20),
	}
	l.feed = newFeed(l)
	for range config.Committers {
		l.background.Go(l.commitLoop)
	}
	l.background.Go(l.watchLocks)
	return l
}

// Close rejects new commands and commits those in the queue. It returns when the last one has its
// outcome, or with the error of ctx when ctx ends.
func (l *Ledger) Close(ctx context.Context) error {
	l.queue.close()
	finished := make(chan struct{})
	go func() {
		l.feed.close()
		l.background.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// QueueLength returns how many commands wait for the next batch.
func (l *Ledger) QueueLength() int { return l.queue.len() }

func orDefault(n, defaultValue int) int {
	if n == 0 {
		return defaultValue
	}
	return n
}
