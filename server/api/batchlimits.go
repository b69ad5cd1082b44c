package api

import (
	"context"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
)

// What batches may use at once, and what one user may use of it, so that no user keeps out the
// others. The transfers of maxBatches batches fit into the queue of the ledger.
const (
	maxBatches           = 16
	maxBatchesOfUser     = 4
	maxLargeBodies       = 64 // being received; the server allocates each as soon as it begins
	maxLargeBodiesOfUser = 8
)

const (
	batchPath   = "/v1/transfers/batch"
	readTimeout = 10 * time.Second // of a request with its body
)

// batchLimits counts batches that are worked on, and large bodies that are being received.
type batchLimits struct {
	mu      sync.Mutex
	batches map[auth.UserID]int
	running int
	bodies  map[auth.UserID][]time.Time // when they began; after readTimeout a body no longer counts
}

func newBatchLimits() *batchLimits {
	return &batchLimits{batches: make(map[auth.UserID]int), bodies: make(map[auth.UserID][]time.Time)}
}

// begin reports whether the user may have another batch worked on, which end ends.
func (l *batchLimits) begin(user auth.UserID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running >= maxBatches || l.batches[user] >= maxBatchesOfUser {
		return false
	}
	l.running++
	l.batches[user]++
	return true
}

func (l *batchLimits) end(user auth.UserID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	if l.batches[user]--; l.batches[user] == 0 {
		delete(l.batches, user)
	}
}

// receive reports whether the user may send another large body. Received ends it.
func (l *batchLimits) receive(user auth.UserID, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	total := 0
	for other, begun := range l.bodies {
		for len(begun) > 0 && now.Sub(begun[0]) > readTimeout {
			begun = begun[1:]
		}
		l.bodies[other] = begun
		if len(begun) == 0 {
			delete(l.bodies, other)
		}
		total += len(begun)
	}
	if total >= maxLargeBodies || len(l.bodies[user]) >= maxLargeBodiesOfUser {
		return false
	}
	l.bodies[user] = append(l.bodies[user], now)
	return true
}

func (l *batchLimits) received(user auth.UserID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if begun := l.bodies[user]; len(begun) > 1 {
		l.bodies[user] = begun[1:]
	} else {
		delete(l.bodies, user)
	}
}

// isLargeBatch reports whether a request is a batch whose body is larger than that of other
// requests may be. The body of such a batch must have a Content-Length.
func isLargeBatch(header *fasthttp.RequestHeader) bool {
	n := header.ContentLength()
	return n > maxBody && n <= maxBatchBody && string(header.RequestURI()) == batchPath
}

// limitBody allows a large body for a batch with a valid access token. It runs before the body is
// read, so that an anonymous caller cannot make the server keep large bodies in memory.
func (a *API) limitBody(header *fasthttp.RequestHeader) (limits fasthttp.RequestConfig) {
	if !isLargeBatch(header) {
		return limits
	}
	principal, err := a.verifyEarly(header)
	if err == nil && a.batches.receive(principal.UserID, time.Now()) {
		limits.MaxRequestBodySize = maxBatchBody
	}
	return limits
}

// verifyEarly verifies the token of a request that no step of the chain has seen.
func (a *API) verifyEarly(header *fasthttp.RequestHeader) (auth.Principal, error) {
	ctx, cancel := context.WithTimeout(context.Background(), a.timeout)
	defer cancel()
	principal, _, err := a.verify(ctx, string(header.Peek(fasthttp.HeaderAuthorization)))
	if err == nil && !principal.Allows(operations[fiber.MethodPost+" "+batchPath].scopes) {
		err = scopeMissing(operations[fiber.MethodPost+" "+batchPath].scopes)
	}
	return principal, err
}

// releaseBody ends the count of a large body that has been received.
func (a *API) releaseBody(c *fiber.Ctx) error {
	if isLargeBatch(&c.Request().Header) {
		a.batches.received(userID(c.UserContext()))
	}
	return c.Next()
}

// whyTooLarge returns the error for a large batch whose body limitBody did not allow: why the token
// is not valid, or that too many are being received. It returns nil for any other request.
func (a *API) whyTooLarge(header *fasthttp.RequestHeader) error {
	if !isLargeBatch(header) {
		return nil
	}
	if _, err := a.verifyEarly(header); err != nil {
		return err
	}
	return reject(openapi.Overloaded, "", "too many large batches are being received; nothing was done, try again in a moment")
}
