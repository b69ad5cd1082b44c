package api

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/JDevAman/kizo/server/listener"
)

// clientListener accepts connections as clientConns, with TLS unless tls is nil.
type clientListener struct {
	net.Listener
	tls *tls.Config
	log *slog.Logger
}

func (l clientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	client := &clientConn{Conn: conn}
	client.placed, _ = conn.(*listener.Conn)
	if l.tls != nil { // the handshake is a part of the first Read, and so has the timeout of a request
		client.Conn = &tlsConn{Conn: tls.Server(conn, l.tls), log: l.log}
	}
	return client, nil
}

// tlsConn is a connection with TLS whose handshake comes with the first Read. A handshake that
// fails ends the connection as if the client had closed it: there is no request to answer or log.
type tlsConn struct {
	*tls.Conn
	log    *slog.Logger
	secure bool // the handshake is complete; Read alone uses it
}

func (c *tlsConn) Read(b []byte) (int, error) {
	if !c.secure {
		if err := c.HandshakeContext(context.Background()); err != nil { // the read deadline bounds it
			c.log.Debug("a TLS handshake failed", "address", c.RemoteAddr().String(), "error", err)
			return 0, io.EOF
		}
		c.secure = true
	}
	return c.Conn.Read(b)
}

// clientConn is the connection of a client. It adds three things to a net.Conn: it can be closed
// without losing the last answer, it has a deadline for each write of an event stream, and it
// checks how the request line ends.
type clientConn struct {
	net.Conn
	placed    *listener.Conn // below TLS; nil if the connection comes from another listener
	graceful  atomic.Bool    // Close waits for the client
	streaming atomic.Bool    // the answer is an event stream
	stopping  atomic.Bool    // the event stream is being ended

	// These are used by the goroutine that serves the connection.
	requestLine requestLine
	retryAt     time.Time // when the client of a shed request may send the next one; zero if none was shed
	ignored     int       // how often in a row the client did not wait for that; at most maxDoublings
}

func (c *clientConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.requestLine.read(b[:n])
	return n, err
}

// An event stream has no deadline as a whole, but each of its writes has one.
const (
	streamWriteTimeout = 10 * time.Second // for a client that does not read
	stopTimeout        = time.Second      // the same, while the server stops
)

// beginStream gives each further write to the connection a deadline of its own, and ignores that of
// the response.
func beginStream(conn net.Conn) {
	if c, ok := conn.(*clientConn); ok {
		c.streaming.Store(true)
	}
}

// stopStream ends within stopTimeout a stream whose client does not read.
func stopStream(conn net.Conn) {
	if c, ok := conn.(*clientConn); ok {
		c.stopping.Store(true)
		_ = c.Conn.SetWriteDeadline(time.Now().Add(stopTimeout)) // for a write in progress; on a dead connection it fails, which does no harm
	}
}

// SetWriteDeadline sets the deadline of a whole response. It does nothing for an event stream.
func (c *clientConn) SetWriteDeadline(t time.Time) error {
	if c.streaming.Load() {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *clientConn) Write(b []byte) (int, error) {
	if c.streaming.Load() {
		timeout := streamWriteTimeout
		if c.stopping.Load() {
			timeout = stopTimeout
		}
		if err := c.Conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// closeGracefully makes Close wait for a client that has not finished sending. Closing a connection
// with unread bytes resets it, and the client may see the reset instead of the answer that its body
// was too large.
func closeGracefully(conn net.Conn) {
	if c, ok := conn.(*clientConn); ok {
		c.graceful.Store(true)
	}
}

// Close closes the connection. After closeGracefully it first ends its own side and discards what
// the client still sends: at most maxDiscarded bytes, for at most discardTimeout.
func (c *clientConn) Close() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if ok && c.graceful.Swap(false) && half.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(discardTimeout)) == nil {
		_, _ = io.CopyN(io.Discard, c.Conn, maxDiscarded)
	}
	return c.Conn.Close()
}

const (
	maxDiscarded   = 4 << 20 // bytes
	discardTimeout = 2 * time.Second
)
