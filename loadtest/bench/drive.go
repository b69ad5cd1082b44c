package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// outcome of one request.
type outcome int

const (
	accepted outcome = iota // the money has moved, or the answer was the expected one
	shed                    // 429 or 503 with Retry-After
	refused                 // any other answer below 500
	failed                  // 5xx, a broken connection, an unexpected body
	outcomes
)

// A caller sends one request with each call, on a connection of its own.
type caller func() (outcome, error)

// load describes what callers do. Without a rate it is closed: each caller sends when
// it has its answer. With a rate it is open: requests are due by the clock, and callers
// only bound how many are in flight.
type load struct {
	callers int
	rows    int     // transfers of one request, which are all accepted or not; 1 if 0
	rate    float64 // requests per second of all callers together
	length  time.Duration
	make    func(n int) caller // makes caller n
}

// tally is the result of a load. Latencies are kept of accepted and, apart, of shed
// requests; under open load they start when the request was due. The durations in served start
// when an accepted request was sent.
type tally struct {
	count              [outcomes]int64
	took, shed, served []time.Duration // sorted by drive
	elapsed            time.Duration
	err                error // the first
}

func (t *tally) note(o outcome, took, served time.Duration, err error) {
	t.count[o]++
	switch o {
	case accepted:
		t.took, t.served = append(t.took, took), append(t.served, served)
	case shed:
		t.shed = append(t.shed, took)
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
	t.took, t.shed, t.served = append(t.took, other.took...), append(t.shed, other.shed...), append(t.served, other.served...)
	if t.err == nil {
		t.err = other.err
	}
}

// drive makes the load until its time is over or ctx ends.
func (l load) drive(ctx context.Context) *tally {
	tallies := make([]tally, l.callers)
	callers := make([]caller, l.callers)
	for n := range callers {
		callers[n] = l.make(n)
	}
	var group sync.WaitGroup
	began := time.Now()
	next := l.schedule(began)
	for n, send := range callers {
		t := &tallies[n]
		group.Go(func() {
			for ctx.Err() == nil {
				due, ok := next()
				if !ok {
					return
				}
				sent := time.Now()
				o, err := send()
				t.note(o, time.Since(due), time.Since(sent), err)
			}
		})
	}
	group.Wait()
	total := &tally{elapsed: time.Since(began)}
	for i := range tallies {
		total.add(&tallies[i])
	}
	for o := range total.count {
		total.count[o] *= int64(max(l.rows, 1))
	}
	slices.Sort(total.took)
	slices.Sort(total.shed)
	slices.Sort(total.served)
	return total
}

// schedule returns a function that waits until the next request is due and returns
// that time, and whether there is such a request.
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
		due := began.Add(time.Duration(gap * float64(next.Add(1)-1)))
		if !due.Before(end) {
			return due, false
		}
		time.Sleep(time.Until(due)) // returns at once if it is overdue
		return due, time.Now().Before(end.Add(maxLateness))
	}
}

// maxLateness is how long overdue requests are still sent after the end of a load.
const maxLateness = 2 * time.Second
