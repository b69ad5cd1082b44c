package server

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/JDevAman/kizo/server/failpoint"
)

// Close stops the server. It first reports "not ready", then stops accepting connections and
// waits for running requests, then for running payments, then for the ledger's command queue.
// Each wait has a timeout. No money is lost if the process is killed at any point of this; its
// clients then repeat their requests. Close may be called more than once.
func (s *Server) Close() error {
	s.closing.Do(func() { s.closeErr = s.drain() })
	return s.closeErr
}

func (s *Server) drain() error {
	s.ready.Store(false)
	if s.config.DrainDelay > 0 {
		delay := time.NewTimer(s.config.DrainDelay) // until load balancers have probed /readyz
		<-delay.C
	}
	_ = failpoint.Point("server.draining")
	var errs []error
	errs = append(errs, s.stopAPI())
	if s.queues != nil {
		_ = s.queues.Close() // nothing queries the queues from here on
	}
	if s.limitRedis != nil {
		_ = s.limitRedis.Close()
	}
	if s.hashWorker != nil {
		errs = append(errs, s.hashWorker.Close())
	}
	_ = failpoint.Point("server.api_stopped")
	s.stopWork()
	if !returnsWithin(workTimeout, s.work.Wait) {
		s.log.Warn("settlement does not end; the janitor will find its payments overdue")
	}
	_ = failpoint.Point("server.work_stopped")
	if s.ledger != nil {
		ctx, cancel := context.WithTimeout(context.Background(), ledgerTimeout)
		errs = append(errs, s.ledger.Close(ctx))
		cancel()
	}
	_ = failpoint.Point("server.drained")
	ctx, cancel := context.WithTimeout(context.Background(), spansTimeout)
	if err := s.spans.Close(ctx); err != nil {
		s.log.Warn("the last spans are lost", "error", err) // no reason to fail: nothing depends on them
	}
	cancel()
	errs = append(errs, s.stopOps())
	if s.pool != nil && !returnsWithin(poolTimeout, s.pool.Close) {
		s.log.Warn("a database connection is still in use")
	}
	return errors.Join(errs...)
}

// How long drain waits for each part after DrainTimeout. A wait reaches its timeout only if the
// part hangs; the process must end then too.
const (
	workTimeout   = 20 * time.Second // more than settle.Config.DrainTimeout
	ledgerTimeout = 10 * time.Second // more than ledger.Config.BatchTimeout
	opsTimeout    = time.Second
	spansTimeout  = 2 * time.Second
	poolTimeout   = 2 * time.Second
)

// stopAPI closes the API's listener and waits for running requests, for DrainTimeout at most.
// Requests that run longer are canceled. That is not an error: a client may hang.
func (s *Server) stopAPI() error {
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
		err = errors.Join(err, closeListener(s.apiListener)) // the API may not have served it yet
	}
	return err
}

func (s *Server) stopOps() error {
	if s.ops != nil {
		ctx, cancel := context.WithTimeout(context.Background(), opsTimeout)
		defer cancel()
		if s.ops.Shutdown(ctx) != nil {
			_ = s.ops.Close() // ends a scrape that hangs
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

// returnsWithin calls f and reports whether it returned within the timeout. If not, f keeps
// running in its goroutine.
func returnsWithin(timeout time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
