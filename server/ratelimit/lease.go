package ratelimit

import (
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

// lease is what this process holds of one key.
type lease struct {
	mu        sync.Mutex
	permits   int           // granted by Redis, to be spent here
	noneUntil int64         // Redis would grant nothing before then
	remaining int           // what it would have granted beyond, when it answered
	resetAt   int64         // when that is the whole burst again
	asking    chan struct{} // closed when the answer is here; nil while nobody asks
	alone     int64         // GCRA's theoretical arrival time of the rule as kept here alone
}

// next is what the caller of spend has to do.
type next int

const (
	decided    next = iota
	runningOut      // it is decided, and the caller asks for more
	ranOut          // the caller asks for more, and comes again
	othersAsk       // the caller waits for their answer, and comes again
)

// spend takes a permit if there is one.
func (l *lease) spend(now int64, rule Rule) (Verdict, next, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.permits == 0 {
		switch {
		case now < l.noneUntil:
			return Verdict{RetryAfter: time.Duration(l.noneUntil - now), Reset: time.Duration(max(l.resetAt-now, 0))}, decided, nil
		case l.asking != nil:
			return Verdict{}, othersAsk, l.asking
		}
		l.asking = make(chan struct{})
		return Verdict{}, ranOut, nil
	}
	l.permits--
	v := Verdict{Allowed: true, Remaining: l.permits + l.remaining, Reset: time.Duration(max(l.resetAt-now, 0))}
	if l.permits < rule.chunk()/2 && l.asking == nil && now >= l.noneUntil {
		l.asking = make(chan struct{})
		return v, runningOut, nil
	}
	return v, decided, nil
}

// claim chooses the caller to ask, unless somebody does already.
func (l *lease) claim() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asking != nil {
		return false
	}
	l.asking = make(chan struct{})
	return true
}

// answer is what Redis said to the one who asked; nil if it said nothing.
func (l *lease) answer(now int64, r *redis_rate.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.asking)
	l.asking = nil
	if r == nil {
		return
	}
	l.permits += r.Allowed
	l.remaining, l.resetAt, l.noneUntil = r.Remaining, now+int64(r.ResetAfter), 0
	if r.Allowed == 0 {
		l.noneUntil = now + int64(r.RetryAfter)
	}
}

// spendAlone keeps the rule without Redis (GCRA, as redis_rate does it there).
func (l *lease) spendAlone(now int64, rule Rule) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	interval := int64(time.Second) / int64(rule.Rate)
	burst := interval * int64(rule.Burst)
	arrival := max(l.alone, now) + interval
	if early := arrival - burst - now; early > 0 {
		return Verdict{RetryAfter: time.Duration(early), Reset: time.Duration(l.alone - now)}
	}
	l.alone = arrival
	return Verdict{Allowed: true, Remaining: int((burst - (arrival - now)) / interval), Reset: time.Duration(arrival - now)}
}
