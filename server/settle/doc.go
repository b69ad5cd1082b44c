// Package settle brings pending deposits and withdrawals across the bank's border.
//
//	ledger ──commit──► payments row (the truth: what, how far, who is at it)
//	   │                  ▲   ▲
//	   └─hint─► asynq ─► worker └── janitor, every second: whatever is overdue,
//	            (Redis)   │            because a hint or a worker was lost
//	                      ▼
//	           claim: fence + 1, a lease by the database's clock
//	                      ▼
//	           ask the bank, renewing the lease       (no transaction is open)
//	                      ▼
//	           executed, rejected: ledger.Settle with the fence
//	           unknown:            later, again, with the same ref
//	           too long, or a contradiction: needs_review, the hold kept
//
// A task in Redis is a hint and nothing more. Without Redis the janitor does all
// of it, later. Correctness rests on the bank's knowing a ref and on the fence,
// never on a lease: a lease only saves work.
//
// The package touches the payments table alone; money moves through the ledger.
package settle
