package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/listener"
)

// maxInFlight is the largest number of requests in progress, including those that hang; more get
// 503.
const maxInFlight = 4096

// shutdownGrace is how long Serve waits for requests that are being answered. Requests that hang
// end at once.
const shutdownGrace = 5 * time.Second

// Server is a mock bank. [Server.Handler] is for another HTTP server; [Server.Run] and
// [Server.Serve] serve it themselves. The caller must call [Server.Close] in every case.
type Server struct {
	cfg       Config
	faults    atomic.Pointer[Faults]
	payments  *payments
	lies      *lieLog
	armed     armed
	callbacks *callbackSender // nil without callbacks
	slots     chan struct{}

	ctx  context.Context // ends hangs, stalls and callbacks
	stop context.CancelFunc
	wait func(ctx context.Context, d time.Duration) error

	closing  sync.Once
	closeErr error
}

// New opens the journal and reads the entries of earlier runs. It fails if another process uses the
// journal or the journal is damaged, and with [ErrNoToken].
func New(cfg Config) (*Server, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	j, entries, err := openJournal(cfg.Journal)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, payments: newPayments(j, entries), lies: &lieLog{path: LiesPath(cfg.Journal)}, slots: make(chan struct{}, maxInFlight), wait: waitFor}
	s.faults.Store(&cfg.Faults)
	s.ctx, s.stop = context.WithCancel(context.Background())
	if cfg.CallbackURL != "" {
		s.callbacks = newCallbackSender(s.ctx, cfg)
	}
	return s, nil
}

// SetFaults replaces the faults for all later requests. The entries of the journal do not change.
func (s *Server) SetFaults(f Faults) error {
	if err := f.Validate(); err != nil {
		return err
	}
	s.faults.Store(&f)
	return nil
}

// Run serves on Config.Addr until ctx ends or Close is called, and then closes the bank. It
// returns nil after either.
func (s *Server) Run(ctx context.Context) error {
	var listen net.ListenConfig
	ln, err := listen.Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return errors.Join(fmt.Errorf("mock bank: %w", err), s.Close())
	}
	return s.Serve(ctx, ln)
}

// Serve is Run with a listener of the caller, which it closes.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnState:         listener.Track,
	}
	ended := make(chan error, 1)
	limited := listener.New(ln, listener.Config{Name: "bank", Max: s.cfg.MaxConnections, Logger: s.cfg.Log})
	go func() { ended <- server.Serve(limited) }()
	s.cfg.Log.Info("mock bank serves", "addr", ln.Addr().String(), "journal", s.cfg.Journal)
	if address, ok := ln.Addr().(*net.TCPAddr); ok && !address.IP.IsLoopback() {
		s.cfg.Log.Warn("the mock bank listens beyond loopback without TLS: its token can be read on the network", "addr", ln.Addr().String())
	}
	var err error
	select {
	case err = <-ended:
		err = fmt.Errorf("mock bank: serve: %w", err)
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	s.stop() // first, so that requests that hang end and Shutdown does not wait for them
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close() // the remaining requests have had shutdownGrace
	}
	return errors.Join(err, s.Close())
}

// Close ends hanging requests and callbacks, writes the pending entries and closes the journal.
// It may be called more than once, and while requests are in progress: these get 503 or a closed
// connection.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.stop()
		if s.callbacks != nil {
			s.callbacks.close()
		}
		s.closeErr = errors.Join(s.payments.journal.close(), s.lies.close())
	})
	return s.closeErr
}

// decide returns a function that creates the entry of an instruction.
func (s *Server) decide(in bank.Instruction, faults Faults) func(seq int64) *Entry {
	return func(seq int64) *Entry {
		e := &Entry{
			Seq: seq, Instruction: in, Status: StatusExecuted,
			At:      s.cfg.Clock().UTC().Truncate(time.Microsecond),
			BankRef: bankRef(s.cfg.Seed, seq, in.Ref),
		}
		if faults.rejects(s.cfg.Seed, in) {
			e.Status, e.Reason = StatusRejected, "declined by the account's bank"
		}
		return e
	}
}

// waitFor returns nil after d, or the error of ctx if it ends first.
func waitFor(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
