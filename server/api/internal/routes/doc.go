// Package routes is generated from openapi.yaml:
//
//	Fiber ─► RegisterHandlers: routes ─► parameters are bound ─► StrictServerInterface ─► response
//
// A request object holds the parameters and the body of one operation, a response object one of the
// answers that the contract lists for it. Package api implements StrictServerInterface and adds what
// the contract cannot say: who may call, how often, and what a body may contain.
package routes
