// Package hashworker hashes passwords in a child process of the lowest priority, so
// that payments do not notice how many people sign in.
//
//	kizod (priority 0)                      kizod hash-worker (nice 19, own session)
//	  auth ─► slot ─► Worker.Hash ── pipe ──► Serve ─► Argon2id
//	                      ▲─────────── pipe ─────┘
//
// Why a process: goroutines have no priorities, and a thread of low priority inside
// kizod would hold on to a processor of the scheduler (a P) that every
// stop-the-world of the collector has to wait for. A child has a heap, a collector
// and threads of its own.
//
// The child is this very program, started again with the arguments that its Config
// names. It is started by the first hash, ends when nobody has hashed for a minute,
// and ends at once when its stdin is closed, also by our being killed: a parent that
// is gone leaves none behind. It gets the HMAC of a password, and neither password
// nor pepper; nothing secret is in its arguments or its environment.
//
// This package knows no users, no database and no HTTP.
package hashworker
