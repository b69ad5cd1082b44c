// Package settle brings pending deposits and withdrawals across the bank's border.
//
//	ledger ──commit──► payments row (the truth: what, how far, who is at it)
//	   │                  ▲   ▲
//	   └─hint─► asynq ─► worker └── janitor, every second: whatever is overdue,
//	            (Redis)   │            because a hint or a worker was lost
//	                      ▼
//	           claim: fence + 1, a lease by the database's clock
//	                      ▼
//	           ask the bank, renewing the lease       (no transaction is open);
//	                      ▼                           what Submit says, Status confirms
//	           executed, rejected: ledger.Settle with the fence
//	           unknown:            later, again, with the same ref
//	           a contradiction:    recorded, alarm raised, asked again
//	           too long, or Status goes on contradicting: needs_review, the hold kept
//
// Callbacks make a payment due and decide nothing. The bank's statement is compared
// with the books every few seconds; what differs is listed, and booked to suspense.
//
// A task in Redis is a hint and nothing more. Without Redis the janitor does all
// of it, later. Correctness rests on the bank's knowing a ref and on the fence,
// never on a lease: a lease only saves work.
//
// The package touches payments and its own tables alone; money moves through the ledger.
package settle
