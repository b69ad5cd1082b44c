// Package ratelimit limits how many requests a user or an address may make per second.
// The algorithm is GCRA, whose state is in Redis, so that all processes share one limit:
//
//	request ─► permits left? ─ yes ─► spend one                      no network
//	                │ no                 └─ few left: lease more, in the background
//	                ▼
//	           lease permits from Redis (AllowN), within 50 ms
//	                ├─ granted: spend one
//	                ├─ refused: 429, also for later requests, until Redis would grant one
//	                └─ Redis is down or slow: apply the rule in this process alone, and
//	                   try Redis again a second later
//
// Callers make a [Limiter] with [New], and ask [Limiter.User] or [Limiter.Address] about
// each request.
//
// Permits are leased a tenth of the burst at a time. A leased permit is spent by this
// process or never, so all processes together never spend more than Redis has granted.
// A process holds at most one and a half leases of a key: within a window, each process
// may exceed the burst by that much, with permits that it leased before the window.
// While Redis is down, each process allows the whole rate.
//
// The package knows no HTTP, no database and no users.
package ratelimit
