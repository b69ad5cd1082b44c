package server

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/JDevAman/kizo/server/failpoint"
)

// Close drains: first it is no longer ready, then it stops accepting and lets the
// requests under way finish, then the payments, then the ledger's line. Being
// killed at any moment of this is as safe, only less polite.
func (s *Server) Close() error {
	s.closing.Do(func() { s.closeErr = s.drain() })
	return s.closeErr
}

func (s *Server) drain() error {
	s.ready.Store(false)
	if s.config.DrainDelay > 0 {
		delay := time.NewTimer(s.config.DrainDelay) // a load balancer needs a probe to notice
		<-delay.C
	}
	_ = failpoint.Point("server.draining")
	var errs []error
	errs = append(errs, s.stopIntake())
	if s.queues != nil {
		_ = s.queues.Close() // nobody asks any more
	}
	if s.limitRedis != nil {
		_ = s.limitRedis.Close()
	}
	if s.hashWorker != nil {
		errs = append(errs, s.hashWorker.Close())
	}
	_ = failpoint.Point("server.intake_stopped")
	s.stopWork()
	if !within(workWithin, s.work.Wait) {
		s.log.Warn("settlement does not end; its payments will be found overdue")
	}
	_ = failpoint.Point("server.work_stopped")
	if s.ledger != nil {
		ctx, cancel := context.WithTimeout(context.Background(), ledgerWithin)
		errs = append(errs, s.ledger.Close(ctx))
		cancel()
	}
	_ = failpoint.Point("server.drained")
	errs = append(errs, s.stopOps())
	if s.pool != nil && !within(poolWithin, s.pool.Close) {
		s.log.Warn("a database connection is still in use")
	}
	return errors.Join(errs...)
}

// What each part has after the requests' own DrainTimeout. None of it is needed
// unless something hangs; then the process must end all the same.
const (
	workWithin   = 20 * time.Second // more than settle.Config.Drain
	ledgerWithin = 10 * time.Second // more than ledger.Config.BatchTimeout
	opsWithin    = time.Second
	poolWithin   = 2 * time.Second
)

// stopIntake refuses new connections and lets the requests under way finish. A
// client that hangs is no failure of ours: it is cut off when its time is up.
func (s *Server) stopIntake() error {
	var err error
	if s.api != nil {
		ctx, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
		defer cancel()
		if err = s.api.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			s.log.Warn("requests were cut off", "after", s.config.DrainTimeout)
			err = nil
		}
	}
	if s.apiListener != nil {
		err = errors.Join(err, closeListener(s.apiListener)) // which may not have been served yet
	}
	return err
}

func (s *Server) stopOps() error {
	if s.ops != nil {
		ctx, cancel := context.WithTimeout(context.Background(), opsWithin)
		defer cancel()
		if s.ops.Shutdown(ctx) != nil {
			_ = s.ops.Close() // a profile or a scrape that hangs
		}
	}
	var err error
	for _, l := range []net.Listener{s.opsListener, s.pprofListener} {
		if l != nil {
			err = errors.Join(err, closeListener(l))
		}
	}
	return err
}

func closeListener(l net.Listener) error {
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// within tells whether f returned in time; if not, it is left behind.
func within(limit time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
