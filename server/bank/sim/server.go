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

// maxInFlight bounds requests under way, those that hang included; more get 503.
const maxInFlight = 4096

// shutdownGrace is for requests that are being answered; those that hang are
// ended at once.
const shutdownGrace = 5 * time.Second

// Server is a mock bank. Handler serves it inside another HTTP server; Run and
// Serve bring their own. Close in any case.
type Server struct {
	cfg    Config
	faults atomic.Pointer[Faults]
	book   *book
	lies   *lieBook
	post   *postman // nil without callbacks
	slots  chan struct{}

	ctx  context.Context // ends hangs, stalls and callbacks
	stop context.CancelFunc
	wait func(ctx context.Context, d time.Duration) error

	closing  sync.Once
	closeErr error
}

// New opens the journal and reads what earlier runs did. It fails when another
// process has the journal or when the journal is damaged.
func New(cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	j, entries, err := openJournal(cfg.Journal)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, book: newBook(j, entries), lies: &lieBook{path: LiesPath(cfg.Journal)}, slots: make(chan struct{}, maxInFlight), wait: waitFor}
	s.faults.Store(&cfg.Faults)
	s.ctx, s.stop = context.WithCancel(context.Background())
	if cfg.CallbackURL != "" {
		s.post = newPostman(s.ctx, cfg)
	}
	return s, nil
}

// SetFaults changes the weather for requests that come from now on, so that a
// test can heal the bank. What is in the journal stays as it is.
func (s *Server) SetFaults(f Faults) error {
	if err := f.Validate(); err != nil {
		return err
	}
	s.faults.Store(&f)
	return nil
}

// Run serves on Config.Addr until ctx ends or Close, and closes the bank. The
// end of ctx is no error.
func (s *Server) Run(ctx context.Context) error {
	var listen net.ListenConfig
	ln, err := listen.Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return errors.Join(fmt.Errorf("mock bank: %w", err), s.Close())
	}
	return s.Serve(ctx, ln)
}

// Serve is Run on a listener of the caller's, which it closes.
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
	s.stop() // first, so that hanging requests end and Shutdown need not wait for them
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close() // whoever is left has had its grace
	}
	return errors.Join(err, s.Close())
}

// Close ends hangs and callbacks, writes what is pending and gives the journal
// back. It may be called more than once and while requests are under way: they
// get 503 or a cut line.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.stop()
		if s.post != nil {
			s.post.close()
		}
		s.closeErr = errors.Join(s.book.journal.close(), s.lies.close())
	})
	return s.closeErr
}

// decide makes the one entry of a ref.
func (s *Server) decide(in bank.Instruction) func(seq int64) *Entry {
	return func(seq int64) *Entry {
		e := &Entry{
			Seq: seq, Instruction: in, Status: StatusExecuted,
			At:      s.cfg.Clock().UTC().Truncate(time.Microsecond),
			BankRef: bankRef(s.cfg.Seed, seq, in.Ref),
		}
		if s.faults.Load().rejects(s.cfg.Seed, in) {
			e.Status, e.Reason = StatusRejected, "declined by the account's bank"
		}
		return e
	}
}

// waitFor returns after d, or with an error when ctx ends first.
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
