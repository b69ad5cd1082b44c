package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/failpoint"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// Config of a Settler; Pool, Ledger and Bank are required. A zero field takes
// the value in brackets.
type Config struct {
	Pool        *pgxpool.Pool
	Ledger      *ledger.Ledger
	Bank        bank.Bank
	Logger      *slog.Logger
	Metrics     *Metrics
	Lease       time.Duration // a dead worker's payment falls due after it [3 s]
	Grace       time.Duration // how long the janitor leaves a due payment to its hint [1 s]
	Every       time.Duration // between two rounds of the janitor [1 s]
	FirstDelay  time.Duration // before the second attempt; doubles from one to the next [500 ms]
	MaxDelay    time.Duration // bound of that doubling [30 s]
	MaxAttempts int           // together with MaxAge: then needs_review [12]
	MaxAge      time.Duration // [1 h]
	Concurrency int           // payments at the bank at once, for workers and janitor each [50]
	Drain       time.Duration // how long a stopping worker waits for the bank; more than the bank's timeout [8 s]

	StatementLag   time.Duration // for which a statement may lack what the bank has confirmed; negative: not at all [1 min]
	ReconcileEvery time.Duration // between two looks at the bank's statement [10 s]
	BreakerAfter   int           // failures to reach the bank in a row, after which it is left alone [10]
	CallbackSecret []byte        // key of the signatures of the bank's callbacks; without one, none is believed
	// Hint says that an attempt of a payment has become due; it must not block [none].
	Enqueue func(transfer uuid.UUID, attempt int)
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
	duration(&c.Every, time.Second)
	duration(&c.FirstDelay, 500*time.Millisecond)
	duration(&c.MaxDelay, 30*time.Second)
	duration(&c.MaxAge, time.Hour)
	duration(&c.Drain, 8*time.Second)
	duration(&c.StatementLag, time.Minute)
	duration(&c.ReconcileEvery, 10*time.Second)
	if c.BreakerAfter == 0 {
		c.BreakerAfter = 10
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

// Bounds on what has no caller that would give up.
const (
	statementWithin = 5 * time.Second
	finishWithin    = 10 * time.Second // more than the ledger's own patience
)

// Settler carries payments out. Worker and janitor both use it.
type Settler struct {
	pool    *pgxpool.Pool
	ledger  *ledger.Ledger
	bank    bank.Bank
	log     *slog.Logger
	breaker *breaker
	missing missing
	config  Config

	callbackSecret atomic.Pointer[[]byte]
}

// New makes a Settler; it starts nothing.
func New(config Config) *Settler {
	config = config.withDefaults()
	b := &breaker{after: config.BreakerAfter, metrics: config.Metrics, now: time.Now}
	s := &Settler{
		pool: config.Pool, ledger: config.Ledger, bank: timedBank{config.Bank, config.Metrics}, log: config.Logger, breaker: b, config: config,
	}
	s.UseCallbackSecret(config.CallbackSecret)
	return s
}

// UseCallbackSecret replaces Config.CallbackSecret, for callbacks from now on.
func (s *Settler) UseCallbackSecret(secret []byte) { s.callbackSecret.Store(&secret) }

// SettleOne claims a payment and carries it as far as the bank lets it. A payment
// that is settled, not due, or held by another is left alone; while the bank cannot
// be reached, any is: it stays due, and the janitor drives it once the bank is back.
// again is when to look at it next and for which attempt, 0 if never.
func (s *Settler) SettleOne(ctx context.Context, transfer uuid.UUID) (again time.Duration, attempt int, err error) {
	if !s.breaker.admit() {
		return 0, 0, nil
	}
	c, ok, err := s.claimOne(ctx, transfer)
	if err != nil || !ok {
		return 0, 0, err
	}
	if err := failpoint.Point("settle.claimed"); err != nil {
		return 0, 0, err
	}
	again, err = s.drive(ctx, c)
	return again, c.attempts + 1, err
}

// drive asks the bank about a claimed payment and carries the answer out. When ctx
// ends first, the payment is handed over: it falls due at once.
func (s *Settler) drive(ctx context.Context, c claim) (again time.Duration, err error) {
	ctx = trace.Into(ctx, c.trace) // the bank is asked in the name of the request that the payment came with
	held, release := s.keepLease(ctx, c)
	defer release()
	reply := s.ask(held, c)
	if reply.answer.Outcome != bank.Unknown {
		if err := s.compareAnswers(ctx, c, reply.answer); err != nil {
			return 0, err
		}
		return 0, s.finish(ctx, c, reply.answer)
	}
	switch {
	case ctx.Err() != nil:
		// We are being stopped, the bank said nothing wrong.
		reply.what, reply.err = loggedStopped, errors.New("the worker was stopped")
		return 0, s.postpone(ctx, c, 0, reply)
	case held.Err() != nil:
		c.named(s.log).Warn("payment was taken over while the bank was asked")
		return 0, nil
	case final(reply.err) && c.attempts >= s.config.MaxAttempts:
		return 0, s.giveUp(ctx, c, causeContradiction, reply)
	case errors.Is(reply.err, bank.CodeInvalid): // never sent, and never will be
		return 0, s.giveUp(ctx, c, causeInvalid, reply)
	}
	return s.again(ctx, c, reply)
}

// compareAnswers records that the bank now says otherwise than it answered at an
// earlier attempt. Should that fail, so would settling: the lease runs out, and the
// payment is looked at again.
func (s *Settler) compareAnswers(ctx context.Context, c claim, answer bank.Answer) error {
	now := answer.Outcome.String()
	if c.unconfirmed == "" || c.unconfirmed == now {
		return nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.record(ctx, newDiscrepancy(c, AnswersDiffer, fmt.Errorf("the bank answered %s, and asked again: %s", c.unconfirmed, now)), nil)
}

// finish gives the bank's word to the ledger, under our fence. It goes on although
// ctx may have ended: an answer that we have is not thrown away.
func (s *Settler) finish(ctx context.Context, c claim, answer bank.Answer) error {
	if err := failpoint.Point("settle.before_finish"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
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
			c.named(s.log).Debug("payment settled", "outcome", answer.Outcome, "attempts", c.attempts)
		}
		return nil
	}
	switch code := problem.CodeOf(err); code {
	case ledger.Fenced:
		c.named(s.log).Warn("payment was taken over while the bank answered")
		return nil
	case ledger.SettlementConflicts:
		// It is settled for good, so there is nothing to put up: only to tell.
		c.named(s.log).Error("the bank says the opposite of what it said before", "now", answer.Outcome)
		s.config.Metrics.review(string(code))
		told := fmt.Errorf("it is settled, and the bank now says: %s", answer.Outcome)
		return errors.Join(s.note(ctx, c, loggedContradiction, told.Error()), s.record(ctx, newDiscrepancy(c, AnswersDiffer, told), nil))
	case ledger.BalanceLimit, ledger.Internal:
		return s.review(ctx, c, string(code), err)
	}
	// The bank's word is not lost: it will say the same again.
	return fmt.Errorf("settle transfer %s: %w", c.transfer, err)
}

// again postpones a payment whose outcome is unknown, or gives it to an operator
// when it has been tried often and long enough.
func (s *Settler) again(ctx context.Context, c claim, r reply) (time.Duration, error) {
	if c.attempts >= s.config.MaxAttempts && c.age >= s.config.MaxAge {
		return 0, s.giveUp(ctx, c, causeExhausted, r)
	}
	delay := s.delay(c.attempts, c.age)
	c.named(s.log).Warn("payment outcome unknown, asking again", "attempts", c.attempts, "in", delay, "error", r.err)
	s.config.Metrics.unknown()
	return delay, s.postpone(ctx, c, delay, r)
}

// giveUp leaves the payment to an operator, who is to know what the bank said last.
func (s *Settler) giveUp(ctx context.Context, c claim, cause string, r reply) error {
	if r.differs != "" {
		within, cancel := bounded(ctx)
		defer cancel()
		if err := s.record(within, newDiscrepancy(c, r.differs, r.err), nil); err != nil {
			return err
		}
	}
	return s.review(ctx, c, cause, r.err)
}

// youngDelay bounds the delay of a payment that is not old: when the bank comes
// back after a short trouble, nobody waits much longer than the trouble was.
const youngDelay = 6 * time.Second

// delay before the next attempt of a payment of that age: doubling, but no more
// than a tenth of what it has waited already, with jitter of a half.
func (s *Settler) delay(attempts int, age time.Duration) time.Duration {
	longest := min(s.config.MaxDelay, max(youngDelay, age/10))
	if shift := attempts - 1; shift < 16 {
		longest = min(longest, s.config.FirstDelay<<shift)
	}
	return longest/2 + rand.N(longest/2+1) //nolint:gosec // jitter
}

// keepLease renews the claim's lease until release is called. The context that it
// returns ends when the claim is lost, so that no more is asked in its name.
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
