// Package hashworker hashes passwords in child processes of low priority: payments do
// not notice how many people sign in, and signing in makes progress on a busy machine.
//
//	kizod (normal priority)                      kizod hash-worker (one for each slot)
//	  auth ─► slot ─► Worker.Hash ──── pipe ────► Serve ─► Argon2id
//	                       ▲────────── pipe ────────┘
//
// # Priority
//
// A child begins as SCHED_IDLE: it uses only CPU time that no other process wants. A
// child that has worked for a second without a pause, on one hash or on many, and got
// less than a third of a CPU, is replaced by one of the next priority, which does its
// job: nice 19 in the normal class, then, after half a second, the priority of kizod
// itself. A process without privileges cannot raise a priority, but it can always start
// a child that lowers its own less. The child of higher priority takes the following
// jobs as well, and ends when it has had none for a few seconds, or after a minute.
//
// A child is killed only when its CPU time stands still at the highest priority, or
// when one hash has used a minute of CPU time. A slow hash is waited for.
//
// # Why processes
//
// Goroutines have no priorities, and a thread of low priority inside kizod would hold a
// processor of the scheduler (a P) that every stop-the-world of the garbage collector
// has to wait for. A child has a heap, a collector and threads of its own. It does one
// hash at a time, so that its memory is that of one hash.
//
// The child is this very program, started again with the arguments in Config. It is
// started by the first hash, ends after a minute without work, and ends at once when
// its stdin is closed, which also happens when kizod is killed. It gets the HMAC of a
// password, and neither password nor pepper; its arguments and environment hold no
// secrets.
//
// This package knows no users, no database and no HTTP.
package hashworker
