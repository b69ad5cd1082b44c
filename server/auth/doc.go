// Package auth knows who is asking: users, passwords, sessions and the tokens
// that stand for them.
//
//	log-in ─► ticket (bulkhead.go) ─► throttle (throttle.go) ─► look-up ─► slot ─┐
//	password ─► HMAC-SHA-256 (pepper) ─► Argon2id (Hasher) ─► users.password_hash ◄┘
//
//	SignUp, LogIn
//	     │
//	     ▼                    Refresh        Refresh
//	  session ── refresh token 1 ──► token 2 ──► token 3   only the last one lives
//	     │          └─ used again ──► the session is revoked, and that commits
//	     │
//	     ├─ ends by LogOut, RevokeSession, Suspend, reuse, or after 30 days
//	     │
//	     └─► access token (EdDSA JWT, 15 min)
//	              │
//	            Verify:  1. one key and one algorithm for its kid, iss, aud, typ, exp
//	                     2. is the session open, the user active? By a lease of a
//	                        quarter of a second on what the database said, or by a
//	                        look at it, shared with whoever asks at the same time
//	              ▼
//	          Principal
//
// Most callers need [New], [Service.LogIn] and [Service.Verify]. Role, handle,
// suspension and logout are read from the tables and never from the token. What
// changes them waits a lease before it returns, so none of them outlives a change
// that has returned.
//
// Hashing is bounded and guessing slowed down: both refuse with a time to come back.
// Every refusal that a user may cause is an [*Error] with a stable code; any
// other error is the house's own trouble. The package knows nothing of HTTP,
// of queues or of money.
package auth
