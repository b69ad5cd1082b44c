// Package hashworker hashes passwords in child processes of low priority, so that payments
// stay fast while many users log in, and log-ins make progress on a busy machine.
//
//	kizod (normal priority)                      kizod hash-worker (one for each slot)
//	  auth ─► slot ─► Worker.Hash ──── pipe ────► Serve ─► Argon2id
//	                       ▲────────── pipe ────────┘
//
// # Overview
//
// kizod makes a [Worker] with [New] and gives it to package auth, as its Hasher. The
// child is this same program, started with the arguments in [Config]; it calls [Serve].
// The first hash starts a child. A child ends after a minute without a job, and at once
// when its stdin is closed, which also happens when kizod is killed. It receives the HMAC
// of a password, but neither the password nor the pepper; its arguments and environment
// contain no secrets.
//
// # Priority
//
// A child starts as SCHED_IDLE: it uses only CPU time that no other process wants. If a
// child has worked for a second without a pause, on one job or on several, and got less
// than a tenth of a CPU, the worker replaces it by a child of the next priority, which
// repeats the job. The next priorities are nice 19 in the normal scheduling class and,
// after another half second, the priority of kizod itself. A process without privileges
// cannot raise a priority, but it can start a new child that lowers its own priority
// less. The new child also takes the following jobs. It ends after a few seconds without
// a job, or after a minute.
//
// The worker kills a child only if its CPU time does not increase at the highest priority,
// or if one hash has used a minute of CPU time. Otherwise it waits, however slow a hash is.
//
// # Why processes
//
// Goroutines have no priorities, and a thread of low priority inside kizod would hold a
// processor of Go's scheduler (a P), which each stop-the-world phase of the garbage
// collector has to wait for. A child has its own heap, collector and threads. It computes
// one hash at a time, so it needs the memory of one hash.
//
// The package imports auth for its HashJob, and knows no users, no database and no HTTP.
package hashworker
