package settle

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

// probeInterval is how long an open breaker refuses all requests before it allows one.
const probeInterval = time.Second

// breaker is the circuit breaker in front of the bank. It is asked before a payment is claimed, so
// that an attempt which could only fail is not made: the payment stays due and is attempted as soon
// as the bank can be reached again.
//
//	closed ---threshold failures in a row---> open ---probeInterval---> one request is allowed
//	  ^                                         ^                           |          |
//	  |                                         +------- no answer ---------+          |
//	  +---------------------------------- an answer -----------------------------------+
type breaker struct {
	threshold int // consecutive failures that open it
	metrics   *Metrics
	now       func() time.Time

	mu       sync.Mutex
	failures int
	last     error     // the last of these failures
	probeAt  time.Time // meaningful while open
}

func (b *breaker) open() bool { return b.failures >= b.threshold }

// BreakerOpen reports whether the circuit breaker of this process is open.
func (s *Settler) BreakerOpen() bool {
	s.breaker.mu.Lock()
	defer s.breaker.mu.Unlock()
	return s.breaker.open()
}

// allow reports whether the bank may be asked now. A caller that asks must call report.
func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open() {
		return true
	}
	if b.now().Before(b.probeAt) {
		return false
	}
	b.probeAt = b.now().Add(probeInterval) // for the next caller, if this one finds nothing to ask
	return true
}

// lastFailure returns the last failure to reach the bank, or nil after an answer.
func (b *breaker) lastFailure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// allowUpTo returns how many of n requests may be sent now: all, one probe or none.
func (b *breaker) allowUpTo(n int) int {
	b.mu.Lock()
	closed := !b.open()
	b.mu.Unlock()
	switch {
	case n <= 0:
		return 0
	case closed:
		return n
	case b.allow():
		return 1
	}
	return 0
}

// report counts the result of a request. Only a bank that does not answer is a failure: a refusal
// or an unreadable answer proves that it can be reached. A request that its caller canceled is
// ignored.
func (b *breaker) report(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if errors.Is(err, bank.CodeTransport) || errors.Is(err, bank.CodeTimeout) {
		b.failures++
		b.last = err
		b.probeAt = b.now().Add(probeInterval)
	} else {
		b.failures, b.last = 0, nil
	}
	b.metrics.breakerOpen(b.open())
}
