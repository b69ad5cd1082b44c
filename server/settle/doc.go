// Package settle brings deposits and withdrawals to their end at the bank.
//
//	ledger --commit--> row in payments (state, attempts, lease, fencing token)
//	   |                   ^                       ^
//	   +--> task in Redis  |                       |
//	             |         |                       |
//	             v         |                       |
//	           worker -----+                    janitor: every second, the payments that are
//	                                            overdue because a task or a worker was lost
//
//	claim     fence + 1, and a lease by the clock of the database
//	ask       Submit, and Status to confirm it; no database transaction is open
//	executed  ledger.Settle with the fence posts the transfer
//	rejected  ledger.Settle with the fence voids the transfer
//	unknown   decideRetry: another attempt with the same reference, or a review
//
// # Attempts
//
// The row in the table payments is the only record of a payment; the ledger creates it in the
// transaction that accepts the transfer. A [Worker] attempts the payments that tasks in Redis
// name. A lost task costs time only: the [Janitor] claims every payment that is overdue. Without
// Redis the janitor attempts all payments.
//
// An attempt never trusts the answer to Submit alone. Money moves after Status has given the same
// answer. If the two differ, the attempt leaves the outcome unknown and records a [Discrepancy].
//
// Safety depends on two things: the bank executes a reference at most once, and the ledger
// refuses a settlement whose fencing token is not the newest. A lease only avoids duplicate work.
//
// # Retries
//
// The method decideRetry in retry.go decides whether and when a payment is attempted again. Its
// comment lists the rules. A payment that is not retried needs review: an operator decides with
// [Settler.Resolve], and the hold is kept until then.
//
// # What the bank sends
//
// A callback makes a payment due and decides nothing. Every few seconds [Settler.Reconcile] reads
// the bank's statement and compares each line with the payment of the same reference. It records a
// discrepancy once and books it to the suspense account when both sides are final.
//
// # Limits of the package
//
// The package writes to the tables of settlement only; money moves through package ledger. It does
// not import the HTTP API, package auth or an HTTP framework.
package settle
