// Package ledger keeps the books. It is the only package that changes a balance.
//
// The states of a transfer:
//
//	                        ┌──► refused   (stored: the same key is refused again)
//	Transfer, Reverse,      │
//	BookToSuspense ─────────┴──► posted ◄────┐
//	                                         │ Capture (all or part), Settle
//	Authorize, OpenDeposit,                  │
//	OpenWithdrawal ─────────┬──► pending ────┤
//	                        │                │ Void, ExpireDue, Settle
//	                        └──► refused     └──► voided
//
// The path of a command:
//
//	caller ─► command queue ─► committer takes a batch (≤ 512 commands)
//	                             1. BEGIN; lock every account of the batch in the order of
//	                                their ids; read the clock, the keys, the targets and
//	                                the payments                      (one round trip)
//	                             2. decide each command on those rows, in Go: first those
//	                                whose transfers are posted at once, then the others
//	                             3. INSERT transfers (a trigger adds their own postings to
//	                                the balances), events, postings and payments of the
//	                                others; UPDATE accounts; COMMIT   (one round trip)
//	caller ◄── its own outcome
//
// # Batches
//
// A [Ledger] commits many commands in one transaction (group commit). While one batch commits, the
// next one forms. There is no timer: a committer takes all waiting commands as soon as no batch is
// in flight. While a batch is in flight, another committer takes a second one if it is large
// enough, or if the first has stalled, and only commands that touch none of the accounts in flight
// (commandqueue.go).
//
// If the database or a rule rejects a batch, its commands are committed separately, so that only
// the one at fault fails. A batch that waits for a lock for [Config.LockTimeout] is committed
// without the commands that touch rows which another session keeps locked; those wait apart for at
// most two seconds (locked.go, lockwatch.go). If the answer to a COMMIT is lost, the same batch is
// run again: the second attempt waits for the locks of the first, and then the keys show whether
// that was committed (commit.go).
//
// # Remembered accounts
//
// A process remembers the accounts as its last batches left them. A batch of transfers that are all
// posted is decided on them, by the same rules, and steps 1 and 3 become one round trip: INSERT,
// the look-up of the keys if no index is unique, and COMMIT. The database rejects it if an account
// has changed elsewhere or a key was used before. Then, and for every other batch, the steps are as
// above (remembered.go).
//
// # Where postings and events are
//
// A transfer that is posted when it is inserted is one row, with both postings and the event in it:
// its own postings. A transfer that was pending first has its postings and events in the tables
// postings and events; so has every refusal its event. The views all_postings and all_events
// contain both. Along the ids of an account's transfers with their own postings, the numbers and
// the times of those postings and the positions of their events increase.
//
// # Idempotency
//
// Every command of a user has an idempotency key. The key is looked up before any rule: if it is in
// the books, the command gets the stored outcome again, and a refusal stays a refusal. Another
// command under the same key fails with [KeyReused].
//
// # Events
//
// Every change of a state appends an event. Readers receive events in the order (xid, id), and only
// those of transactions older than the oldest running one; events.go explains why. feed.go reads
// new events once for all listeners of this process.
//
// # Where to find things
//
// decide.go contains the rules and does no I/O. batch.go contains the SQL of a batch. The tables in
// migrations/ enforce a second time every rule that a constraint or a trigger can express. [Audit]
// recomputes all invariants from the rows. The package imports no transport: neither HTTP, nor
// Redis, nor the bank.
package ledger
