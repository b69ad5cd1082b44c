package api

import (
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/JDevAman/kizo/server/api/internal/routes"
)

// middlewares returns the steps that every request passes, in order. doc.go draws them.
func (a *API) middlewares() []fiber.Handler {
	return []fiber.Handler{identify, a.observe, a.recoverPanic}
}

// guards returns the steps that a request to an operation of the contract passes next, in order.
// doc.go draws them.
func (a *API) guards() []fiber.Handler {
	return []fiber.Handler{
		a.setDeadline, a.checkPart, a.limitAnonymous, a.authenticate, a.releaseBody, a.limitUsers, a.checkRole, checkScope,
		checkKey, checkParameters, checkBody, checkStepUp,
	}
}

// registerRoutes registers the operations of the contract behind the guards.
func (a *API) registerRoutes() {
	routes.RegisterHandlers(guardedRouter{app: a.app, guards: a.guards()}, routes.NewStrictHandler(a, nil))
}

// guardedRouter registers routes behind guards. The middlewares of the generated code run only
// after the parameters have been bound: anonymous callers would then receive errors about
// parameters, and a missing idempotency key would have no code of its own.
//
// The embedded Router is nil, so that a method that adds no guards panics at the start.
type guardedRouter struct {
	fiber.Router
	app    *fiber.App
	guards []fiber.Handler
}

func (g guardedRouter) add(method, path string, handlers []fiber.Handler) fiber.Router {
	name := method + " " + path
	op, ok := operations[name]
	if !ok {
		panic("the route " + name + " has no row in operations")
	}
	find := func(c *fiber.Ctx) error {
		c.Locals(operationLocal, &op)
		return c.Next()
	}
	return g.app.Add(method, path, slices.Concat([]fiber.Handler{find}, g.guards, handlers)...)
}

// Get registers a route that does not answer HEAD, unlike Fiber's own: the contract has no HEAD.
func (g guardedRouter) Get(path string, handlers ...fiber.Handler) fiber.Router {
	return g.add(fiber.MethodGet, path, handlers)
}

// Post registers a route.
func (g guardedRouter) Post(path string, handlers ...fiber.Handler) fiber.Router {
	return g.add(fiber.MethodPost, path, handlers)
}

// Put registers a route.
func (g guardedRouter) Put(path string, handlers ...fiber.Handler) fiber.Router {
	return g.add(fiber.MethodPut, path, handlers)
}

// Patch registers a route.
func (g guardedRouter) Patch(path string, handlers ...fiber.Handler) fiber.Router {
	return g.add(fiber.MethodPatch, path, handlers)
}

// Delete registers a route.
func (g guardedRouter) Delete(path string, handlers ...fiber.Handler) fiber.Router {
	return g.add(fiber.MethodDelete, path, handlers)
}
