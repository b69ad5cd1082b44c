// Package routes is generated from openapi.yaml:
//
//	Fiber ─► RegisterHandlers ─► bind parameters ─► StrictServerInterface ─► response
//
// A request object holds the parameters and the body of one operation, and a response object holds
// one of the answers that the contract lists for it. Package api implements StrictServerInterface.
// It adds what the contract cannot say: which callers may call an operation, how often, and what a
// body may contain.
package routes
