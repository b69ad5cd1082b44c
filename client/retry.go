package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// RetryPolicy limits how often and for how long a request is attempted. Zero fields have the
// defaults that are given here.
type RetryPolicy struct {
	Attempts int           // at most; 4 if zero
	Base     time.Duration // max delay before the second attempt, doubled with each attempt; 200 ms if zero
	MaxDelay time.Duration // max delay that jitter may choose; 5 s if zero
	Total    time.Duration // timeout of all attempts together; 30 s if zero

	// Sleep and Random are for tests.
	Sleep  func(context.Context, time.Duration) error
	Random func() float64 // in [0, 1)
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	if p.Attempts == 0 {
		p.Attempts = 4
	}
	if p.Base == 0 {
		p.Base = 200 * time.Millisecond
	}
	if p.MaxDelay == 0 {
		p.MaxDelay = 5 * time.Second
	}
	if p.Total == 0 {
		p.Total = 30 * time.Second
	}
	if p.Sleep == nil {
		p.Sleep = sleep
	}
	if p.Random == nil {
		p.Random = rand.Float64
	}
	return p
}

// delay returns the delay after so many attempts: full jitter, and at least the server's
// Retry-After.
func (p RetryPolicy) delay(attempts int, err error) time.Duration {
	ceiling := min(p.Base<<(attempts-1), p.MaxDelay)
	wait := time.Duration(p.Random() * float64(ceiling))
	if refused, ok := errors.AsType[*Error](err); ok && refused.RetryAfter > 0 {
		// The jitter is added, so that clients with the same Retry-After do not return at once.
		wait += refused.RetryAfter
	}
	return wait
}

// repeat says when a request may be sent again.
type repeat int

const (
	always     repeat = iota // a repeat changes nothing, or carries an idempotency key
	unsentOnly               // the server would take a repeat for another request
)

// allows reports whether the request may be sent again after err.
func (r repeat) allows(err error) bool {
	if unreached, ok := errors.AsType[*UnreachableError](err); ok {
		return r == always || !unreached.Sent
	}
	refused, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	if refused.Code == Overloaded || refused.Code == RateLimited {
		return true // the server had done nothing
	}
	if r == unsentOnly {
		return false
	}
	switch refused.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return refused.Code == OutcomeUnknown
}

// retryAfter parses Retry-After, which is seconds or a date (RFC 9110, 10.2.3).
func retryAfter(text string, now time.Time) time.Duration {
	const maxSeconds = 24 * 60 * 60 // longer than any caller waits; prevents overflow
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), maxSeconds)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), maxSeconds*time.Second)
	}
	return 0
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
