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
	linger atomic.Bool
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
