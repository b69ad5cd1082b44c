package auth

import (
	"context"
	"sync"
	"time"
)

// coalescer combines many look-ups into few queries. While a query runs, further look-ups
// wait; the next query serves all of them, up to max keys:
//
//	get a ─► query(a) ──────► result
//	get b ──┐
//	get c ──┼─ wait ───────► query(b, c) ──► results
//	get b ──┘
//
// It caches nothing and has no timer. Each result comes from a query that began after the
// call of get, so it is as recent as that of a separate query. A single caller does not wait.
type coalescer[K comparable, V any] struct {
	query   func(context.Context, []K) (map[K]V, error)
	max     int           // keys per query
	timeout time.Duration // of one query

	mu      sync.Mutex
	waiting []*lookUpRequest[K, V]
	running bool
}

// lookUpRequest is one call of get.
type lookUpRequest[K comparable, V any] struct {
	key      K
	canceled <-chan struct{} // closed when the caller's context ends
	done     chan struct{}   // closed when the fields below are set
	value    V
	found    bool
	err      error
}

// get returns the value of key and whether there is one. It returns at once when ctx ends,
// which does not affect the other callers of the query.
func (c *coalescer[K, V]) get(ctx context.Context, key K) (V, bool, error) {
	q := &lookUpRequest[K, V]{key: key, canceled: ctx.Done(), done: make(chan struct{})}
	c.mu.Lock()
	c.waiting = append(c.waiting, q)
	if !c.running {
		c.running = true
		go c.run()
	}
	c.mu.Unlock()
	select {
	case <-q.done:
		return q.value, q.found, q.err
	case <-ctx.Done():
		var none V
		return none, false, ctx.Err()
	}
}

// run queries until no look-up waits, and then ends: an idle coalescer has no goroutine.
func (c *coalescer[K, V]) run() {
	for {
		keys, requests := c.take()
		if len(keys) == 0 {
			return
		}
		c.answer(keys, requests)
	}
}

// take removes the first waiting look-ups, up to max different keys, and skips canceled
// ones.
func (c *coalescer[K, V]) take() (keys []K, requests []*lookUpRequest[K, V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := map[K]bool{}
	next := 0
	for ; next < len(c.waiting); next++ {
		q := c.waiting[next]
		select {
		case <-q.canceled:
			continue
		default:
		}
		if !taken[q.key] {
			if len(keys) == c.max {
				break
			}
			taken[q.key] = true
			keys = append(keys, q.key)
		}
		requests = append(requests, q)
	}
	c.waiting = append([]*lookUpRequest[K, V](nil), c.waiting[next:]...) // releases the memory of the others
	c.running = len(keys) > 0
	return keys, requests
}

// answer runs one query. It has a context of its own, because it serves several callers.
func (c *coalescer[K, V]) answer(keys []K, requests []*lookUpRequest[K, V]) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	values, err := c.query(ctx, keys)
	for _, q := range requests {
		q.value, q.found = values[q.key]
		q.err = err
		close(q.done)
	}
}
