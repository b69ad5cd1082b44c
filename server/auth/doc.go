// Package auth manages users, passwords, sessions and tokens, and determines which user a request
// comes from.
//
//	log-in ─► place in the hash queue (hashqueue.go) ─► throttle (throttle.go) ─► look-up ─► slot
//	  ┌───────────────────────────────────────────────────────────────────────┘
//	  ▼
//	password ─► HMAC-SHA-256 (pepper) ─► Argon2id (Hasher) ─► users.password_hash
//
//	SignUp, LogIn
//	     │
//	     ▼                    Refresh        Refresh
//	  session ── refresh token 1 ──► token 2 ──► token 3   only the newest is valid
//	     │          └─ used again ──► the session is revoked, and that commits
//	     │
//	     ├─ ends by LogOut, RevokeSession, EndSessions, Suspend, ChangePassword, reuse,
//	     │  after 90 days, or after 14 days without use
//	     │
//	     └─► access token (EdDSA JWT, 15 min)
//	              │
//	            Verify:  1. signature by the key and algorithm of its kid, iss, aud, typ, exp
//	                     2. is the session open and the user active? From the session
//	                        cache, which is at most a lease (250 ms) behind the database,
//	                        or by a query, shared with concurrent callers
//	              ▼
//	          Principal
//
// A machine without a keyboard gets its session by BeginDeviceLogin, a decision of a user who is
// signed in elsewhere, and FinishDeviceLogin.
//
// An API key takes the place of both tokens for scripts: CreateAPIKey, RotateAPIKey, RevokeAPIKey,
// VerifyAPIKey. Its scopes say which routes it may call.
//
// # Overview
//
// Most callers need [New], [Service.LogIn] and [Service.Verify]. Role, handle, suspension
// and log-out come from the tables, never from the token. A method that changes them waits
// for a lease before it returns: after that, no process acts on the earlier state.
//
// Password hashing is limited to the available slots, and guessing is throttled. Both
// return a [*problem.Error] with RetryAfter. Every refusal that a user can cause is a
// [*problem.Error] with a stable code; any other error is an internal failure.
//
// [Registry] and [Rotation] keep signing keys and peppers the same in all processes of a
// database, and replace them while the processes run.
//
// The package knows nothing of HTTP, queues or money.
package auth
