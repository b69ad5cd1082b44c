package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
)

// Limits says how many requests are allowed: of a user by id, and of anonymous requests (sign-up,
// log-in, refresh, or an invalid token) by address. A nil function means no limit.
type Limits struct {
	User          func(context.Context, auth.UserID) Allowance
	Address       func(context.Context, string) Allowance
	UserPolicy    Policy
	AddressPolicy Policy
}

// Policy describes a limit to callers: so many requests in so many seconds.
type Policy struct{ Requests, Seconds int }

// Allowance says whether one request is allowed.
type Allowance struct {
	Allowed    bool
	Remaining  int           // further requests that would be allowed now
	Reset      time.Duration // until the whole limit is available again
	RetryAfter time.Duration // until a rejected request would be allowed
}

// The header fields of draft-ietf-httpapi-ratelimit-headers (10 and later): the limit, and what is
// left of it.
const (
	policyHeader = "RateLimit-Policy"
	limitHeader  = "RateLimit"
)

func (p Policy) field(name string) string {
	return `"` + name + `";q=` + strconv.Itoa(p.Requests) + `;w=` + strconv.Itoa(p.Seconds)
}

// limitAnonymous limits requests without a valid token by address, before authenticate. A request
// with an invalid token or an invalid signature of the bank is counted after it has failed, so that
// the limit does not affect a caller with a valid one at the same address.
func (a *API) limitAnonymous(c *fiber.Ctx) error {
	if a.limits.Address == nil {
		return c.Next()
	}
	if operationOf(c).access == forAnonymous {
		if err := a.allow(c, "address", a.addressPolicy, a.limits.Address(c.UserContext(), a.clientAddress(c))); err != nil {
			return err
		}
		return c.Next()
	}
	err := c.Next()
	if err == nil || !requestOf(c.UserContext()).principal.UserID.IsZero() || problemOf(err).Status != http.StatusUnauthorized {
		return err
	}
	if refused := a.allow(c, "address", a.addressPolicy, a.limits.Address(c.UserContext(), a.clientAddress(c))); refused != nil {
		return refused
	}
	return err
}

// limitUsers limits requests by user, after authenticate. An event stream counts as one request.
func (a *API) limitUsers(c *fiber.Ctx) error {
	who := userID(c.UserContext())
	if a.limits.User == nil || who.IsZero() {
		return c.Next()
	}
	if err := a.allow(c, "user", a.userPolicy, a.limits.User(c.UserContext(), who)); err != nil {
		return err
	}
	return c.Next()
}

// allow reports the limit and what is left of it to the caller, and rejects the request if nothing
// is.
func (a *API) allow(c *fiber.Ctx, name, policy string, v Allowance) error {
	var buffer [64]byte
	field := append(append(append(buffer[:0], '"'), name...), `";r=`...)
	field = strconv.AppendInt(field, int64(max(v.Remaining, 0)), 10)
	field = append(field, `;t=`...)
	field = strconv.AppendInt(field, wholeSeconds(v.Reset), 10)
	header := &c.Response().Header
	header.Set(policyHeader, policy)
	header.SetBytesV(limitHeader, field)
	if v.Allowed {
		return nil
	}
	rejected := reject(openapi.RateLimited, "", "too many requests: wait as long as Retry-After says")
	rejected.after = v.RetryAfter
	return rejected
}

// wholeSeconds rounds up, so that a caller that waits so long is not too early.
func wholeSeconds(d time.Duration) int64 {
	return int64((max(d, 0) + time.Second - 1) / time.Second)
}
