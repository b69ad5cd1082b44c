package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/JDevAman/kizo/server/failpoint"
)

const (
	maxOverdue = 200 // payments in one round
	maxExpired = 500 // authorizations in one round
)

// Janitor finds overdue work: payments whose task or worker was lost, and authorizations that have
// expired. It also reconciles. Any number of janitors may run at once, without a leader.
type Janitor struct {
	settler    *Settler
	log        *slog.Logger
	slots      chan struct{}
	inProgress sync.WaitGroup
	backlog    atomic.Bool   // the last round claimed as many payments as there were slots
	slotsFree  chan struct{} // signals that half of the slots are free while there is a backlog
}

// NewJanitor creates a janitor; Run starts it.
func NewJanitor(settler *Settler) *Janitor {
	return &Janitor{
		settler: settler, log: settler.log,
		slots: make(chan struct{}, settler.config.Concurrency), slotsFree: make(chan struct{}, 1),
	}
}

// Run does a round every Config.Interval until ctx ends, then returns the claims of its attempts.
// Expiry and reconciliation run in goroutines of their own: neither many authorizations, nor one
// that cannot be voided, nor a slow statement of the bank delays payments. The error is always nil.
func (j *Janitor) Run(ctx context.Context) error {
	defer j.inProgress.Wait()
	var others sync.WaitGroup
	defer others.Wait()
	others.Go(func() { j.runPeriodically(ctx, nil, j.expire) })
	others.Go(func() { j.reconcileLoop(ctx) })
	j.runPeriodically(ctx, j.slotsFree, j.settleOverdue)
	return nil
}

// runPeriodically calls runOnce now, at each tick, and when wake receives.
func (j *Janitor) runPeriodically(ctx context.Context, wake <-chan struct{}, runOnce func(context.Context) error) {
	tick := time.NewTicker(j.settler.config.Interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := runOnce(ctx); err != nil && ctx.Err() == nil {
			j.log.Warn("a round of the janitor failed", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-wake:
		}
	}
}

// RunOnce starts attempts at overdue payments and expires authorizations, once. It does not wait
// for the bank.
func (j *Janitor) RunOnce(ctx context.Context) error {
	return errors.Join(j.settleOverdue(ctx), j.expire(ctx))
}

// settleOverdue claims overdue payments, at most one for each free slot, and attempts them. If more
// may be overdue, releaseSlot starts the next round as soon as half of the slots are free.
func (j *Janitor) settleOverdue(ctx context.Context) error {
	limit := j.settler.breaker.allowUpTo(min(cap(j.slots)-len(j.slots), maxOverdue))
	if limit == 0 {
		return nil
	}
	if err := failpoint.Point("janitor.round"); err != nil {
		return err
	}
	claims, err := j.settler.claimOverdue(ctx, limit)
	if err != nil {
		return err
	}
	j.backlog.Store(len(claims) == limit)
	if len(claims) > 0 {
		j.log.Info("payments overdue, attempting them", "count", len(claims))
		j.settler.config.Metrics.overdueClaimed(len(claims))
	}
	if err := failpoint.Point("janitor.claimed"); err != nil {
		return err
	}
	for _, c := range claims {
		j.slots <- struct{}{} // does not block: no other goroutine takes slots
		j.inProgress.Go(func() {
			defer j.releaseSlot()
			_ = failpoint.Point("janitor.drive")
			if _, err := j.settler.attempt(ctx, c); err != nil {
				c.logger(j.log).Warn("attempt failed, a later round repeats it", "error", err)
			}
		})
	}
	return nil
}

// releaseSlot returns a slot, and starts the next round if payments wait for slots.
func (j *Janitor) releaseSlot() {
	<-j.slots
	if len(j.slots) <= cap(j.slots)/2 && j.backlog.Load() {
		select {
		case j.slotsFree <- struct{}{}:
		default:
		}
	}
}

// expire voids authorizations that have expired.
func (j *Janitor) expire(ctx context.Context) error {
	if err := failpoint.Point("janitor.expire"); err != nil {
		return err
	}
	expired, err := j.settler.ledger.ExpireDue(ctx, maxExpired)
	if expired > 0 {
		j.log.Info("authorizations expired", "count", expired)
	}
	return err
}

// reconcileLoop reconciles every Config.ReconcileInterval. It logs only when reconciliation
// begins to fail or works again, because it fails each time while the bank cannot be reached.
func (j *Janitor) reconcileLoop(ctx context.Context) {
	tick := time.NewTicker(j.settler.config.ReconcileInterval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := j.reconcileOnce(ctx)
		if ctx.Err() != nil || (err != nil) == failing {
			continue
		}
		failing = err != nil
		if failing {
			j.log.Warn("the bank's statement cannot be compared with the books", "error", err)
		} else {
			j.log.Info("the bank's statement is compared with the books again")
		}
	}
}

var errBankUnreachable = errors.New("the bank cannot be reached")

func (j *Janitor) reconcileOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	if !j.settler.breaker.allow() {
		if err := j.settler.breaker.lastFailure(); err != nil {
			return fmt.Errorf("%w: %w", errBankUnreachable, err)
		}
		return errBankUnreachable
	}
	_, err := j.settler.Reconcile(ctx)
	return errors.Join(err, j.settler.pruneCallbacks(ctx))
}

// Wait returns when all attempts of earlier rounds have ended.
func (j *Janitor) Wait() { j.inProgress.Wait() }
