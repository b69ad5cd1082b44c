package api

import (
	"bytes"
	"fmt"
	"net"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"github.com/JDevAman/kizo/server/listener"
)

// DefaultConnections is how many clients may be connected at once.
const DefaultConnections = 16 << 10

// reservedConnections are for operators and the bank's callbacks when every other
// connection is busy. Nothing but its first request tells who a client is, so such a
// connection is accepted, and any other request on it is rejected.
const reservedConnections = 64

// Connections bounds the connections of the API.
type Connections struct {
	Max        int // at once; DefaultConnections when 0
	PerAddress int // of one client address; a trusted proxy has no limit of its own; a quarter of Max when 0
	Metrics    *listener.Metrics
}

func (a *API) listenerConfig(config Config) listener.Config {
	c := config.Connections
	if c.Max == 0 {
		c.Max = DefaultConnections
	}
	if c.PerAddress == 0 {
		const share, fewest = 4, 64
		c.PerAddress = min(max(c.Max/share, fewest), c.Max)
	}
	return listener.Config{
		Name: "api", Max: c.Max, Reserved: min(reservedConnections, c.Max/8), PerAddress: c.PerAddress,
		Exempt: config.TrustedProxies.Contains, Refusal: refusal, Metrics: c.Metrics, Logger: config.Logger,
	}
}

// refusal is the whole answer to a client for which there is no connection left. Its
// request was not read, so its id is a new one.
func refusal() []byte {
	id := uuid.NewString()
	body := `{"type":"https://kizo.dev/problems/overloaded","title":"Service Unavailable","status":503,` +
		`"code":"overloaded","detail":"too many connections are busy; nothing was done, try again in a moment","request_id":"` + id + `"}`
	return fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"+
		"X-Request-Id: %s\r\nRetry-After: 1\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s", len(body), id, body)
}

// placeOf is what the listener knows about a connection; nil if it is not ours.
func placeOf(conn net.Conn) *listener.Conn {
	if c, ok := conn.(*lingeringConn); ok {
		placed, _ := c.Conn.(*listener.Conn)
		return placed
	}
	return nil
}

// trackConnection tells the listener what fasthttp knows: a request begins to arrive,
// or the last one has been answered. admit tells when one is worked on.
func trackConnection(conn net.Conn, state fasthttp.ConnState) {
	c, ok := conn.(*lingeringConn)
	if !ok {
		return
	}
	place := placeOf(conn)
	switch state {
	case fasthttp.StateActive:
		c.requestLine.active()
		if place != nil {
			place.Touch()
		}
	case fasthttp.StateIdle:
		c.requestLine.idle()
		if place != nil {
			place.End()
		}
	case fasthttp.StateNew, fasthttp.StateHijacked, fasthttp.StateClosed:
	}
}

// reservedFor tells whether a request may use what is reserved for operators and the bank.
func reservedFor(path []byte) bool {
	return bytes.HasPrefix(path, []byte("/v1/ops/")) || bytes.HasPrefix(path, []byte("/v1/bank/"))
}
