package api

import (
	"sync"
	"sync/atomic"
	"time"
)

// inFlightLimit is the number of requests that are admitted at once. It follows the time that they
// take. Under overload, each admitted request waits for its turn in the ledger, so the time is the
// number of requests in flight divided by the rate at which they are answered, which depends on the
// machine.
//
//	most requests took longer than maxTime ─► the limit falls by an eighth
//	fewer did, and requests were shed ──────► the limit rises by a thirty-second
//
// The limit is adjusted at most once per adjustInterval. A minority of slow requests, such as those
// that wait for a locked account, does not lower it.
type inFlightLimit struct {
	min, max int64
	limit    atomic.Int64
	shed     atomic.Bool // a request was shed in this interval

	mu             sync.Mutex
	began          time.Time // of this interval
	answered, slow int       // requests of this interval
}

const (
	maxTime        = 50 * time.Millisecond // of most requests; few take three times as long
	adjustInterval = 50 * time.Millisecond
	adjustSample   = 32  // requests that an interval has at least
	lowestLimit    = 128 // requests; that many can wait for something else than their turn
)

// newInFlightLimit returns a limit that begins at half of the maximum and never exceeds it.
func newInFlightLimit(maximum int64) *inFlightLimit {
	l := &inFlightLimit{min: min(lowestLimit, maximum), max: maximum, began: time.Now()}
	l.limit.Store(max(maximum/2, l.min))
	return l
}

// note counts an admitted request that has been answered while so many were in flight.
func (l *inFlightLimit) note(took time.Duration, inFlight int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered++
	if took > maxTime {
		l.slow++
	}
	if l.answered < adjustSample || time.Since(l.began) < adjustInterval {
		return
	}
	limit, shed := l.limit.Load(), l.shed.Swap(false)
	switch slow := l.slow > l.answered/2; {
	case slow && inFlight >= limit/2: // otherwise the limit does not bind
		l.limit.Store(max(limit-limit/8, l.min))
	case !slow && shed:
		l.limit.Store(min(limit+limit/32+1, l.max))
	}
	l.began, l.answered, l.slow = time.Now(), 0, 0
}
