package auth

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// hashQueue bounds the hashing of passwords: a number of hashes at a time, and a queue
// that is as long as the measured hash rate can serve within the deadline.
//
//	enter ──► ticket ──► (throttle, look-up) ──► slot ──► hash ──► leave
//	  │
//	  └─ would wait longer than the deadline: refused before any work
//
// A refusal comes at once or not at all: a caller that has entered waits for its slot
// as long as its context lives, also when hashes have become slower meanwhile.
type hashQueue struct {
	slots   chan *slot // the free ones
	all     []*slot
	maxWait time.Duration
	hasher  Hasher
	metrics *Metrics

	tickets atomic.Int64
	typical atomic.Int64 // nanoseconds of one hash, smoothed

	hashing func(Argon2Params) // tests count the work here; nil otherwise
}

// slot is the right to hash.
type slot struct {
	began atomic.Int64 // Unix nanoseconds of the hash under way; 0 if there is none
}

// maxTickets bounds the memory of those who wait, however quick hashing is.
const maxTickets = 4096

// firstGuess is the time of a hash until the first one has been measured.
const firstGuess = 50 * time.Millisecond

func newHashQueue(c Config) *hashQueue {
	b := &hashQueue{
		slots: make(chan *slot, c.HashSlots), maxWait: c.HashMaxWait,
		hasher: c.Hasher, metrics: c.Metrics,
	}
	for range c.HashSlots {
		s := new(slot)
		b.all = append(b.all, s)
		b.slots <- s
	}
	b.typical.Store(int64(firstGuess))
	return b
}

// ticket is a place in the queue. It belongs to one caller.
type ticket struct {
	*hashQueue
	entered time.Time
	slot    *slot // nil while it waits
	left    bool
}

// enter gives a ticket, or refuses at once. Every ticket has to leave. A caller that
// finds a free slot is never refused.
func (b *hashQueue) enter() (*ticket, error) {
	ahead := b.tickets.Add(1) - 1
	if ahead >= int64(len(b.all)) && (ahead >= maxTickets || b.wait(ahead+1) > b.maxWait) {
		b.tickets.Add(-1)
		return nil, b.refuse(refusedFull, nil)
	}
	b.metrics.queue.Inc()
	return &ticket{hashQueue: b, entered: time.Now()}, nil
}

// wait is how long the last of so many callers would take from now on until its
// password is hashed, at the rate of the latest hashes.
func (b *hashQueue) wait(callers int64) time.Duration {
	slots := int64(len(b.all))
	return time.Duration((callers + slots - 1) / slots * int64(b.hashTime()))
}

// hashTime is what a hash takes at present: the smoothed time of those that are done,
// or the age of one that already takes longer. The latter counts as soon as other
// processes take the CPU, not after the first slow hash is done.
func (b *hashQueue) hashTime() time.Duration {
	now, longest := time.Now().UnixNano(), b.typical.Load()
	for _, s := range b.all {
		if began := s.began.Load(); began != 0 {
			longest = max(longest, now-began)
		}
	}
	return time.Duration(longest)
}

// leave makes room for the next caller. Leaving twice is leaving once.
func (t *ticket) leave() {
	if t.left {
		return
	}
	t.left = true
	if t.slot != nil {
		t.slots <- t.slot
	} else {
		t.metrics.queue.Dec()
	}
	t.tickets.Add(-1)
}

// hash waits for a slot, which the ticket then keeps until it leaves, and does the
// job in it.
func (t *ticket) hash(ctx context.Context, job HashJob) ([]byte, error) {
	if err := t.takeSlot(ctx); err != nil {
		return nil, err
	}
	if t.hashQueue.hashing != nil {
		t.hashQueue.hashing(job.Params)
	}
	began := time.Now()
	t.slot.began.Store(began.UnixNano())
	digest, err := t.hasher.Hash(job)
	t.slot.began.Store(0)
	if err != nil {
		return nil, t.refuse(refusedBroken, err)
	}
	took := time.Since(began)
	t.metrics.hashSeconds.Observe(took.Seconds())
	t.observe(took)
	return digest, nil
}

// takeSlot waits in the order of arrival.
func (t *ticket) takeSlot(ctx context.Context) error {
	if t.slot != nil {
		return nil
	}
	select {
	case t.slot = <-t.slots:
	case <-ctx.Done():
		t.metrics.refused.WithLabelValues(refusedTimeout).Inc()
		return fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
	t.metrics.queue.Dec()
	t.metrics.waitSeconds.Observe(time.Since(t.entered).Seconds())
	if err := ctx.Err(); err != nil { // select is fair: a free slot may win over a canceled caller
		return fmt.Errorf("wait to hash a password: %w", err)
	}
	return nil
}

// observe moves the typical time a quarter of the way: a dozen hashes after the machine
// has become quick or slow, the queue has the length for it. Of two hashes that end at
// the same moment one may be lost; it is an estimate.
func (b *hashQueue) observe(took time.Duration) {
	before := b.typical.Load()
	b.typical.Store(before + (int64(took)-before)/4)
}

// refuse says that the server is too busy, and for how long: until the passwords that
// wait now are hashed.
func (b *hashQueue) refuse(reason string, cause error) *Error {
	b.metrics.refused.WithLabelValues(reason).Inc()
	const shortest, longest = time.Second, time.Minute
	after := min(max(b.wait(b.tickets.Load()), shortest), longest)
	after = (after + time.Second - 1).Truncate(time.Second)
	message := "this server is too busy to check a password; try again in %d s"
	if reason == refusedBroken {
		message = "this server cannot check a password at the moment; try again in %d s"
	}
	return &Error{
		Code: CodeOverloaded, Message: fmt.Sprintf(message, int(after.Seconds())), RetryAfter: after, cause: cause,
	}
}
