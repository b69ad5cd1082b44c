package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
	"github.com/JDevAman/kizo/server/spans"
)

// Config configures a [Settler]. Pool, Ledger and Bank are required. A field that is zero has the
// value in brackets.
type Config struct {
	Pool         *pgxpool.Pool
	Ledger       *ledger.Ledger
	Bank         bank.Bank
	Logger       *slog.Logger
	Metrics      *Metrics
	Lease        time.Duration // how long a claim is valid without renewal; a payment whose worker died is due after it [3 s]
	Grace        time.Duration // how long the janitor leaves a due payment to the workers [1 s]
	Interval     time.Duration // between two rounds of the janitor [1 s]
	FirstDelay   time.Duration // before the second attempt; it doubles with each attempt [500 ms]
	MaxDelay     time.Duration // largest delay between two attempts [30 s]
	MaxAttempts  int           // a payment needs review after MaxAttempts and MaxAge [12]
	MaxAge       time.Duration // [1 h]
	Concurrency  int           // payments attempted at once by the worker, and as many by the janitor [50]
	DrainTimeout time.Duration // how long a worker that stops waits for the bank; longer than the bank client's timeout [8 s]

	StatementLag      time.Duration // how long the statement may lack a confirmed payment; negative: no time at all [1 min]
	ReconcileInterval time.Duration // between two reconciliations [10 s]
	BreakerThreshold  int           // consecutive failures to reach the bank that open the circuit breaker [10]
	CallbackSecret    []byte        // key of the callback signatures; without it every callback is refused
	// Enqueue creates a task for an attempt that has become due. It must not block [no task].
	Enqueue func(transfer uuid.UUID, attempt int)
	Spans   *spans.Exporter // gets a span for each attempt; nil exports none
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics()
	}
	duration := func(field *time.Duration, otherwise time.Duration) {
		if *field == 0 {
			*field = otherwise
		}
	}
	duration(&c.Lease, 3*time.Second)
	duration(&c.Grace, time.Second)
	duration(&c.Interval, time.Second)
	duration(&c.FirstDelay, 500*time.Millisecond)
	duration(&c.MaxDelay, 30*time.Second)
	duration(&c.MaxAge, time.Hour)
	duration(&c.DrainTimeout, 8*time.Second)
	duration(&c.StatementLag, time.Minute)
	duration(&c.ReconcileInterval, 10*time.Second)
	if c.BreakerThreshold == 0 {
		c.BreakerThreshold = 10
	}
	if c.Enqueue == nil {
		c.Enqueue = func(uuid.UUID, int) {}
	}
	if c.MaxAttempts == 0 {
		c.MaxAttempts = 12
	}
	if c.Concurrency == 0 {
		c.Concurrency = 50
	}
	return c
}

// Time limits of database work that continues after the caller's context has ended.
const (
	statementTimeout = 5 * time.Second
	finishTimeout    = 10 * time.Second // longer than ledger.Config.BatchTimeout
)

// Settler settles payments. [Worker] and [Janitor] both use it. It is safe for concurrent use.
type Settler struct {
	pool         *pgxpool.Pool
	ledger       *ledger.Ledger
	bank         bank.Bank
	log          *slog.Logger
	breaker      *breaker
	missingLines missingLines
	config       Config

	callbackSecret atomic.Pointer[[]byte]
}

// New creates a Settler. It starts no goroutine.
func New(config Config) *Settler {
	config = config.withDefaults()
	b := &breaker{threshold: config.BreakerThreshold, metrics: config.Metrics, now: time.Now}
	s := &Settler{
		pool: config.Pool, ledger: config.Ledger, bank: timedBank{config.Bank, config.Metrics}, log: config.Logger, breaker: b, config: config,
	}
	s.UseCallbackSecret(config.CallbackSecret)
	return s
}

// UseCallbackSecret replaces Config.CallbackSecret for all callbacks that arrive later.
func (s *Settler) UseCallbackSecret(secret []byte) { s.callbackSecret.Store(&secret) }

// SettleOne makes one attempt at a payment. It does nothing if the payment is settled, is not due
// or is claimed by another worker, nor while the circuit breaker is open: the payment then stays
// due, and the janitor attempts it when the bank can be reached again.
//
// If retryIn is positive, the caller should enqueue the attempt numbered next after that time.
// An error comes from the database or the ledger; the payment is then attempted again after its
// lease has ended.
func (s *Settler) SettleOne(ctx context.Context, transfer uuid.UUID) (retryIn time.Duration, next int, err error) {
	if !s.breaker.allow() {
		return 0, 0, nil
	}
	c, ok, err := s.claimOne(ctx, transfer)
	if err != nil || !ok {
		return 0, 0, err
	}
	if err := failpoint.Point("settle.claimed"); err != nil {
		return 0, 0, err
	}
	retryIn, err = s.attempt(ctx, c)
	return retryIn, c.attempts + 1, err
}

