package api

import (
	"context"
	"encoding/json"
	"github.com/JDevAman/kizo/openapi"
	"log/slog"
	"sync"
	"time"
)

// board shows operators the state of queues and health: one snapshot a second for
// all who watch, none when nobody does.
type board struct {
	take func(context.Context) openapi.OpsSnapshot
	log  *slog.Logger

	mu       sync.Mutex
	watchers map[chan []byte]struct{}
	running  bool
}

const (
	snapshotEvery  = time.Second
	snapshotWithin = 900 * time.Millisecond
)

func newBoard(take func(context.Context) openapi.OpsSnapshot, log *slog.Logger) *board {
	return &board{take: take, log: log, watchers: make(map[chan []byte]struct{})}
}

// watch begins to watch. A watcher that is slow misses snapshots, and gets the newest.
func (b *board) watch() (snapshots <-chan []byte, leave func()) {
	mine := make(chan []byte, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers[mine] = struct{}{}
	if !b.running {
		b.running = true
		go b.run()
	}
	return mine, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, mine)
	}
}

func (b *board) run() {
	tick := time.NewTicker(snapshotEvery)
	defer tick.Stop()
	for b.watched() {
		b.show()
		<-tick.C
	}
}

func (b *board) watched() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = len(b.watchers) > 0
	return b.running
}

func (b *board) show() {
	ctx, cancel := context.WithTimeout(context.Background(), snapshotWithin)
	defer cancel()
	snapshot, err := json.Marshal(b.take(ctx))
	if err != nil {
		b.log.Error("a snapshot cannot be written", "error", err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for watcher := range b.watchers {
		select {
		case <-watcher: // the one that it has not read
		default:
		}
		watcher <- snapshot // has room: only we write, under the lock
	}
}
