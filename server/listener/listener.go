package listener

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Config of a Listener. The zero value sets no limits.
type Config struct {
	Name       string                // used in metrics and logs
	Max        int                   // open connections, including Reserved; 0 is no limit
	Reserved   int                   // part of Max: for restricted connections, when all other places are busy
	PerAddress int                   // open connections of one address; 0 is no limit
	Exempt     func(netip.Addr) bool // addresses that PerAddress does not limit; may be nil
	Refusal    func() []byte         // the response to a refused client; none if nil
	Metrics    *Metrics              // metrics that are not registered when nil
	Logger     *slog.Logger
}

// Listener accepts connections within limits.
type Listener struct {
	net.Listener
	config   Config
	metrics  counters
	places   *places
	refusing chan struct{} // one entry for each refusal that is being written
	closed   chan struct{}
	closing  sync.Once
	warned   time.Time // when an accept error was last logged; only Accept uses it
}

// maxRefusing is the maximum number of refusals that are written at the same time. Above
// it, connections are closed without a response.
const maxRefusing = 32

// New returns a Listener that limits the connections which inner accepts.
func New(inner net.Listener, config Config) *Listener {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &Listener{
		Listener: inner, config: config, metrics: config.Metrics.of(config.Name),
		places:   newPlaces(config.Max, config.Reserved, config.PerAddress),
		refusing: make(chan struct{}, maxRefusing), closed: make(chan struct{}),
	}
}

// Close stops accepting. Open connections stay open.
func (l *Listener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Delays between two attempts to accept, and between two warnings about them.
const (
	firstWait = 5 * time.Millisecond
	maxWait   = time.Second
	warnEvery = 10 * time.Second
)

// Accept returns the next connection within the limits. It retries after a temporary
// error, such as a lack of file descriptors, and returns any other error.
func (l *Listener) Accept() (net.Conn, error) {
	wait := firstWait
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			if !isTemporary(err) {
				return nil, err
			}
			if err := l.backOff(err, wait); err != nil {
				return nil, err
			}
			wait = min(2*wait, maxWait)
			continue
		}
		wait = firstWait
		if placed := l.place(conn); placed != nil {
			return placed, nil
		}
	}
}

// backOff waits before the next attempt to accept. If the process has run out of file
// descriptors, it closes the oldest idle connection first. It returns an error if the
// listener is closed meanwhile.
func (l *Listener) backOff(err error, wait time.Duration) error {
	l.metrics.acceptErrors.Inc()
	if now := time.Now(); now.Sub(l.warned) > warnEvery {
		l.warned = now
		l.config.Logger.Warn("connections cannot be accepted; trying again", "listener", l.config.Name, "error", err)
	}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		if oldest := l.places.evictOldest(); oldest != nil {
			l.closeIdle(oldest)
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-l.closed:
		return net.ErrClosed
	}
}

// temporaryErrors are the errors of accept(2) that do not concern the listener itself:
// the process or the host lacks a resource for the moment, or the client has already
// closed the connection. Linux also reports network errors of that connection.
var temporaryErrors = []error{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
	syscall.EAGAIN, syscall.EINTR, syscall.ETIMEDOUT,
	syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.EPERM, syscall.EOPNOTSUPP,
	syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH,
}

func isTemporary(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	for _, known := range temporaryErrors {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// place admits a connection, or refuses it and returns nil.
func (l *Listener) place(inner net.Conn) net.Conn {
	conn := &Conn{Conn: inner, listener: l}
	conn.all.conn, conn.own.conn = conn, conn
	address := addressOf(inner.RemoteAddr())
	exempt := l.config.Exempt != nil && l.config.Exempt(address)
	victim, ok := l.places.admit(conn, network(address), exempt)
	if victim != nil {
		l.closeIdle(victim)
	}
	if !ok {
		l.refuse(inner)
		return nil
	}
	l.metrics.open.Inc()
	return conn
}

func (l *Listener) closeIdle(conn *Conn) {
	l.metrics.open.Dec()
	l.metrics.closedIdle.Inc()
	_ = conn.Conn.Close() // its reader finds it closed
}

// refuse writes the refusal to a client, and reads what the client sends meanwhile:
// closing a connection that has unread bytes would reset it, and the client might not
// receive the refusal.
func (l *Listener) refuse(conn net.Conn) {
	l.metrics.refused.Inc()
	select {
	case l.refusing <- struct{}{}:
	default:
		_ = conn.Close()
		return
	}
	go func() {
		defer func() { <-l.refusing }()
		defer func() { _ = conn.Close() }()
		const within, maxRead = time.Second, 64 << 10
		if conn.SetDeadline(time.Now().Add(within)) != nil {
			return
		}
		if l.config.Refusal != nil {
			if _, err := conn.Write(l.config.Refusal()); err != nil {
				return
			}
		}
		if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_, _ = io.CopyN(io.Discard, conn, maxRead) // ends with the client or the deadline
		}
	}()
}

func addressOf(remote net.Addr) netip.Addr {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// network returns the address that connections are counted by. For IPv6 this is the /64
// network: a client that has one of its addresses usually has all of them.
func network(address netip.Addr) netip.Addr {
	if !address.Is6() {
		return address
	}
	const hostNetwork = 64
	prefix, err := address.Prefix(hostNetwork)
	if err != nil {
		return address
	}
	return prefix.Addr()
}
