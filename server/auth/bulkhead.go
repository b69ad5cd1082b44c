package auth

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// bulkhead keeps hashing from sinking the ship: so many hashes at a time, so many
// callers who wait for a slot, none of them for longer than the patience.
//
//	enter ──► ticket ──► (throttle, look-up) ──► slot ──► hash ──► leave
//	  │                                           │
//	  └─ line full: refused before any work       └─ too long: refused
//
// A refusal says when to come back.
type bulkhead struct {
	slots    chan struct{}
	most     int64 // tickets, those that hash included
	patience time.Duration
	hasher   Hasher
	metrics  *Metrics

	tickets atomic.Int64
	typical atomic.Int64 // nanoseconds that a hash takes, smoothed

	hashing func(Argon2Params) // tests count the work here; nil otherwise
}

func newBulkhead(c Config) *bulkhead {
	b := &bulkhead{
		slots: make(chan struct{}, c.HashSlots), most: int64(c.HashSlots + c.HashQueue), patience: c.HashPatience,
		hasher: c.Hasher, metrics: c.Metrics,
	}
	b.typical.Store(int64(50 * time.Millisecond)) // until the first one has been measured
	return b
}

// ticket is a place in the line. It is its holder's alone.
type ticket struct {
	*bulkhead
	entered time.Time
	inside  bool // holds a slot
	left    bool
}

// enter gives a ticket, or refuses at once. Every ticket has to leave.
func (b *bulkhead) enter() (*ticket, error) {
	if b.tickets.Add(1) > b.most {
		b.tickets.Add(-1)
		return nil, b.refuse(refusedFull, nil)
	}
	b.metrics.queue.Inc()
	return &ticket{bulkhead: b, entered: time.Now()}, nil
}

// leave makes room for the next one. Leaving twice is leaving once.
func (t *ticket) leave() {
	if t.left {
		return
	}
	t.left = true
	if t.inside {
		<-t.slots
	} else {
		t.metrics.queue.Dec()
	}
	t.tickets.Add(-1)
}

// hash waits for a slot, which the ticket then keeps until it leaves, and does the
// job in it.
func (t *ticket) hash(ctx context.Context, job HashJob) ([]byte, error) {
	if err := t.wait(ctx); err != nil {
		return nil, err
	}
	if t.bulkhead.hashing != nil {
		t.bulkhead.hashing(job.Params)
	}
	began := time.Now()
	digest, err := t.hasher.Hash(job)
	if err != nil {
		return nil, t.refuse(refusedBroken, err)
	}
	took := time.Since(began)
	t.metrics.hashSeconds.Observe(took.Seconds())
	t.learn(took)
	return digest, nil
}

func (t *ticket) wait(ctx context.Context) error {
	if t.inside {
		return nil
	}
	select {
	case t.slots <- struct{}{}: // whoever finds a free one is not too late, however long the look-up took
	default:
		patience := time.NewTimer(t.patience - time.Since(t.entered))
		defer patience.Stop()
		select {
		case t.slots <- struct{}{}:
		case <-patience.C:
			return t.refuse(refusedDeadline, nil)
		case <-ctx.Done():
			return fmt.Errorf("wait to hash a password: %w", ctx.Err())
		}
	}
	t.inside = true
	t.metrics.queue.Dec()
	t.metrics.waitSeconds.Observe(time.Since(t.entered).Seconds())
	if err := ctx.Err(); err != nil { // select is fair: a free slot may win over a dead caller
		return fmt.Errorf("wait to hash a password: %w", err)
	}
	return nil
}

// learn moves the typical time an eighth of the way. Two at once may lose one of
// their lessons; it is an estimate.
func (b *bulkhead) learn(took time.Duration) {
	before := b.typical.Load()
	b.typical.Store(before + (int64(took)-before)/8)
}

// refuse says that there is no room, and when there may be: once those who are in
// line now have been served.
func (b *bulkhead) refuse(why string, cause error) *Error {
	b.metrics.refused.WithLabelValues(why).Inc()
	const least, longest = time.Second, time.Minute
	inLine := time.Duration(b.tickets.Load()) * time.Duration(b.typical.Load()) / time.Duration(cap(b.slots))
	return &Error{
		Code: CodeOverloaded, Message: "too many are signing in at the moment; try again shortly",
		RetryAfter: min(max(inLine, least), longest), cause: cause,
	}
}
