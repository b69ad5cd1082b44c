package api

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	dto "github.com/prometheus/client_model/go"
)

// Exported for the tests, which are in package api_test.
var (
	Statuses       = statuses
	DecodeStrictly = decodeStrictly
	Describe       = problemOf
	EncodeJSON     = encodeJSON
)

const MaxBody = maxBody

// RoutesWithStepUp returns the routes whose rows say that they need a step-up.
func RoutesWithStepUp() []string {
	var names []string
	for name, op := range operations {
		if op.stepUp != noStepUp {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// IgnoredRetryDelay is for tests.
const IgnoredRetryDelay = ignoredRetryDelay

// PlainMembers returns the members of a plain body.
func PlainMembers(body []byte) (map[string]string, bool) {
	m, ok := plainMembers(body)
	return m.byName(), ok
}

// AnyMembers returns the members of any body.
func AnyMembers(body []byte) (map[string]string, error) {
	m, err := anyMembers(body)
	for i := range m {
		var raws []json.RawMessage
		if json.Unmarshal(m[i].raw, &raws) != nil {
			continue
		}
		for _, raw := range raws {
			row, err := anyMembers(raw)
			if err != nil {
				break // not a list of objects
			}
			m[i].rows = append(m[i].rows, row)
		}
	}
	return m.byName(), err
}

func (m members) byName() map[string]string {
	named := make(map[string]string)
	for _, one := range m {
		named[one.name] = string(one.raw)
		for i, row := range one.rows {
			for name, raw := range row.byName() {
				named[fmt.Sprintf("%s[%d].%s", one.name, i, name)] = raw
			}
		}
	}
	return named
}

// Operations returns the names of the operations for whose row has returns true.
func Operations(has func(Row) bool) map[string]bool {
	names := make(map[string]bool)
	for name, op := range operations {
		if has(Row{op}) {
			names[name] = true
		}
	}
	return names
}

// ScopesOf returns the scopes of which an API key needs one, by operation; operations that need no
// token are left out.
func ScopesOf() map[string][]string {
	found := make(map[string][]string)
	for name, op := range operations {
		if op.access.needsToken() {
			found[name] = op.scopes.Names()
		}
	}
	return found
}

// Row is one row of the table of operations.
type Row struct{ operation }

func (r Row) HasBody() bool    { return r.body != nil }
func (r Row) MovesMoney() bool { return r.movesMoney }
func (r Row) IsPublic() bool   { return !r.access.needsToken() }
func (r Row) IsReserved() bool { return r.access == forOperators || r.access == forTheBank }

// ReservedFor reports whether a path may use what is reserved for operators and the bank.
func ReservedFor(path string) bool { return reservedFor([]byte(path)) }

// Chain returns the names of the steps before a handler, in order.
func (a *API) Chain() []string {
	var names []string
	for _, step := range slices.Concat(a.middlewares(), a.guards()) {
		name := runtime.FuncForPC(reflect.ValueOf(step).Pointer()).Name()
		name = name[strings.LastIndexByte(name, '.')+1:]
		names = append(names, strings.TrimSuffix(name, "-fm"))
	}
	return names
}

// Routes returns the routes that the app serves, without the middlewares.
func (a *API) Routes() []fiber.Route { return a.app.GetRoutes(true) }

// AddRoute adds a route that is not in the contract.
func (a *API) AddRoute(path string, handler fiber.Handler) { a.app.Get(path, handler) }

// InFlight returns the number of requests in flight.
func (a *API) InFlight() int64 { return a.admission.inFlight.Load() }

// SetTimeout sets the timeout of a request; it must be called before Serve.
func (a *API) SetTimeout(d time.Duration) { a.timeout = d }

// SetHeartbeat sets two intervals of streams; it must be called before Serve.
func (a *API) SetHeartbeat(heartbeat, recheck time.Duration) {
	a.heartbeat, a.recheck = heartbeat, recheck
}

// SetWriteTimeout sets the timeout of a whole response; it must be called before Serve.
func (a *API) SetWriteTimeout(d time.Duration) { a.app.Server().WriteTimeout = d }

// OpenStreams returns the number of open streams.
func (a *API) OpenStreams() int {
	var m dto.Metric
	if a.metrics.streams.Write(&m) != nil {
		return -1
	}
	return int(m.GetGauge().GetValue())
}

// StreamConn returns a connection whose response is an event stream.
func StreamConn(conn net.Conn) net.Conn {
	c := &clientConn{Conn: conn}
	beginStream(c)
	return c
}

// StopStream exports stopStream.
var StopStream = stopStream

// SetReadTimeout sets the timeout of a whole request; it must be called before Serve.
func (a *API) SetReadTimeout(d time.Duration) { a.app.Server().ReadTimeout = d }

// ClientOf returns the client address of a request.
func (p TrustedProxies) ClientOf(peer netip.Addr, forwarded [][]byte) netip.Addr {
	return p.clientOf(peer, forwarded)
}

// InFlightLimit is an inFlightLimit for tests.
type InFlightLimit struct{ limit *inFlightLimit }

// NewInFlightLimit returns a limit that never exceeds the maximum.
func NewInFlightLimit(maximum int64) InFlightLimit { return InFlightLimit{newInFlightLimit(maximum)} }

func (l InFlightLimit) Limit() int64                            { return l.limit.limit.Load() }
func (l InFlightLimit) Shed()                                   { l.limit.shed.Store(true) }
func (l InFlightLimit) Note(took time.Duration, inFlight int64) { l.limit.note(took, inFlight) }
