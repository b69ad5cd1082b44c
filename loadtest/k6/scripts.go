// Package k6 contains the scripts of the scenarios that k6 runs. `bench run k6-…` in
// loadtest/bench runs them and reports what became of the money.
//
//	seed ─► count ─► k6 run scenario.js ─► wait until settled ─► count ─► audit ─► report
//	                     │ *.js call /v1/…, count what was accepted         │
//	                     └───────────── must be the same ───────────────────┘
//
// k6 is a JavaScript engine per virtual user and uses its share of the machine, which the
// report says. The package imports nothing else of Kizo.
package k6

import "embed"

// Scripts are the scenarios and the library that they share.
//
//go:embed *.js
var Scripts embed.FS
