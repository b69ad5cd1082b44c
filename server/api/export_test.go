package api

import (
	"net"
	"net/netip"
	"time"

	"github.com/gofiber/fiber/v2"
	dto "github.com/prometheus/client_model/go"
)

// What the tests, which stand outside like any caller, need to see of the inside.
var (
	Statuses       = statuses
	NeedsKey       = needsKey
	Public         = public
	DecodeStrictly = decodeStrictly
	Describe       = problemOf
)

const MaxBody = maxBody

// PlainMembers and AnyMembers read the members of a body, the one what is plain and
// the other whatever it is.
func PlainMembers(body []byte) (map[string]string, bool) {
	m, ok := plainMembers(body)
	return m.byName(), ok
}

func AnyMembers(body []byte) (map[string]string, error) {
	m, err := anyMembers(body)
	return m.byName(), err
}

func (m members) byName() map[string]string {
	named := make(map[string]string)
	for _, one := range m {
		named[one.name] = string(one.raw)
	}
	return named
}

// Bodies are the operations that take a body.
func Bodies() map[string]bool {
	names := make(map[string]bool)
	for name := range bodies {
		names[name] = true
	}
	return names
}

// Routes that the app serves, without the middlewares.
func (a *API) Routes() []fiber.Route { return a.app.GetRoutes(true) }

// AddRoute makes a route without a contract.
func (a *API) AddRoute(path string, handler fiber.Handler) { a.app.Get(path, handler) }

// InFlight is how many requests are worked on.
func (a *API) InFlight() int64 { return a.admission.inFlight.Load() }

// SetPatience with one request; before Serve.
func (a *API) SetPatience(d time.Duration) { a.patience = d }

// SetHeartbeat of streams, and how often they look whether they may go on; before Serve.
func (a *API) SetHeartbeat(heartbeat, recheck time.Duration) {
	a.heartbeat, a.recheck = heartbeat, recheck
}

// SetWriteTimeout of a whole response; before Serve.
func (a *API) SetWriteTimeout(d time.Duration) { a.app.Server().WriteTimeout = d }

// OpenStreams is how many there are.
func (a *API) OpenStreams() int {
	var m dto.Metric
	if a.open.Write(&m) != nil {
		return -1
	}
	return int(m.GetGauge().GetValue())
}

// StreamConn is a connection that has become a stream.
func StreamConn(conn net.Conn) net.Conn {
	c := &lingeringConn{Conn: conn}
	streamOn(c)
	return c
}

// HurryUp is hurryUp.
var HurryUp = hurryUp

// SetReadTimeout of a whole request; before Serve.
func (a *API) SetReadTimeout(d time.Duration) { a.app.Server().ReadTimeout = d }

// ClientOf is the client address of a request.
func (p TrustedProxies) ClientOf(peer netip.Addr, forwarded [][]byte) netip.Addr {
	return p.clientOf(peer, forwarded)
}
