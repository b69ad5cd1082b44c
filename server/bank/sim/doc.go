// Package sim is a mock bank for tests and development: an HTTP server that executes a reference at
// most once, stores what it did before it answers, and injects faults on request.
//
//	POST /v1/payments
//	      | attempt n of ref: faultPlan(seed, ref, n)
//	      v
//	 latency, hang, 500 ------------> nothing was executed in this attempt
//	      |
//	      v
//	 payments -- known ref ---------> the stored answer, or 409 for another body
//	      | new ref: executed, or rejected by (seed, ref)
//	      v
//	 journal: one JSON line; one write and one fsync for all requests that wait
//	      |
//	      +--> callback, signed; late or twice on request
//	      v
//	 answer, or no answer and a broken connection, or a lie
//
// # Endpoints
//
// POST /v1/payments submits a payment, GET /v1/payments/{ref} returns its status, GET
// /v1/statement the statement, GET /healthz whether the journal can be written. All except the
// last require the token.
//
// # The journal and lies
//
// The journal says what the bank did. Tests count executions with [ReadJournal]. A lie is an answer
// that differs from the journal; [ReadLies] lists them. The status of a payment differs only for
// the references that Faults.Stubborn selects, the statement never. No answer shows a payment that
// is not on disk yet.
//
// # Faults
//
// [Faults] says how often each fault occurs. Every decision follows from the seed, the reference
// and the number of the attempt, so a run can be repeated. Attempts are counted for each process
// and method. [Preset] returns named sets of faults.
//
// [Server.Arm] makes one payment follow a [Scenario] instead, for people who want to see one fault.
//
// # Limits of the package
//
// The package does not import Kizo's ledger, queue or database code. It reaches Kizo by HTTP only.
package sim
