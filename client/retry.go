package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// RetryPolicy bounds how often and for how long a request is tried. The zero value is the default.
type RetryPolicy struct {
	Attempts int           // in all; 4 if zero
	Base     time.Duration // the longest wait before the second attempt, doubled each time; 200 ms if zero
	Most     time.Duration // the longest wait that jitter may choose; 5 s if zero
	Total    time.Duration // for all attempts together; 30 s if zero

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
	if p.Most == 0 {
		p.Most = 5 * time.Second
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

// delay is the wait after so many attempts: full jitter, and never sooner than the server asked for.
func (p RetryPolicy) delay(attempts int, err error) time.Duration {
	ceiling := min(p.Base<<(attempts-1), p.Most)
	wait := time.Duration(p.Random() * float64(ceiling))
	var refused *Error
	if errors.As(err, &refused) && refused.RetryAfter > 0 {
		// The jitter goes on top: all who were told the same second should not come back in it.
		wait += refused.RetryAfter
	}
	return wait
}

// repeat says when a request may be sent again.
type repeat int

const (
	always     repeat = iota // a repeat changes nothing, or carries its key
	unsentOnly               // a repeat would be a second wish
)

func (r repeat) worthwhile(err error) bool {
	var unreached *Unreachable
	if errors.As(err, &unreached) {
		return r == always || !unreached.Sent
	}
	var refused *Error
	if !errors.As(err, &refused) {
		return false
	}
	if refused.Code == Overloaded || refused.Code == RateLimited {
		return true // refused before any work
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

// retryAfter reads both forms of RFC 9110 §10.2.3, seconds and a date.
func retryAfter(text string, now time.Time) time.Duration {
	const most = 24 * 60 * 60 // beyond a day it is "not now" in any case, and it cannot overflow
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), most)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), most*time.Second)
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
