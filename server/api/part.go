package api

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/JDevAman/kizo/openapi"
)

// checkPart rejects a request for an operation that this process does not serve. It never happens
// behind a proxy that routes requests by path.
func (a *API) checkPart(c *fiber.Ctx) error {
	switch path := c.Route().Path; {
	case a.part == WithoutPasswords && operationOf(c).hashesPassword:
		return misrouted("this kizod does not take passwords: send /v1/auth to one that runs with --roles auth")
	case a.part == OnlyAuth && !strings.HasPrefix(path, "/v1/auth/"):
		return misrouted("this kizod serves only /v1/auth: send everything else to one that runs with --roles api")
	}
	return c.Next()
}

// misrouted returns the error for a request that a proxy or a client sent to the wrong process.
func misrouted(detail string) *requestError {
	f := reject(openapi.Unavailable, "", detail)
	f.misrouted = true
	return f
}

// Part is the part of the contract that an API serves.
type Part int

// The parts.
const (
	Everything       Part = iota
	WithoutPasswords      // without sign-up and log-in, which hash a password
	OnlyAuth              // only /v1/auth
)
