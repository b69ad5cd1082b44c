package listener

import (
	"errors"
	"net"
	"net/http"
	"sync"
)

// Conn is an accepted connection. The server calls Begin and End around each request
// that it works on.
type Conn struct {
	net.Conn
	listener *Listener
	closing  sync.Once
	closeErr error

	// The mutex of places guards the remaining fields.
	all, own   link // in the list of all idle connections, and in that of its address
	address    *address
	state      state
	restricted bool
}

// Begin marks the connection as busy. It reports false if the connection was closed to
// make space for another one; the server must then not work on the request.
func (c *Conn) Begin() bool { return c.listener.places.begin(c) }

// End marks the connection as idle: the request has been answered.
func (c *Conn) End() { c.listener.places.end(c) }

// Touch reports that a request begins to arrive. The connection stays idle, but moves
// to the end of the list of those to close.
func (c *Conn) Touch() { c.listener.places.touch(c) }

// Restricted reports whether the connection took one of the reserved places. On such a
// connection the server answers only the requests that the places are reserved for.
func (c *Conn) Restricted() bool { return c.restricted }

// Close closes the connection and releases its place. Later calls return the result of
// the first one.
func (c *Conn) Close() error {
	c.closing.Do(func() {
		c.closeErr = c.Conn.Close()
		if c.listener.places.release(c) {
			c.listener.metrics.open.Dec()
		}
	})
	return c.closeErr
}

// CloseWrite closes the writing side, so that the client reads EOF. The error is
// [errors.ErrUnsupported] if the underlying connection cannot do that.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Track calls Begin and End for a server of net/http: it is meant for
// [http.Server.ConnState].
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
