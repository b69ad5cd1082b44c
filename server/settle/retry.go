package settle

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

// retryAction is what a worker does with a payment after an attempt that left its outcome unknown.
type retryAction uint8

const (
	retryLater  retryAction = iota // release the claim; the next attempt is due after a delay
	handOver                       // release the claim; the next attempt is due at once
	dropClaim                      // do nothing: another worker has claimed the payment
	needsReview                    // leave the payment to an operator
)

// retryDecision is the result of decideRetry.
type retryDecision struct {
	action retryAction
	delay  time.Duration // of retryLater
	cause  string        // of needsReview: a label of kizo_payments_needs_review_total
}

// decideRetry decides whether and when a payment is attempted again. Its caller is a worker or the
// janitor after an attempt that ended with err and left the outcome unknown. No other function
// decides whether. The first rule that applies counts:
//
//	the worker is being stopped                         another worker retries at once
//	the lease was lost                                  its new holder decides
//	MaxAttempts reached, the contradiction is final     review by an operator
//	the instruction is malformed and was never sent     review by an operator
//	MaxAttempts and MaxAge reached                      review by an operator
//	any other case                                      retry after retryDelay
//
// Every retry uses the same reference, which the bank executes at most once. A retry becomes due
// earlier than decided here when the bank sends a callback, and a payment in review is attempted
// again when an operator chooses ResolveAsk. If a worker dies or the database fails before the
// decision is stored, the lease ends and the janitor claims the payment. While the circuit breaker
// is open, SettleOne postpones attempts.
func (c Config) decideRetry(p claim, err error, stopped, leaseLost bool) retryDecision {
	enoughAttempts := p.attempts >= c.MaxAttempts
	switch {
	case stopped:
		return retryDecision{action: handOver}
	case leaseLost:
		return retryDecision{action: dropClaim}
	case enoughAttempts && finalContradiction(err):
		return retryDecision{action: needsReview, cause: causeContradiction}
	case errors.Is(err, bank.CodeInvalid):
		return retryDecision{action: needsReview, cause: causeInvalid}
	case enoughAttempts && p.age >= c.MaxAge:
		return retryDecision{action: needsReview, cause: causeExhausted}
	}
	return retryDecision{action: retryLater, delay: c.retryDelay(p.attempts, p.age)}
}

// finalContradiction reports whether err is a contradiction that another attempt cannot resolve:
// Status still gives it, or the bank has another instruction under the reference.
func finalContradiction(err error) bool {
	e, ok := errors.AsType[*bank.Error](err)
	return ok && (e.Code == bank.CodeContradiction && e.Op == "status" || e.Code == bank.CodeConflict)
}

// youngDelay limits the delay of a payment up to one minute old. After a short outage of the bank
// a payment then waits hardly longer than the outage lasted.
const youngDelay = 6 * time.Second

// retryDelay returns the time until the next attempt. It doubles with each attempt from FirstDelay
// to MaxDelay, is at most a tenth of the payment's age or youngDelay, whichever is larger, and is
// reduced by a random part of up to one half.
func (c Config) retryDelay(attempts int, age time.Duration) time.Duration {
	longest := min(c.MaxDelay, max(youngDelay, age/10))
	if shift := attempts - 1; shift < 16 {
		longest = min(longest, c.FirstDelay<<shift)
	}
	return longest/2 + rand.N(longest/2+1) //nolint:gosec // jitter
}
