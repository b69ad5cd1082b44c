package ratelimit

import (
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

// lease holds the permits of one key that Redis has granted to this process. Times are
// Unix nanoseconds.
type lease struct {
	mu           sync.Mutex
	permits      int           // granted by Redis and not spent yet
	refusedUntil int64         // Redis grants no permits before this time
	remaining    int           // permits that were left in Redis at its last response
	resetAt      int64         // when Redis can grant the whole burst again
	pending      chan struct{} // closed when the pending request is answered; nil if there is none
	localArrival int64         // theoretical arrival time of GCRA, for the limit without Redis
}

// next is what the caller of spend must do.
type next int

const (
	decided   next = iota
	low            // use the decision, and request more permits
	exhausted      // request permits, and call spend again
	waiting        // wait until the pending request is answered, and call spend again
)

// spend takes a permit, if there is one. If it returns waiting, the channel is closed when
// the pending request is answered.
func (l *lease) spend(now int64, rule Rule) (Decision, next, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.permits == 0 {
		switch {
		case now < l.refusedUntil:
			return Decision{
				RetryAfter: time.Duration(l.refusedUntil - now), Reset: time.Duration(max(l.resetAt-now, 0)),
			}, decided, nil
		case l.pending != nil:
			return Decision{}, waiting, l.pending
		}
		l.pending = make(chan struct{})
		return Decision{}, exhausted, nil
	}
	l.permits--
	d := Decision{Allowed: true, Remaining: l.permits + l.remaining, Reset: time.Duration(max(l.resetAt-now, 0))}
	if l.permits < rule.chunk()/2 && l.pending == nil && now >= l.refusedUntil {
		l.pending = make(chan struct{})
		return d, low, nil
	}
	return d, decided, nil
}

// beginRequest reports whether the caller may request permits: only one request of a key
// is pending at a time.
func (l *lease) beginRequest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending != nil {
		return false
	}
	l.pending = make(chan struct{})
	return true
}

// endRequest stores the response of Redis to the pending request; nil if there was none.
func (l *lease) endRequest(now int64, r *redis_rate.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.pending)
	l.pending = nil
	if r == nil {
		return
	}
	l.permits += r.Allowed
	l.remaining, l.resetAt, l.refusedUntil = r.Remaining, now+int64(r.ResetAfter), 0
	if r.Allowed == 0 {
		l.refusedUntil = now + int64(r.RetryAfter)
	}
}

// spendLocally applies the rule without Redis: GCRA, as redis_rate implements it there.
func (l *lease) spendLocally(now int64, rule Rule) Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	interval := int64(time.Second) / int64(rule.Rate)
	burst := interval * int64(rule.Burst)
	arrival := max(l.localArrival, now) + interval
	if early := arrival - burst - now; early > 0 {
		return Decision{RetryAfter: time.Duration(early), Reset: time.Duration(l.localArrival - now)}
	}
	l.localArrival = arrival
	return Decision{
		Allowed: true, Remaining: int((burst - (arrival - now)) / interval), Reset: time.Duration(arrival - now),
	}
}
