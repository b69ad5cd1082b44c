package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// outcome is what became of one request.
type outcome int

const (
	accepted outcome = iota // the money has moved, or the answer was the one hoped for
	shed                    // 429 or 503: told to come back
	refused                 // any other answer below 500
	failed                  // 5xx, a broken line, an answer that says something else
	outcomes
)

// A caller sends requests one after the other on a connection of its own.
type caller func() (outcome, error)

// load is what callers are to do. Without a rate it is closed: each sends when it
// has its answer. With one it is open: requests are due by the clock, and callers
// are only the most that can be under way.
type load struct {
	callers int
	rate    float64 // requests a second, all callers together
	length  time.Duration
	make    func(n int) caller // of caller n
}

// tally is what one load came to. A latency is kept for what was accepted and,
// apart, for what was shed; under open load it counts from when the request was due.
type tally struct {
	mu      sync.Mutex
	count   [outcomes]int64
	took    *hdrhistogram.Histogram // µs
	shedIn  *hdrhistogram.Histogram // µs
	elapsed time.Duration
	err     error // the first
}

func newTally() *tally {
	const longest, digits = 60_000_000, 2 // a minute in µs; within 1 %
	return &tally{took: hdrhistogram.New(1, longest, digits), shedIn: hdrhistogram.New(1, longest, digits)}
}

func (t *tally) note(o outcome, took time.Duration, err error) {
	us := max(took.Microseconds(), 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count[o]++
	switch o {
	case accepted:
		_ = t.took.RecordValue(us) // beyond a minute: the deadline of a request is shorter
	case shed:
		_ = t.shedIn.RecordValue(us)
	default:
	}
	if t.err == nil {
		t.err = err
	}
}

func (t *tally) add(other *tally) {
	for o, n := range other.count {
		t.count[o] += n
	}
	t.took.Merge(other.took)
	t.shedIn.Merge(other.shedIn)
	if t.err == nil {
		t.err = other.err
	}
}

// shards keep callers from waiting for each other at the tally.
const shards = 64

// drive makes the load until its time is up or ctx ends.
func (l load) drive(ctx context.Context) *tally {
	tallies := make([]*tally, min(shards, l.callers))
	for i := range tallies {
		tallies[i] = newTally()
	}
	callers := make([]caller, l.callers)
	for n := range callers {
		callers[n] = l.make(n)
	}
	var group sync.WaitGroup
	began := time.Now()
	due := l.schedule(began)
	for n, send := range callers {
		t := tallies[n%len(tallies)]
		group.Go(func() {
			for ctx.Err() == nil {
				at, ok := due()
				if !ok {
					return
				}
				o, err := send()
				t.note(o, time.Since(at), err)
			}
		})
	}
	group.Wait()
	total := newTally()
	for _, t := range tallies {
		total.add(t)
	}
	total.elapsed = time.Since(began)
	return total
}

// schedule says when the next request begins, after waiting for that time, and
// whether there is one.
func (l load) schedule(began time.Time) func() (time.Time, bool) {
	end := began.Add(l.length)
	if l.rate == 0 {
		return func() (time.Time, bool) {
			now := time.Now()
			return now, now.Before(end)
		}
	}
	var next atomic.Int64
	gap := float64(time.Second) / l.rate
	return func() (time.Time, bool) {
		at := began.Add(time.Duration(gap * float64(next.Add(1)-1)))
		if !at.Before(end) {
			return at, false
		}
		time.Sleep(time.Until(at)) // nothing if it is overdue
		return at, time.Now().Before(end.Add(lateness))
	}
}

// lateness is how long overdue requests are still sent after the end of a load.
const lateness = 2 * time.Second
