package api

import (
	"strings"

	"github.com/JDevAman/kizo/openapi"
	"github.com/gofiber/fiber/v2"
)

// checkPart rejects a request for an operation that this process does not serve. It never happens
// behind a proxy that routes requests by path.
func (a *API) checkPart(c *fiber.Ctx) error {
	switch path := c.Route().Path; {
	case a.part == WithoutSignIn && operationOf(c).hashesPassword:
		return misrouted("this kizod does not take passwords: send /v1/auth to one that runs with --roles auth")
	case a.part == SignInAlone && !strings.HasPrefix(path, "/v1/auth/"):
		return misrouted("this kizod serves /v1/auth alone: send everything else to one that runs with --roles api")
	}
	return c.Next()
}

// misrouted is a mistake of a proxy or a client, not of this process.
func misrouted(detail string) *fault {
	f := faultf(openapi.Unavailable, "", detail)
	f.misrouted = true
	return f
}

// Part of the contract that an API serves.
type Part int

// The parts.
const (
	Everything    Part = iota
	WithoutSignIn      // no sign-up and log-in, which cost a hash
	SignInAlone        // /v1/auth
)
