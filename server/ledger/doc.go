// Package ledger is the one door for money: nothing else in Kizo changes a
// balance.
//
// The states of a transfer:
//
//	                    ┌──────────► refused   (stored: the same key is refused again)
//	Transfer, Reverse ──┤
//	                    └──────────► posted ◄──────┐
//	                                               │ Post (whole or part), Settle
//	Authorize, OpenDeposit,                        │
//	OpenWithdrawal ─────┬──────────► pending ──────┤
//	                    │                          │ Void, Expire, Settle
//	                    └► refused                 └► voided
//
// The way of a command:
//
//	caller ─► line ─► committer takes all that wait (≤ 512) as one batch
//	                    1. BEGIN; lock every account of the batch in id order;
//	                       read the clock, the keys, the targets    (one round trip)
//	                    2. decide each command on those rows, in Go, in order
//	                    3. INSERT transfers, postings, events;
//	                       UPDATE accounts; COMMIT                  (one round trip)
//	caller ◄─ its own outcome
//
// While one batch commits, the next forms by itself; there is no timer, so a
// lone command commits at once. A batch that the database rejects is tried again
// one command at a time. A batch that waits for a lock for a second is committed
// without the commands that touch rows which another session keeps locked
// (locked.go, lockwatch.go). A COMMIT whose answer is lost is resolved by giving the
// same batch again: its locks wait for whatever became of the first attempt, and
// the keys then tell.
//
// Whoever wants to know what happens reads events in the order (xid, id) below the
// oldest running transaction: events.go says why. feed.go reads them once for all
// who listen in this process.
//
// decide.go is the rule book and does no I/O; batch.go holds the SQL; every rule
// that a table can hold stands in migrations/ once more.
package ledger
