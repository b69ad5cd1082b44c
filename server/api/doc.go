// Package api is the HTTP side of Kizo: Fiber, the routes generated from
// openapi.yaml, and one handler for each.
//
//	request ─► id, recover, metrics ─► who asks (auth) ─► body, strictly ─► handler
//	                                                                          │
//	response ◄────────────── problem+json ◄── one table: code ─► status ◄── error
//
// A stream of events (stream.go) is a response that does not end by itself.
//
// A handler turns a request into one call of the ledger or of auth, and its
// answer into a model; it knows no SQL, no queue and no bank.
package api
