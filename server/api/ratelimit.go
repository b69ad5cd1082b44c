package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/JDevAman/kizo/openapi"
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
)

// Limits says how often somebody may ask: who is known by their id, a stranger (who
// signs up or in, refreshes, or shows a token that is not good) by address. A nil
// function limits nobody.
type Limits struct {
	User          func(context.Context, uuid.UUID) Allowance
	Address       func(context.Context, string) Allowance
	UserPolicy    Policy
	AddressPolicy Policy
}

// Policy is what callers are told about a limit: so many requests in so many seconds.
type Policy struct{ Requests, Seconds int }

// Allowance is the verdict on one request.
type Allowance struct {
	Allowed    bool
	Remaining  int           // requests that would be allowed at once
	Reset      time.Duration // until that is everything again
	RetryAfter time.Duration // of one that is refused
}

// The fields of draft-ietf-httpapi-ratelimit-headers (10 and later): what the limit is,
// and what is left of it.
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
	if operationOf(c).access == forEverybody {
		if err := a.allow(c, "address", a.addressPolicy, a.limits.Address(c.UserContext(), a.clientAddress(c))); err != nil {
			return err
		}
		return c.Next()
	}
	err := c.Next()
	if err == nil || from(c.UserContext()).principal.UserID != uuid.Nil || problemOf(err).Status != http.StatusUnauthorized {
		return err
	}
	if refused := a.allow(c, "address", a.addressPolicy, a.limits.Address(c.UserContext(), a.clientAddress(c))); refused != nil {
		return refused
	}
	return err
}

// limitUsers stands behind authenticate. A stream counts once, when it begins.
func (a *API) limitUsers(c *fiber.Ctx) error {
	who := user(c.UserContext())
	if a.limits.User == nil || who == uuid.Nil {
		return c.Next()
	}
	if err := a.allow(c, "user", a.userPolicy, a.limits.User(c.UserContext(), who)); err != nil {
		return err
	}
	return c.Next()
}

// allow tells the caller where they stand, and refuses.
func (a *API) allow(c *fiber.Ctx, name, policy string, v Allowance) error {
	var room [64]byte
	field := append(append(append(room[:0], '"'), name...), `";r=`...)
	field = strconv.AppendInt(field, int64(max(v.Remaining, 0)), 10)
	field = append(field, `;t=`...)
	field = strconv.AppendInt(field, wholeSeconds(v.Reset), 10)
	header := &c.Response().Header
	header.Set(policyHeader, policy)
	header.SetBytesV(limitHeader, field)
	if v.Allowed {
		return nil
	}
	refused := faultf(openapi.RateLimited, "", "you ask too often: slow down, as RateLimit and Retry-After say")
	refused.after = v.RetryAfter
	return refused
}

// wholeSeconds rounds up: who comes back then is not too early.
func wholeSeconds(d time.Duration) int64 {
	return int64((max(d, 0) + time.Second - 1) / time.Second)
}
