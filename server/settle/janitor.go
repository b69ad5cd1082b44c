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
	janitorTakes = 200 // payments in one round
	expiryTakes  = 500 // authorizations in one round
)

// Janitor finds what is overdue and moves it on: payments whose hint or worker was
// lost, and authorizations past their time. Any number may run; none leads.
type Janitor struct {
	settler *Settler
	log     *slog.Logger
	slots   chan struct{}
	driving sync.WaitGroup
	more    atomic.Bool   // the last round left some for want of slots
	roomy   chan struct{} // and there are slots again
}

// NewJanitor makes a janitor; Run starts it.
func NewJanitor(settler *Settler) *Janitor {
	return &Janitor{
		settler: settler, log: settler.log,
		slots: make(chan struct{}, settler.config.Concurrency), roomy: make(chan struct{}, 1),
	}
}

// Run makes a round every second until ctx ends, then hands the payments over that
// it is driving. Expiring is a service of its own, so that five hundred
// authorizations, or one that cannot be voided, keep no payment waiting; and so is
// reconciling, which reads what the bank has to say for itself.
func (j *Janitor) Run(ctx context.Context) error {
	defer j.driving.Wait()
	var others sync.WaitGroup
	defer others.Wait()
	others.Go(func() { j.every(ctx, nil, j.expire) })
	others.Go(func() { j.reconcile(ctx) })
	j.every(ctx, j.roomy, j.redrive)
	return nil
}

// every runs a service now, at each tick, and when it is called for.
func (j *Janitor) every(ctx context.Context, called <-chan struct{}, runOnce func(context.Context) error) {
	tick := time.NewTicker(j.settler.config.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := runOnce(ctx); err != nil && ctx.Err() == nil {
			j.log.Warn("janitor's round failed", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-called:
		}
	}
}

// RunOnce makes one round of everything and does not wait for the bank.
func (j *Janitor) RunOnce(ctx context.Context) error {
	return errors.Join(j.redrive(ctx), j.expire(ctx))
}

// redrive takes no more payments than there are free slots to drive them in. Where
// that leaves some, it is called for as soon as half of the slots are free.
func (j *Janitor) redrive(ctx context.Context) error {
	limit := j.settler.breaker.admits(min(cap(j.slots)-len(j.slots), janitorTakes))
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
	j.more.Store(len(claims) == limit)
	if len(claims) > 0 {
		j.log.Info("payments overdue, driving them", "count", len(claims))
		j.settler.config.Metrics.redriven(len(claims))
	}
	if err := failpoint.Point("janitor.claimed"); err != nil {
		return err
	}
	for _, c := range claims {
		j.slots <- struct{}{} // there is room: nobody else takes slots
		j.driving.Go(func() {
			defer j.leave()
			_ = failpoint.Point("janitor.drive")
			if _, err := j.settler.drive(ctx, c); err != nil {
				c.named(j.log).Warn("payment left for a later round", "error", err)
			}
		})
	}
	return nil
}

// leave gives a slot back.
func (j *Janitor) leave() {
	<-j.slots
	if len(j.slots) <= cap(j.slots)/2 && j.more.Load() {
		select {
		case j.roomy <- struct{}{}:
		default:
		}
	}
}

// expire voids authorizations past their time.
func (j *Janitor) expire(ctx context.Context) error {
	if err := failpoint.Point("janitor.expire"); err != nil {
		return err
	}
	expired, err := j.settler.ledger.ExpireDue(ctx, expiryTakes)
	if expired > 0 {
		j.log.Info("authorizations expired", "count", expired)
	}
	return err
}

// reconcile compares the bank's statement with the books, now and then, and says
// only what changes: while the bank is away every look fails alike.
func (j *Janitor) reconcile(ctx context.Context) {
	tick := time.NewTicker(j.settler.config.ReconcileEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := j.lookAtStatement(ctx)
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

var errBankAway = errors.New("the bank does not answer at present")

func (j *Janitor) lookAtStatement(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reconcileWithin)
	defer cancel()
	if !j.settler.breaker.admit() {
		if err := j.settler.breaker.why(); err != nil {
			return fmt.Errorf("%w: %w", errBankAway, err)
		}
		return errBankAway
	}
	_, err := j.settler.Reconcile(ctx)
	return errors.Join(err, j.settler.pruneCallbacks(ctx))
}

// Wait returns when no payment of earlier rounds is under way.
func (j *Janitor) Wait() { j.driving.Wait() }