// attempt asks the bank about a claimed payment and settles it if the answer is final; otherwise
// decideRetry says what happens next. If ctx ends first, the payment is due at once for another
// worker. retryIn is the time until the next attempt, or 0 if this worker need not enqueue one.
func (s *Settler) attempt(ctx context.Context, c claim) (retryIn time.Duration, err error) {
	c.trace = c.trace.Child() // the attempt and its requests to the bank belong to the trace that created the payment
	ctx = trace.Into(ctx, c.trace)
	defer func(began time.Time) { s.config.Spans.Record(spanOf(c, began, retryIn, err)) }(time.Now())
	held, release := s.keepLease(ctx, c)
	defer release()
	result := s.ask(held, c)
	if result.answer.Outcome != bank.Unknown {
		if err := s.compareAnswers(ctx, c, result.answer); err != nil {
			return 0, err
		}
		return 0, s.finish(ctx, c, result.answer)
	}
	decision := s.config.decideRetry(c, result.err, ctx.Err() != nil, held.Err() != nil)
	switch decision.action {
	case handOver:
		result.kind, result.err = logStopped, errors.New("the worker was stopped")
		return 0, s.postpone(ctx, c, 0, result)
	case dropClaim:
		c.logger(s.log).Warn("payment was taken over while the bank was asked")
		return 0, nil
	case needsReview:
		return 0, s.giveUp(ctx, c, decision.cause, result)
	}
	c.logger(s.log).Warn("payment outcome unknown, asking again",
		"attempts", c.attempts, "in", decision.delay, "error", result.err)
	s.config.Metrics.outcomeUnknown()
	return decision.delay, s.postpone(ctx, c, decision.delay, result)
}

// spanOf returns the span of an attempt, which failed if it must be repeated.
func spanOf(c claim, began time.Time, retryIn time.Duration, err error) spans.Span {
	of := spans.Span{
		Name: "settle " + string(c.instruction.Direction), Kind: spans.Consumer, Trace: c.trace, Began: began,
		Attributes: []spans.Attribute{spans.Text("kizo.transfer", c.transfer.String()), spans.Number("kizo.attempt", c.attempts)},
	}
	switch {
	case err != nil:
		of.Failure = err.Error()
	case retryIn > 0:
		of.Failure = "the outcome is not known yet"
	}
	return of
}

// compareAnswers records a discrepancy if the answer differs from the one that Submit gave at an
// earlier attempt. If it cannot be recorded, the payment must not be settled: its lease ends, and
// it is attempted again.
func (s *Settler) compareAnswers(ctx context.Context, c claim, answer bank.Answer) error {
	now := answer.Outcome.String()
	if c.unconfirmed == "" || c.unconfirmed == now {
		return nil
	}
	ctx, cancel := statementContext(ctx)
	defer cancel()
	return s.recordDiscrepancy(ctx, newDiscrepancy(c, AnswersDiffer, fmt.Errorf("an earlier Submit answered %s, Status now answers %s", c.unconfirmed, now)), nil)
}

// finish settles the transfer in the ledger with the fence of the claim. It ignores the end of ctx,
// so that an answer of the bank is not lost.
func (s *Settler) finish(ctx context.Context, c claim, answer bank.Answer) error {
	if err := failpoint.Point("settle.before_finish"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	result, err := s.ledger.Settle(ctx, ledger.Settlement{
		Transfer: c.transfer,
		Fence:    c.fence,
		Executed: answer.Outcome == bank.Executed,
		BankRef:  answer.BankRef,
		Note:     answer.Reason,
	})
	_ = failpoint.Point("settle.finished")
	if err == nil {
		if !result.Replayed {
			s.config.Metrics.settled(c, answer.Outcome, result.Transfer)
			c.logger(s.log).Debug("payment settled", "outcome", answer.Outcome, "attempts", c.attempts)
		}
		return nil
	}
	switch code := problem.CodeOf(err); code {
	case ledger.Fenced:
		c.logger(s.log).Warn("payment was taken over while the bank answered")
		return nil
	case ledger.SettlementConflicts:
		// The settlement is final, so the payment cannot be reviewed: the conflict is only
		// recorded.
		c.logger(s.log).Error("the bank contradicts the outcome of a settled payment", "now", answer.Outcome)
		s.config.Metrics.reviewStarted(string(code))
		conflict := fmt.Errorf("it is settled, and the bank now says: %s", answer.Outcome)
		return errors.Join(s.addLogEntry(ctx, c, logContradiction, conflict.Error()),
			s.recordDiscrepancy(ctx, newDiscrepancy(c, AnswersDiffer, conflict), nil))
	case ledger.BalanceLimit, ledger.Internal:
		return s.moveToReview(ctx, c, string(code), err)
	}
	// The answer is not lost: Status returns it again at the next attempt.
	return fmt.Errorf("settle transfer %s: %w", c.transfer, err)
}

// giveUp leaves the payment to an operator and records the discrepancy that the attempt found.
func (s *Settler) giveUp(ctx context.Context, c claim, cause string, r attemptResult) error {
	if r.discrepancy != "" {
		recordCtx, cancel := statementContext(ctx)
		defer cancel()
		if err := s.recordDiscrepancy(recordCtx, newDiscrepancy(c, r.discrepancy, r.err), nil); err != nil {
			return err
		}
	}
	return s.moveToReview(ctx, c, cause, r.err)
}

// keepLease renews the lease of a claim until release is called. The context that it returns ends
// when the claim is lost, so that the worker sends the bank no more requests for it.
func (s *Settler) keepLease(ctx context.Context, c claim) (held context.Context, release func()) {
	held, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(s.config.Lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-tick.C:
			}
			if ok, err := s.renew(held, c); err == nil && !ok {
				cancel()
			}
		}
	}()
	return held, func() {
		cancel()
		<-stopped
	}
}
