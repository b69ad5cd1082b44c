package ratelimit

import (
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

// lease is what this process holds of one key.
type lease struct {
	mu           sync.Mutex
	permits      int           // granted by Redis, to be spent here
	refusedUntil int64         // Redis would grant nothing before then
	remaining    int           // what it would have granted beyond, when it answered
	resetAt      int64         // when that is the whole burst again
	pending      chan struct{} // closed when the answer is here; nil while nobody asks
	localArrival int64         // GCRA's theoretical arrival time of the rule as kept here alone
}

// next is what the caller of spend has to do.
type next int

const (
	decided        next = iota
	low                 // it is decided, and the caller asks for more
	exhausted           // the caller asks for more, and comes again
	requestPending      // the caller waits for their answer, and comes again
)

// spend takes a permit if there is one.
func (l *lease) spend(now int64, rule Rule) (Decision, next, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.permits == 0 {
		switch {
		case now < l.refusedUntil:
			return Decision{RetryAfter: time.Duration(l.refusedUntil - now), Reset: time.Duration(max(l.resetAt-now, 0))}, decided, nil
		case l.pending != nil:
			return Decision{}, requestPending, l.pending
		}
		l.pending = make(chan struct{})
		return Decision{}, exhausted, nil
	}
	l.permits--
	v := Decision{Allowed: true, Remaining: l.permits + l.remaining, Reset: time.Duration(max(l.resetAt-now, 0))}
	if l.permits < rule.chunk()/2 && l.pending == nil && now >= l.refusedUntil {
		l.pending = make(chan struct{})
		return v, low, nil
	}
	return v, decided, nil
}

// claim chooses the caller to ask, unless somebody does already.
func (l *lease) claim() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending != nil {
		return false
	}
	l.pending = make(chan struct{})
	return true
}

// answer is what Redis said to the one who asked; nil if it said nothing.
func (l *lease) answer(now int64, r *redis_rate.Result) {
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

// spendLocally keeps the rule without Redis (GCRA, as redis_rate does it there).
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
	return Decision{Allowed: true, Remaining: int((burst - (arrival - now)) / interval), Reset: time.Duration(arrival - now)}
}
