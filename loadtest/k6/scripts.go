// Package k6 contains the scripts of the scenarios that k6 runs. `bench run k6-…` in
// loadtest/bench runs them and compares the money that was accepted with the books.
//
//	seed ─► count ─► k6 run scenario.js ─► wait until settled ─► count ─► audit ─► report
//	                     │ *.js call /v1/…, count what was accepted         │
//	                     └───────────── must be the same ───────────────────┘
//
// k6 runs a JavaScript engine for each virtual user, which uses part of the machine; the report
// shows how much. The package imports no other package of Kizo.
package k6

import "embed"

// Scripts are the scenarios and the library that they share.
//
//go:embed *.js
var Scripts embed.FS
