package monitoring

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// cachedProbe caches the result of a query to a dependency that may be slow or unavailable, for
// many callers:
//
//	get ──the result is younger than freshFor──► the result
//	  └──otherwise: start the query, or join the running one
//	       ├──it ends in time──► its result
//	       └──ctx ends first───► the last result if it is younger than maxAge, else an error
//
// At most one query runs at a time. The first failure after a success is logged with its error,
// and so is the first success after a failure.
type cachedProbe[T any] struct {
	query func(context.Context) (T, error)
	name  string       // what the query reads, for the log
	log   *slog.Logger // no logging when nil

	// Results younger than this are reused; a query that has run for longer is not waited for.
	freshFor time.Duration

	mu      sync.Mutex
	last    T
	at      time.Time     // when last was read; zero where the last query failed
	err     error         // why the last query failed
	running chan struct{} // closed when the running query ends; nil if none runs
	started time.Time     // when the running query started
}

// queryTimeout bounds a query, if the query respects its context.
const queryTimeout = 5 * time.Second

var errNoResult = errors.New("no result in time")

// get returns a result that is no older than maxAge or freshFor, whichever is longer.
func (p *cachedProbe[T]) get(ctx context.Context, maxAge time.Duration) (T, error) {
	p.mu.Lock()
	if time.Since(p.at) < p.freshFor {
		defer p.mu.Unlock()
		return p.last, nil
	}
	if p.running == nil {
		p.running, p.started = make(chan struct{}), time.Now()
		go p.run(p.running)
	}
	done, hangs := p.running, time.Since(p.started) > p.freshFor
	p.mu.Unlock()
	if !hangs {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) <= max(maxAge, p.freshFor) {
		return p.last, nil
	}
	var none T
	if p.err != nil && p.running == nil {
		return none, p.err
	}
	return none, errNoResult
}

// run runs the query, stores its result, and closes done.
func (p *cachedProbe[T]) run(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	result, err := p.query(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log != nil && (err != nil) != (p.err != nil) {
		if err != nil {
			p.log.Warn(p.name+" cannot be read", "error", err)
		} else {
			p.log.Info(p.name + " can be read again")
		}
	}
	p.last, p.at, p.err = result, time.Now(), err
	if err != nil {
		p.at = time.Time{}
	}
	p.running = nil
	close(done)
}
