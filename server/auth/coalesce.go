package auth

import (
	"context"
	"sync"
	"time"
)

// coalescer answers many look-ups with few queries. While one query runs, all
// who ask wait in line; the next query takes them all, up to max keys:
//
//	ask a ─► query(a) ──────► answer
//	ask b ──┐
//	ask c ──┼─ wait ───────► query(b, c) ──► answers
//	ask b ──┘
//
// Nothing is cached and there is no timer. An answer comes from a query that
// began after it was asked for, so it is as fresh as a query of one's own; a
// lone caller waits for nobody.
type coalescer[K comparable, V any] struct {
	query   func(context.Context, []K) (map[K]V, error)
	max     int           // keys per query
	timeout time.Duration // of one query

	mu      sync.Mutex
	waiting []*lookUpRequest[K, V]
	running bool
}

type lookUpRequest[K comparable, V any] struct {
	key      K
	canceled <-chan struct{} // closed when the asker gave up
	done     chan struct{}   // closed when the answer below is written
	value    V
	found    bool
	err      error
}

// get returns the value of key and whether there is one. A caller whose ctx
// ends leaves at once, and the others of its query do not notice.
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

// run asks until the line is empty, then ends: an idle coalescer costs nothing.
func (c *coalescer[K, V]) run() {
	for {
		keys, askers := c.take()
		if len(keys) == 0 {
			return
		}
		c.answer(keys, askers)
	}
}

// take removes the front of the line: every asker until max different keys are
// reached, without those who left.
func (c *coalescer[K, V]) take() (keys []K, askers []*lookUpRequest[K, V]) {
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
		askers = append(askers, q)
	}
	c.waiting = append([]*lookUpRequest[K, V](nil), c.waiting[next:]...) // lets go of the answered ones
	c.running = len(keys) > 0
	return keys, askers
}

// answer runs one query on nobody's context: it belongs to all its askers.
func (c *coalescer[K, V]) answer(keys []K, askers []*lookUpRequest[K, V]) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	values, err := c.query(ctx, keys)
	for _, q := range askers {
		q.value, q.found = values[q.key]
		q.err = err
		close(q.done)
	}
}
