// Package api serves the HTTP API of Kizo.
//
//	request
//	  │  admit            rejects malformed requests, requests beyond the max in flight, and
//	  │                   log-ins and sign-ups while the hash queue is full
//	  │  identify         gives the request an id and a trace
//	  │  observe          measures the request
//	  │  recoverPanic     turns a panic into an error
//	  │  setDeadline      limits the time of the request
//	  │  checkPart        rejects operations that this process does not serve
//	  │  limitAnonymous   limits requests without a valid token by address
//	  │  authenticate     verifies the access token and its session, or the API key
//	  │  releaseBody      ends the count of a large body that was received
//	  │  limitUsers       limits requests by user
//	  │  checkRole        rejects users at the routes of operators
//	  │  checkScope       rejects API keys without the scope that the operation needs
//	  │  checkKey         requires an Idempotency-Key where money moves
//	  │  checkParameters  rejects malformed parameters
//	  │  checkBody        rejects a body that is not exactly what the contract says
//	  │  checkStepUp      rejects sessions that need a code of the second factor first
//	  ▼
//	handler ─► ledger, auth or Ops ─► response
//	  └ error ─► problemOf: code ─► status ─► problem+json
//
// # Overview
//
// The routes are generated from openapi.yaml and served with Fiber; each has one handler. What the
// steps enforce for an operation is its row in the table of operations (operations.go). A handler
// turns a request into one call of the ledger, of auth or of Ops, and the result into a type of
// package openapi. The event stream (stream.go) is the one response that does not end by itself.
//
// The package imports no SQL, no queue and no bank: those are behind the ledger, auth and Ops.
package api
