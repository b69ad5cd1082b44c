// Package ratelimit says how often somebody may ask: a user by their id, a stranger by
// address. The rule is GCRA, kept in Redis, so that it is one rule for all processes:
//
//	request ─► permits in hand? ─ yes ─► spend one                      no network
//	                │ no                      └─ few left: lease more, meanwhile
//	                ▼
//	           lease some from Redis (AllowN), at most 50 ms
//	                ├─ granted: spend one
//	                ├─ refused: 429, and the same to all who ask until Redis would grant
//	                └─ away or slow: the same rule in this process alone, and the next
//	                   look for Redis a second later
//
// Permits are leased a tenth of the burst at a time. What is leased is spent here or
// not at all, so that the sum over all processes never exceeds what Redis granted. A
// process holds one and a half leases of a key at most: by so much may what is spent
// in a window exceed the burst, for each process, if it was leased before the window.
// While Redis is away each process allows the whole rate.
//
// The package knows no HTTP, no database and no users.
package ratelimit
