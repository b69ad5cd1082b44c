package api

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// lingering hands out connections that can be closed without losing the last
// answer. Closing one on which bytes wait unread resets it, and a caller whose
// body was too large would see that instead of being told so.
type lingering struct{ net.Listener }

func (l lingering) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lingeringConn{Conn: conn}, nil
}

type lingeringConn struct {
	net.Conn
	linger    atomic.Bool
	streaming atomic.Bool
	hurry     atomic.Bool

	requestLine requestLine // of the goroutine that serves the connection
}

func (c *lingeringConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.requestLine.read(b[:n])
	return n, err
}

// A stream has no deadline as a whole, each of its writes has: of a reader who does
// not read, and of one who does not when we want to stop.
const (
	writeWithin = 10 * time.Second
	hurryWithin = time.Second
)

// streamOn makes what is written from here on a stream.
func streamOn(conn net.Conn) {
	if c, ok := conn.(*lingeringConn); ok {
		c.streaming.Store(true)
	}
}

// hurryUp ends a stream whose reader does not read, shortly.
func hurryUp(conn net.Conn) {
	if c, ok := conn.(*lingeringConn); ok {
		c.hurry.Store(true)
		_ = c.Conn.SetWriteDeadline(time.Now().Add(hurryWithin)) // of the write that hangs; a dead connection needs none
	}
}

// SetWriteDeadline is the server's for a whole response, which a stream is not.
func (c *lingeringConn) SetWriteDeadline(t time.Time) error {
	if c.streaming.Load() {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *lingeringConn) Write(b []byte) (int, error) {
	if c.streaming.Load() {
		within := writeWithin
		if c.hurry.Load() {
			within = hurryWithin
		}
		if err := c.Conn.SetWriteDeadline(time.Now().Add(within)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// lingerOn makes Close wait for the caller, who has not finished sending.
func lingerOn(conn net.Conn) {
	if c, ok := conn.(*lingeringConn); ok {
		c.linger.Store(true)
	}
}

// Close says that we are done, and reads on, within reason, until the caller is
// as well.
func (c *lingeringConn) Close() error {
	const most, patience = 4 << 20, 2 * time.Second
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if ok && c.linger.Swap(false) && half.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(patience)) == nil {
		_, _ = io.CopyN(io.Discard, c.Conn, most) // whatever comes, it is thrown away
	}
	return c.Conn.Close()
}
