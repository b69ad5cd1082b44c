package api

import (
	"sync/atomic"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

// DefaultInFlight is how many requests are worked on at once. What is accepted then
// waits for one or two batches of the ledger; more would only wait longer.
const DefaultInFlight = 512

// reservedInFlight are for operators and the bank's callbacks when all else is full.
const reservedInFlight = 64

// admission lets so many requests in and sends the others away at once: whoever is
// accepted is served in time, however many ask. It stands before everything else,
// since what it saves is the work on a request that cannot be served.
type admission struct {
	most     int64
	inFlight atomic.Int64
	shed     prometheus.Counter
}

func (m *Metrics) admission(most int) *admission {
	if most == 0 {
		most = DefaultInFlight
	}
	a := &admission{most: int64(most), shed: m.shed}
	m.admitted.Store(a)
	return a
}

// shedBody is the problem of a request that nobody looked at, up to its id.
const shedBody = `{"type":"https://kizo.dev/problems/overloaded","title":"Service Unavailable","status":503,` +
	`"code":"overloaded","detail":"too many requests are under way; nothing was done, try again in a moment","request_id":"`

func (a *admission) admit(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		place := placeOf(ctx.Conn())
		if place != nil && !place.Begin() {
			ctx.SetConnectionClose() // it is closed already
			return
		}
		secureHeader(&ctx.Response.Header)
		if reason := malformed(ctx); reason != "" {
			rejectMalformed(ctx, reason)
			return
		}
		most := a.most
		if reservedFor(ctx.Path()) {
			most += reservedInFlight
		} else if place != nil && place.Restricted() {
			a.shed.Inc()
			sendAway(ctx)
			ctx.SetConnectionClose()
			place.End() // an operator does not wait until the client has read that
			return
		}
		if a.inFlight.Add(1) > most {
			a.inFlight.Add(-1)
			a.shed.Inc()
			sendAway(ctx)
			return
		}
		defer a.inFlight.Add(-1)
		next(ctx)
	}
}

// sendAway takes no part in the app's middlewares: it is what must stay cheap.
func sendAway(ctx *fasthttp.RequestCtx) {
	id := string(ctx.Request.Header.Peek(fiber.HeaderXRequestID))
	if !plainID(id) {
		id = uuid.NewString()
	}
	header := &ctx.Response.Header
	header.SetStatusCode(fasthttp.StatusServiceUnavailable)
	header.SetContentType("application/problem+json")
	header.Set(fiber.HeaderXRequestID, id)
	header.Set(fiber.HeaderRetryAfter, "1")
	header.Set(fiber.HeaderCacheControl, "no-store")
	ctx.SetBodyString(shedBody + id + `"}`)
}

// aside counts a request out while it waits for something that has a bound of its own,
// such as the bank or the queue for hashing.
func (a *admission) aside(wait func()) {
	a.inFlight.Add(-1)
	defer a.inFlight.Add(1)
	wait()
}
