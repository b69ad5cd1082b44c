package settle

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	janitorEvery = time.Second
	janitorTakes = 200 // payments in one round
	expiryTakes  = 500 // authorisations in one round
)

// Janitor finds what is overdue and moves it on: payments whose hint or worker was
// lost, and authorisations past their time. Any number may run; none leads.
type Janitor struct {
	settler *Settler
	log     *slog.Logger
	slots   chan struct{}
	driving sync.WaitGroup
}

// NewJanitor makes a janitor; Run starts it.
func NewJanitor(settler *Settler) *Janitor {
	return &Janitor{settler: settler, log: settler.log, slots: make(chan struct{}, settler.config.Concurrency)}
}

// Run makes a round every second until ctx ends, then waits for the payments that
// it is driving.
func (j *Janitor) Run(ctx context.Context) error {
	defer j.driving.Wait()
	tick := time.NewTicker(janitorEvery)
	defer tick.Stop()
	for {
		if err := j.RunOnce(ctx); err != nil && ctx.Err() == nil {
			j.log.Warn("janitor's round failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// RunOnce makes one round. It takes no more payments than there are free slots to
// drive them in, and does not wait for the bank.
func (j *Janitor) RunOnce(ctx context.Context) error {
	expired, err := j.settler.ledger.ExpireDue(ctx, expiryTakes)
	if err != nil {
		return err
	}
	if expired > 0 {
		j.log.Info("authorisations expired", "count", expired)
	}
	free := cap(j.slots) - len(j.slots)
	if free == 0 {
		return nil
	}
	claims, err := j.settler.claimOverdue(ctx, min(free, janitorTakes))
	if err != nil {
		return err
	}
	if len(claims) > 0 {
		j.log.Info("payments overdue, driving them", "count", len(claims))
		j.settler.config.Metrics.redriven(len(claims))
	}
	for _, c := range claims {
		j.slots <- struct{}{}
		j.driving.Go(func() {
			defer func() { <-j.slots }()
			if _, err := j.settler.drive(ctx, c); err != nil {
				j.log.Warn("payment left for the next round", "transfer", c.transfer, "error", err)
			}
		})
	}
	return nil
}

// Wait returns when no payment of earlier rounds is under way.
func (j *Janitor) Wait() { j.driving.Wait() }
