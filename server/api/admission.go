package api

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/JDevAman/kizo/server/problem"
)

// DefaultInFlight is the maximum number of requests that are worked on at once: those of two full
// batches of the ledger. Fewer are admitted while requests take long.
const DefaultInFlight = 1024

// reservedInFlight is the number of further requests that are admitted for operators and for the
// bank's callbacks.
const reservedInFlight = 64

// A shed request is answered with Retry-After. A client that sends the next request on the
// connection earlier than that is served ignoredRetryDelay later, and each further time in a row
// twice as late, up to eight times: rejecting it over and over would use the processor time that
// admitted requests need.
const (
	shedRetryAfter    = time.Second
	ignoredRetryDelay = 50 * time.Millisecond
	maxDoublings      = 3
)

// admission bounds the requests that are worked on at once and sheds the others immediately, so
// that admitted requests are served in time however many arrive. It runs before every other step,
// because it saves the work on requests that cannot be served.
type admission struct {
	limit      *inFlightLimit
	inFlight   atomic.Int64
	shed       prometheus.Counter
	refuseHash func() *problem.Error // returns nil unless the hash queue is full
}

// admission returns an admission for at most so many requests, DefaultInFlight when 0, whose
// requests in flight the metrics report.
func (m *Metrics) admission(maximum int, refuseHash func() *problem.Error) *admission {
	if maximum == 0 {
		maximum = DefaultInFlight
	}
	a := &admission{limit: newInFlightLimit(int64(maximum)), shed: m.shed, refuseHash: refuseHash}
	m.admitted.Store(a)
	return a
}

// shedBody is the beginning of the body that a shed request receives, up to the detail.
const shedBody = `{"type":"https://kizo.dev/problems/overloaded","title":"Service Unavailable","status":503,"code":"overloaded","detail":"`

const shedDetail = "too many requests are under way; nothing was done, try again in a moment"

// admit returns a handler that passes well-formed requests to next as long as fewer than the limit
// are in flight and, if they need a password hash, the hash queue is not full.
func (a *admission) admit(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		client, _ := ctx.Conn().(*clientConn)
		if client != nil && !client.retryAt.IsZero() && !reservedFor(ctx.Path()) {
			client.holdBack() // before Begin: the listener may close the connection meanwhile
		}
		conn := listenerConn(ctx.Conn())
		if conn != nil && !conn.Begin() {
			ctx.SetConnectionClose() // the listener has closed it already
			return
		}
		secureHeader(&ctx.Response.Header)
		if reason := malformed(ctx); reason != "" {
			rejectMalformed(ctx, reason)
			return
		}
		limit := a.limit.limit.Load()
		if reservedFor(ctx.Path()) {
			limit += reservedInFlight
		} else if conn != nil && conn.Restricted() {
			a.shed.Inc()
			shedRequest(ctx, shedDetail, shedRetryAfter)
			ctx.SetConnectionClose()
			conn.End() // now, so that an operator need not wait until the client has read the answer
			return
		}
		if needsHash(ctx) {
			if refusal := a.refuseHash(); refusal != nil {
				shedRequest(ctx, refusal.Message, refusal.RetryAfter)
				return
			}
		}
		if a.inFlight.Add(1) > limit {
			a.inFlight.Add(-1)
			a.shed.Inc()
			a.limit.shed.Store(true)
			shedRequest(ctx, shedDetail, shedRetryAfter)
			if client != nil {
				client.retryAt = time.Now().Add(shedRetryAfter)
			}
			return
		}
		if client != nil {
			client.ignored = 0
		}
		began := time.Now()
		defer func() { a.limit.note(time.Since(began), a.inFlight.Add(-1)+1) }()
		next(ctx)
	}
}

// holdBack waits if the client of a shed request does not wait as long as Retry-After said.
func (c *clientConn) holdBack() {
	if time.Now().Before(c.retryAt) {
		time.Sleep(ignoredRetryDelay << c.ignored)
		c.ignored = min(c.ignored+1, maxDoublings)
	} else {
		c.ignored = 0
	}
	c.retryAt = time.Time{}
}

// needsHash reports whether a request is a log-in or a sign-up.
func needsHash(ctx *fasthttp.RequestCtx) bool {
	path := ctx.Path()
	return ctx.IsPost() && (string(path) == "/v1/auth/login" || string(path) == "/v1/auth/signup")
}

// shedRequest answers 503 with a detail that needs no escapes in JSON. It passes none of the app's
// middlewares, because shedding must stay cheap.
func shedRequest(ctx *fasthttp.RequestCtx, detail string, retryAfter time.Duration) {
	id := string(ctx.Request.Header.Peek(fiber.HeaderXRequestID))
	if !plainID(id) {
		id = uuid.NewString()
	}
	header := &ctx.Response.Header
	header.SetStatusCode(fasthttp.StatusServiceUnavailable)
	header.SetContentType("application/problem+json")
	header.Set(fiber.HeaderXRequestID, id)
	header.Set(fiber.HeaderRetryAfter, strconv.FormatInt(wholeSeconds(retryAfter), 10))
	header.Set(fiber.HeaderCacheControl, "no-store")
	ctx.SetBodyString(shedBody + detail + `","request_id":"` + id + `"}`)
}

// releaseWhile does not count the request as in flight while wait runs, which waits for something
// that has a bound of its own, such as the bank or the hash queue.
func (a *admission) releaseWhile(wait func()) {
	a.inFlight.Add(-1)
	defer a.inFlight.Add(1)
	wait()
}
