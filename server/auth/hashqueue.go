package auth

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/JDevAman/kizo/server/problem"
)

// hashQueue limits the hashing of passwords to a number of slots. Its queue is as long as the
// measured hash rate can serve within maxWait.
//
//	enter ──► ticket ──► (throttle, look-up) ──► slot ──► hash ──► leave
//	  │
//	  └─ the expected wait exceeds maxWait: refused before any work
//
// enter refuses at once or not at all: a caller that has entered waits for its slot until
// its context ends, even if hashes become slower meanwhile.
type hashQueue struct {
	slots   chan *slot // free slots
	all     []*slot
	maxWait time.Duration
	hasher  Hasher
	metrics *Metrics

	tickets atomic.Int64
	typical atomic.Int64 // smoothed duration of one hash in nanoseconds

	hashing func(Argon2Params) // tests count the work here; nil otherwise
}

// slot is the right to compute one hash at a time.
type slot struct {
	began atomic.Int64 // start of the current hash in Unix nanoseconds; 0 if there is none
}

// maxTickets is the maximum length of the queue, however fast hashing is.
const maxTickets = 4096

// firstGuess is the assumed duration of a hash until the first one has been measured.
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

// ticket is the place of one caller in the queue.
type ticket struct {
	*hashQueue
	entered time.Time
	slot    *slot // nil while the caller waits
	left    bool
}

// enter returns a ticket, or refuses at once. The caller must call leave. It is never
// refused while a slot is free.
func (b *hashQueue) enter() (*ticket, error) {
	if b.full(b.tickets.Add(1) - 1) {
		b.tickets.Add(-1)
		return nil, b.refuse(refusedFull, nil)
	}
	b.metrics.queue.Inc()
	return &ticket{hashQueue: b, entered: time.Now()}, nil
}

// full reports whether a caller is refused when so many others are ahead.
func (b *hashQueue) full(ahead int64) bool {
	return ahead >= int64(len(b.all)) && (ahead >= maxTickets || b.wait(ahead+1) > b.maxWait)
}

// RefuseHash returns the error with which a log-in or sign-up that begins now would be refused,
// because the hash queue is full, and counts it as refused. Otherwise it returns nil.
// The API calls it before it reads the request, so that a refusal costs nearly nothing.
func (s *Service) RefuseHash() *problem.Error {
	if b := s.hashQueue; b.full(b.tickets.Load()) {
		return b.refuse(refusedFull, nil)
	}
	return nil
}

// HashQueue returns how many callers have their passwords hashed or wait for it, and whether the
// next one would be refused.
func (s *Service) HashQueue() (callers int64, full bool) {
	callers = s.hashQueue.tickets.Load()
	return callers, s.hashQueue.full(callers)
}

// wait estimates the time until that many callers have their passwords hashed.
func (b *hashQueue) wait(callers int64) time.Duration {
	slots := int64(len(b.all))
	return time.Duration((callers + slots - 1) / slots * int64(b.hashTime()))
}

// hashTime estimates the current duration of a hash: the smoothed duration of the finished
// ones, or the age of a running one if that is longer. The age shows at once that other
// processes take the CPU, before the first slow hash is done.
func (b *hashQueue) hashTime() time.Duration {
	now, longest := time.Now().UnixNano(), b.typical.Load()
	for _, s := range b.all {
		if began := s.began.Load(); began != 0 {
			longest = max(longest, now-began)
		}
	}
	return time.Duration(longest)
}

// leave releases the slot or the place in the queue. Further calls do nothing.
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

// hash waits for a slot and computes a hash in it. The ticket keeps the slot until leave.
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

// takeSlot waits for a slot. Callers get slots in the order in which they arrived.
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
	if err := ctx.Err(); err != nil { // if both were ready, select may have chosen the slot
		return fmt.Errorf("wait to hash a password: %w", err)
	}
	return nil
}

// observe moves the smoothed duration a quarter of the way to took. About a dozen hashes
// after the machine has become faster or slower, the length of the queue fits. If two
// hashes end at the same moment, one of them may not count.
func (b *hashQueue) observe(took time.Duration) {
	before := b.typical.Load()
	b.typical.Store(before + (int64(took)-before)/4)
}

// refuse returns the error of a busy server. RetryAfter is the time until the waiting
// passwords are hashed, between 1 s and 60 s.
func (b *hashQueue) refuse(reason string, cause error) *problem.Error {
	b.metrics.refused.WithLabelValues(reason).Inc()
	const shortest, longest = time.Second, time.Minute
	after := min(max(b.wait(b.tickets.Load()), shortest), longest)
	after = (after + time.Second - 1).Truncate(time.Second)
	message := "this server is too busy to check a password; try again in %d s"
	if reason == refusedBroken {
		message = "this server cannot check a password at the moment; try again in %d s"
	}
	return &problem.Error{
		Code: CodeOverloaded, Message: fmt.Sprintf(message, int(after.Seconds())), RetryAfter: after, Cause: cause,
	}
}
