// Package rig is what all load tests stand on: a Kizo of their own, from
// PostgreSQL to the mock bank, with users whose money came through the ledger.
//
//	load generator ──HTTP──► kizod serve ──► PostgreSQL     all children of this
//	                            │   └──────► Redis          process, on loopback
//	                            └──────────► kizod mockbank or unix sockets
//
// What most need:
//
//	r, err := rig.Start(ctx, rig.Config{})
//	defer r.Close()
//	users, err := r.Seed(ctx, 5000, 100_000, rig.SeedOptions{})
//	before, err := r.Books(ctx)
//	... load r.URL() ...
//	err = r.WaitSettled(ctx)
//	after, err := r.Books(ctx)   // after.Since(before) is the money that settled
//	text, err := r.Audit(ctx)    // and the books must be right
//
// kizod is built from this tree without faults. PostgreSQL is as durable as
// `kizod dev` makes it unless Config says otherwise. Everything lives in one
// directory, which goes away at the end, and dies with this process, however that
// ends. Everything is bounded by the context that it is given.
//
// What every run reports comes from here as well: the machine (Environment),
// what was spent (Gauge), and what the books say (Books). Nothing here makes load.
package rig
