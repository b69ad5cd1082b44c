package api

import (
	"bytes"
	"fmt"
	"net"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"github.com/JDevAman/kizo/server/listener"
)

// DefaultConnections is the number of connections that may be open at once.
const DefaultConnections = 16 << 10

// reservedConnections is the number of further connections for operators and the bank's callbacks,
// used when every other connection is busy. Only its first request shows who a client is, so such a
// connection is accepted, and requests of all others are rejected on it.
const reservedConnections = 64

// Connections bounds the connections of the API.
type Connections struct {
	Max        int // open at once; DefaultConnections when 0
	PerAddress int // of one client address, but not of a trusted proxy; a quarter of Max when 0
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
	refuse := refusal
	if config.TLS != nil { // a client that waits for a handshake would not understand the answer
		refuse = nil
	}
	return listener.Config{
		Name: "api", Max: c.Max, Reserved: min(reservedConnections, c.Max/8), PerAddress: c.PerAddress,
		Exempt: config.TrustedProxies.Contains, Refusal: refuse, Metrics: c.Metrics, Logger: config.Logger,
	}
}

// refusal returns the whole answer to a client that exceeds the limit of connections. Its request
// was not read, so the request id is a new one.
func refusal() []byte {
	id := uuid.NewString()
	body := `{"type":"https://kizo.dev/problems/overloaded","title":"Service Unavailable","status":503,` +
		`"code":"overloaded","detail":"too many connections are busy; nothing was done, try again in a moment","request_id":"` + id + `"}`
	return fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"+
		"X-Request-Id: %s\r\nRetry-After: 1\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s", len(body), id, body)
}

// listenerConn returns the listener's connection under a clientConn, or nil if there is none.
func listenerConn(conn net.Conn) *listener.Conn {
	if c, ok := conn.(*clientConn); ok {
		return c.placed
	}
	return nil
}

// trackConnection reports to the listener that a request begins to arrive, or that the last one has
// been answered. admit reports that a request is worked on.
func trackConnection(conn net.Conn, state fasthttp.ConnState) {
	c, ok := conn.(*clientConn)
	if !ok {
		return
	}
	inner := listenerConn(conn)
	switch state {
	case fasthttp.StateActive:
		c.requestLine.active()
		if inner != nil {
			inner.Touch()
		}
	case fasthttp.StateIdle:
		c.requestLine.idle()
		if inner != nil {
			inner.End()
		}
	case fasthttp.StateNew, fasthttp.StateHijacked, fasthttp.StateClosed:
	}
}

// reservedFor reports whether a request may use what is reserved for operators and the bank.
func reservedFor(path []byte) bool {
	return bytes.HasPrefix(path, []byte("/v1/ops/")) || bytes.HasPrefix(path, []byte("/v1/bank/"))
}
