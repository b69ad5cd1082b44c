// Package rig starts a complete Kizo for a load test, from PostgreSQL to the mock bank, with
// users whose money came through the ledger.
//
//	load generator ──HTTP──► kizod serve ──► PostgreSQL     all children of this
//	                            │   └──────► Redis          process, on loopback
//	                            └──────────► kizod mockbank or unix sockets
//
// # Overview
//
//	r, err := rig.Start(ctx, rig.Config{})
//	defer r.Close()
//	users, err := r.Seed(ctx, 5000, 100_000)
//	before, err := r.Books(ctx)
//	... make load on r.URL() ...
//	err = r.WaitSettled(ctx)
//	after, err := r.Books(ctx)   // after.Since(before) is the money that settled
//	checks, err := r.Audit(ctx)  // recomputes every invariant
//
// kizod is built from this tree without failpoints. PostgreSQL is as durable as
// `kizod dev` makes it unless Config says otherwise. With Config.DatabaseOnly the rig
// is PostgreSQL alone, for loads that call package ledger in this process. Everything
// is in one directory, which is removed at the end. Every child ends with this process, even if
// this process is killed. Every method is bounded by its context.
//
// Loads that stop and restart parts of Kizo start these themselves, by StartBank, Kizod and
// Process. The package also reports the machine (Environment), the CPU time and memory that
// were used (Gauge), and the transfers in the database (Books). It makes no load. It may import
// packages of the server; no package but the load tests may import it.
package rig
