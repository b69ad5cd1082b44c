package api

import (
	"fmt"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
)

// checkScope rejects an API key at an operation that is for sessions, or for which the key has no
// scope. Sessions may do everything that their user may.
func checkScope(c *fiber.Ctx) error {
	op := operationOf(c)
	if !op.access.needsToken() || requestOf(c.UserContext()).principal.Allows(op.scopes) {
		return c.Next()
	}
	return scopeMissing(op.scopes)
}

// scopeMissing returns the error for an API key that has none of the scopes.
func scopeMissing(scopes auth.Scopes) *requestError {
	if scopes == 0 {
		return reject(openapi.SessionRequired, "", "an API key cannot do this: log in")
	}
	return reject(openapi.ScopeMissing, "", fmt.Sprintf("the API key needs the scope %s", strings.Join(scopes.Names(), " or ")))
}

// readsAsOperator reports whether a principal sees what only operators see.
func (a *API) readsAsOperator(p auth.Principal) bool {
	return p.Role == auth.RoleOperator && a.hasFactor(p) && p.Allows(auth.ScopeOpsRead)
}
