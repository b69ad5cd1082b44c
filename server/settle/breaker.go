package settle

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

// probeEvery is how long an open breaker lets nobody ask.
const probeEvery = time.Second

// breaker keeps payments from queueing up in front of a bank that cannot be reached.
// It is asked before a payment is claimed: an attempt that could only fail is none,
// and what stays due is driven as soon as the bank is back.
//
//	closed ──too many failures in a row──► open ──a second later──► one may probe
//	   ▲                                    ▲                            │
//	   └───────────── an answer ────────────┴────────── none ────────────┘
type breaker struct {
	after   int // failures in a row that open it
	metrics *Metrics
	now     func() time.Time

	mu       sync.Mutex
	failures int
	last     error     // the last of these failures
	probeAt  time.Time // meaningful while open
}

func (b *breaker) open() bool { return b.failures >= b.after }

// BreakerOpen tells whether the bank is left alone at present, as far as this
// process has asked it.
func (s *Settler) BreakerOpen() bool {
	s.breaker.mu.Lock()
	defer s.breaker.mu.Unlock()
	return s.breaker.open()
}

// admit tells whether the bank may be asked now. Whoever asks must report.
func (b *breaker) admit() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open() {
		return true
	}
	if b.now().Before(b.probeAt) {
		return false
	}
	b.probeAt = b.now().Add(probeEvery) // for the next one, should this one find nothing to ask
	return true
}

// why the bank is left alone: the last failure to reach it.
func (b *breaker) why() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// admits is how many of so many may ask now.
func (b *breaker) admits(many int) int {
	b.mu.Lock()
	closed := !b.open()
	b.mu.Unlock()
	switch {
	case many <= 0:
		return 0
	case closed:
		return many
	case b.admit():
		return 1
	}
	return 0
}

// report takes in how it went. Only silence counts against the bank: a refusal or
// nonsense is an answer, and who gave up by himself has learnt nothing.
func (b *breaker) report(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if errors.Is(err, bank.CodeTransport) || errors.Is(err, bank.CodeTimeout) {
		b.failures++
		b.last = err
		b.probeAt = b.now().Add(probeEvery)
	} else {
		b.failures, b.last = 0, nil
	}
	b.metrics.breakerOpen(b.open())
}
