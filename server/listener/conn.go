package listener

import (
	"errors"
	"net"
	"net/http"
	"sync"
)

// Conn is a connection that has a place. The server tells by Begin and End when it
// works on a request of it.
type Conn struct {
	net.Conn
	listener *Listener
	closing  sync.Once
	closeErr error

	// The rest belongs to places, under its lock.
	all, own   link // in the list of all idle connections, and of those of its address
	address    *address
	state      state
	restricted bool
}

// Begin says that the server works on a request from now on. It reports false when
// the connection has been closed to give its place away: then the server does nothing.
func (c *Conn) Begin() bool { return c.listener.places.begin(c) }

// End says that the request is answered.
func (c *Conn) End() { c.listener.places.end(c) }

// Touch says that a request begins to arrive. The connection stays idle, but others
// are closed before it.
func (c *Conn) Touch() { c.listener.places.touch(c) }

// Restricted reports whether the connection took one of the reserved places. The
// server answers only the requests on it that these are reserved for.
func (c *Conn) Restricted() bool { return c.restricted }

// Close gives the place back. It may be called again.
func (c *Conn) Close() error {
	c.closing.Do(func() {
		c.closeErr = c.Conn.Close()
		if c.listener.places.release(c) {
			c.listener.metrics.open.Dec()
		}
	})
	return c.closeErr
}

// CloseWrite says to the client that nothing more comes.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Track is for http.Server.ConnState.
func Track(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*Conn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		c.Begin()
	case http.StateIdle:
		c.End()
	case http.StateNew, http.StateHijacked, http.StateClosed:
	}
}
