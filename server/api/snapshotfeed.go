package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/JDevAman/kizo/openapi"
)

// snapshotFeed sends the state of queues and health to the streams of operators. It takes one
// snapshot per second for all subscribers together, and none while there is no subscriber.
type snapshotFeed struct {
	take func(context.Context) openapi.OpsSnapshot
	log  *slog.Logger

	mu          sync.Mutex
	subscribers map[chan []byte]struct{}
	running     bool
}

const (
	snapshotInterval = time.Second
	snapshotTimeout  = 900 * time.Millisecond
)

func newSnapshotFeed(take func(context.Context) openapi.OpsSnapshot, log *slog.Logger) *snapshotFeed {
	return &snapshotFeed{take: take, log: log, subscribers: make(map[chan []byte]struct{})}
}

// subscribe returns a channel of snapshots as JSON. A slow subscriber misses snapshots and receives
// the newest. The caller must call unsubscribe.
func (f *snapshotFeed) subscribe() (snapshots <-chan []byte, unsubscribe func()) {
	own := make(chan []byte, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subscribers[own] = struct{}{}
	if !f.running {
		f.running = true
		go f.run()
	}
	return own, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.subscribers, own)
	}
}

func (f *snapshotFeed) run() {
	tick := time.NewTicker(snapshotInterval)
	defer tick.Stop()
	for f.hasSubscribers() {
		f.publish()
		<-tick.C
	}
}

// hasSubscribers reports whether run is to continue. If not, the next subscriber starts it again.
func (f *snapshotFeed) hasSubscribers() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = len(f.subscribers) > 0
	return f.running
}

// publish takes a snapshot and sends it to all subscribers.
func (f *snapshotFeed) publish() {
	ctx, cancel := context.WithTimeout(context.Background(), snapshotTimeout)
	defer cancel()
	snapshot, err := json.Marshal(f.take(ctx))
	if err != nil {
		f.log.Error("cannot encode a snapshot", "error", err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for subscriber := range f.subscribers {
		select {
		case <-subscriber: // discards a snapshot that was not read
		default:
		}
		subscriber <- snapshot // does not block: only publish sends, and it holds the lock
	}
}
